"""The settings that all selectors share: one dataclass for Python, lmms-eval's model arguments and the shell.

Settings that only one selector has are in its own file; ``selectors.settings`` combines both.
"""

from __future__ import annotations

import difflib
import math
import numbers
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lmms_videominer.errors import ConfigError
from lmms_videominer.redaction import without_secrets

NO_POLICY = "none"  # value of ``policy``: accept by embedding similarity
NO_SUBTITLES = "off"  # value of ``subtitles``
AUTO_SUBTITLES = "auto"  # value of ``subtitles``: beside the film, else within it
PLAIN = "plain"  # value of ``search``: as published
ASK = "ask"  # value of ``default_action``: the policy is asked once more
NAMES = {
    "search": ("best-first", PLAIN),
    "look": ("scorer", "none"),
    "search_options": ("never", "named", "always"),
    "segmenter": ("kts", "histogram"),
    "scan": ("sync", "exact"),
    "clustering": ("event", "frame", "none"),
    "default_action": (ASK, "accept", "continue", "delete"),
    "judge": ("reply", "policy"),
    "captioning": ("plain", "question"),
    "features": ("scorer", "captions"),
    "reader": ("auto", "decord", "pyav", "torchcodec"),
}
"""Settings with a fixed set of values, listed here so that a wrong one is refused before anything is loaded."""
CONTEXT = ("place", "accepted", "budget")  # parts of ``policy_context``
# they change no result
HOW_ASKED = ("vlm_batch_size", "policy_batch_size", "server_requests", "server_timeout_s", "open_searches")


def option(default: Any, help: str) -> Any:
    """A settings field with its help text: one declaration for Python, the shell, lmms-eval and the docs."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class MinerConfig:
    """Settings of frame selection; every field but ``own`` is a plugin argument of the same name.

    Attributes:
        own: The selector's own settings, an instance of its ``Settings``; ``None`` for its defaults.

    Raises:
        ConfigError: A value is out of range; the message quotes it.
    """

    selector: str = option("videominer", "How key frames are chosen; docs/selectors.md compares the selectors.")
    search: str = option(
        "best-first",
        "How the tree of videominer grows. best-first: the most promising events first, until what is sought is found; "
        "plain: level by level, as published.",
    )
    look: str = option(
        "scorer",
        "search=best-first: what makes an event promising before it is captioned. scorer: its frames fit what is "
        "sought, by an image-text model; none: only what the policy says of the part it belongs to.",
    )
    wave: int = option(
        2, "search=best-first: events captioned at a time, for each moment sought; then the policy decides."
    )
    stop_margin: float = option(
        0.25,
        "search=best-first: a moment is found once no event that is left fits it better than an accepted one less this "
        "many standard deviations over the frames of the video.",
    )
    reach: float = option(
        1.5,
        "search=best-first: an event is not captioned for a moment if the best one of the video fits it better by more "
        "than this many standard deviations; 0: all are, until it is found.",
    )
    search_options: str = option(
        "named",
        "Whether captioner and policy of videominer are told the options. named: where the question speaks of them "
        '("Which of the following ..."); always; never: as published.',
    )
    policy_context: str = option(
        "",
        "What the policy is told besides question, caption and depth, joined by +: place (of the part in time), "
        "accepted (captions of the parts accepted so far), budget (captions left). As published: nothing.",
    )
    frames: int = option(8, "Budget N: maximum number of key frames passed to the video LLM.")
    max_depth: int = option(3, "Levels of the tree below the root.")
    events: int = option(16, "K: number of events of one segmentation.")
    scan_frames: int = option(256, "Frames compared by one segmentation, uniform over the node's spans.")
    scan: str = option(
        "exact",
        "Frames of a scan of at most one every 2 s. sync: key frames of the codec, which decode alone, no farther "
        "apart than evenly spaced ones, if the video has enough of them and they show what the others show; exact: "
        "evenly spaced.",
    )
    caption_pixels: int = option(
        200_000,
        "Frames that a search looks at are scaled on reading to at most this many pixels; 0: not at all. Those for the "
        "answer stay as they are.",
    )
    caption_frames: int = option(4, "Frames of an event shown to the captioner.")
    min_event_s: float = option(0.5, "Shortest event, in seconds.")
    grain_s: float = option(
        4.0,
        "Seconds that need no closer look. search=best-first: events this short are not cut further, and frames are "
        "compared no closer than this on a second look; plain: a video no longer than this times the larger of frames "
        "and events is not searched (0: always search).",
    )
    max_nodes: int = option(200, "Maximum number of decided nodes of one tree; further ones are left undecided.")
    max_vlm_calls: int = option(
        200, "Maximum number of captioning calls of one tree; at the limit nothing is split further."
    )
    index: int = option(
        0,
        "Levels of the tree of videominer whose captions are plain: made without the question, and shared by all "
        "questions on a video; videominer index makes them beforehand. 0: none, as published.",
    )
    segmenter: str = option(
        "kts", "How a span is cut into events. kts: by colour, robust to changes of light; histogram: as published."
    )
    clustering: str = option(
        "event",
        "event: DBSCAN over event captions; frame: over captions of single frames; none: every event is a node.",
    )
    cluster_eps: float = option(
        0.0,
        "DBSCAN eps, as cosine distance between caption embeddings. 0: by the embedder: 0.1 with the bundle's; with "
        "any other, no DBSCAN but average linkage over what sets the captions apart (docs/deviations.md).",
    )
    cluster_min_samples: int = option(2, "DBSCAN min_samples.")
    policy: str = option(
        "",
        "Causal LM of the policy, a name or a folder, or openai:MODEL@URL, of a server; empty: the bundle's, or the "
        "backbone; none: accept by embedding similarity.",
    )
    similarity_accept: float = option(
        0.0,
        "policy=none: accept from this cosine of caption and question upwards. 0: by the embedder: 0.5 with the "
        "bundle's; 0.55, measured with all-MiniLM-L6-v2, with any other.",
    )
    similarity_delete: float = option(
        0.0, "policy=none: delete below this cosine. 0: by the embedder: 0.25 with the bundle's, 0.35 with any other."
    )
    embedder: str = option("", "sentence-transformers model; empty: the bundle's, or all-MiniLM-L6-v2.")
    default_action: str = option(
        ASK,
        "Action taken if none can be read from the policy's text. ask: it is asked once more, for one word, then the "
        "part is deleted (in training: continue).",
    )
    parts_per_decision: int = option(
        1, "Parts of a video that videominer puts to the policy at once, which decides about each in one reply."
    )
    policy_reasoning: bool = option(
        True, "Whether the policy of videominer reasons before it names an action; without, a decision is a few tokens."
    )
    temperature: float = option(0.0, "Sampling temperature of the policy; 0 is greedy.")
    caption_tokens: int = option(96, "Maximum number of tokens of a caption.")
    policy_tokens: int = option(
        256, "Maximum number of tokens of a policy completion, for each part that it decides about."
    )
    vlm_batch_size: int = option(
        8, "Captions and answers of one forward pass, for a video LLM that is loaded by transformers."
    )
    policy_batch_size: int = option(
        16, "Completions of one forward pass of the policy; in training rollout_batch_size."
    )
    server_requests: int = option(16, "Requests that the server of an openai:MODEL@URL gets at once.")
    server_timeout_s: float = option(
        120.0, "Longest time of one try of such a request, in seconds, the wait in the server's queue included."
    )
    open_searches: int = option(
        0,
        "Questions that are searched at once, beyond those on one video. 0: as many as fill the widest engine, and as "
        "memory holds videos (docs/profile.md).",
    )
    llm_tokens: int = option(
        1024, "Maximum number of tokens of a reply, for the selectors that ask a language model for replies."
    )
    judge: str = option(
        "reply",
        "How those selectors ask it. reply: one call over all captions, as published; policy: one "
        "decision per caption, in the policy's format.",
    )
    captioning: str = option(
        "plain",
        "How those selectors caption. plain: as published, the same for every question; question: with the question.",
    )
    features: str = option(
        "scorer",
        "How those selectors compare frames, if they do. scorer: by an image-text model, as published; "
        "captions: by embeddings of captions of all candidates.",
    )
    scorer: str = option(
        "",
        "CLIP, SigLIP or BLIP-ITM model of the selectors that compare frames, a name or a folder; empty: the "
        "bundle's, or CLIP ViT-L/14.",
    )
    candidate_fps: float = option(1.0, "Candidate frames per second, for the selectors that use scores.")
    subtitles: str = option(
        NO_SUBTITLES,
        "What is said in a film (docs/subtitles.md). off: not read; auto: the file beside it, else the text track in "
        "it; or a file, or a folder that has a file for each film.",
    )
    reader: str = option(
        "auto",
        "Video backend: pyav, decord, torchcodec (extra of that name), or auto: pyav, right for every file and the "
        "fastest.",
    )
    cache_dir: str = option(
        "",
        "Cache folder, or redis://HOST:PORT/DATABASE, of a server that several machines share; empty: "
        "$VIDEOMINER_CACHE or ~/.cache/videominer; 'off': none.",
    )
    seed: int = option(0, "Seed of all randomness.")
    own: Any = None

    @property
    def decision_tokens(self) -> int:
        """The most tokens of one completion of the policy."""
        return self.policy_tokens * self.parts_per_decision

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, fitting(each.name, getattr(self, each.name), each.default))
        for name, valid in NAMES.items():
            check_names([getattr(self, name)], valid, name)
        check_names(self.policy_context.split("+") if self.policy_context else [], CONTEXT, "policy_context")
        check_finite(vars(self))
        for name in (
            "frames",
            "wave",
            "max_depth",
            "caption_frames",
            "max_nodes",
            "max_vlm_calls",
            "parts_per_decision",
            "cluster_min_samples",
            "caption_tokens",
            "policy_tokens",
            "vlm_batch_size",
            "policy_batch_size",
            "server_requests",
            "llm_tokens",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.events < 2:
            raise ConfigError(f"events={self.events}: a segmentation needs at least 2 events")
        if self.scan_frames < self.events:
            raise ConfigError(
                f"scan_frames={self.scan_frames} cannot be cut into events={self.events}: "
                f"set scan_frames to {self.events} or more"
            )
        if not 0 <= self.cluster_eps <= 2:
            raise ConfigError(f"cluster_eps={self.cluster_eps}: a cosine distance must be in [0, 2]")
        for name in (
            "temperature",
            "min_event_s",
            "grain_s",
            "stop_margin",
            "reach",
            "index",
            "open_searches",
            "caption_pixels",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}: cannot be negative")
        for name in ("similarity_delete", "similarity_accept"):
            if not -1 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)}: a cosine must be in [-1, 1]")
        if self.similarity_accept and self.similarity_delete > self.similarity_accept:
            raise ConfigError(
                f"similarity_delete={self.similarity_delete} is above similarity_accept={self.similarity_accept}"
            )
        for name in ("candidate_fps", "server_timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)}: must be above 0")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the settings that every selector has."""
        return tuple(f.name for f in fields(cls) if f.name != "own")

    def by_name(self, own: Any) -> dict[str, Any]:
        """All settings by the names that users write, to be shown, stored and used in keys: without logins.

        Args:
            own: The selector's own settings, named ``<selector>_<setting>``.
        """
        settings = without_secrets({name: getattr(self, name) for name in self.names()})
        return settings | {f"{self.selector}_{name}": value for name, value in asdict(own).items()}


def nearest(name: str, valid: Iterable[str], cutoff: float = 0.6) -> str:
    """``"; did you mean 'x'?"`` with the valid name nearest to ``name``; empty if none is near."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


# by the type of a setting's default: what fits, and what it becomes if it is not plain Python
_KINDS: dict[type, tuple[Any, Any]] = {
    bool: (bool, bool),
    int: (numbers.Integral, int),
    float: (numbers.Real, float),
    str: ((str, os.PathLike), os.fspath),
}


def fitting(name: str, value: Any, default: Any) -> Any:
    """``value`` of the setting ``name``, with numbers of NumPy as Python's and paths as texts, which results can hold.

    Raises:
        ConfigError: It has not the type of ``default``; a whole number does for any number.
    """
    kind = type(default)
    if kind not in _KINDS:
        return value
    fits, plain = _KINDS[kind]
    if not isinstance(value, fits) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name}={value!r}: expected {kind.__name__}, not {type(value).__name__}")
    return value if isinstance(value, (int, float, str)) else plain(value)


def check_finite(values: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` if a setting is NaN or infinite."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}={value}: must be a finite number")


def check_names(names: Iterable[str], valid: Iterable[str], what: str) -> None:
    """Raise ``ConfigError`` for the first of ``names`` that is not in ``valid``, and suggest the nearest valid name."""
    valid = tuple(valid)
    for name in names:
        if name not in valid:
            raise ConfigError(f"unknown {what} {name!r}{nearest(name, valid)} (valid: {', '.join(sorted(valid))})")
