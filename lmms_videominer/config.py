"""What can be set. One dataclass is the Python argument, the model argument of lmms-eval and the CLI flag."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.errors import ConfigError

NO_POLICY = "none"  # as ``policy``: accept by embedding similarity
ASKING = ("videotree", "videoagent", "llovi")  # selectors that ask a language model
SCORING = ("topk", "aks", "bolt", "focus", "qframe")  # selectors that compare frames with the question
NAMES = {
    "segmenter": ("kts", "histogram"),
    "clustering": ("event", "frame", "none"),
    "default_action": ("accept", "continue", "delete"),
    "judge": ("reply", "policy"),
    "captioning": ("plain", "question"),
    "features": ("scorer", "captions"),
    "reader": ("auto", "decord", "pyav"),
}
"""Settings that take one of a few names, told here so that a wrong one is refused before anything is loaded."""

_ROUNDING_S = 1e-6  # a duration is a sum of timestamps that floats hold inexactly


def _option(default: Any, help: str, **extra: Any) -> Any:
    return field(default=default, metadata={"help": help, **extra})


@dataclass(frozen=True)
class MinerConfig:
    """Settings of frame selection; every field is a plugin argument of the same name.

    Raises:
        ConfigError: A value is out of its range; the message quotes it.
    """

    selector: str = _option(
        "videominer",
        "How key frames are chosen: videominer, uniform, oracle, none, topk, aks, "
        "bolt, focus, qframe, videotree, videoagent, llovi.",
    )
    frames: int = _option(8, "Budget N: the most key frames handed to the video LLM.")
    max_depth: int = _option(3, "Levels of the tree below the root.")
    events: int = _option(16, "K: events that one segmentation yields.")
    scan_frames: int = _option(256, "Frames compared by one segmentation, uniform over the node's spans.")
    caption_frames: int = _option(4, "Frames of an event shown to the captioner.")
    min_event_s: float = _option(0.5, "No event is made shorter than this, in seconds.")
    grain_s: float = _option(
        4.0,
        "A video no longer than this many seconds times the larger of frames and events "
        "is not searched: uniform frames are taken. 0: always search.",
    )
    max_nodes: int = _option(200, "Most nodes of one tree; later ones are left undecided.")
    max_vlm_calls: int = _option(200, "Most captioning calls of one tree; at the limit nothing is split further.")
    segmenter: str = _option(
        "kts", "How a span is cut into events. kts: by colours, whatever the light; histogram: as published."
    )
    clustering: str = _option(
        "event",
        "event: DBSCAN over event captions; frame: over captions of single frames; none: every event is a node.",
    )
    cluster_eps: float = _option(0.1, "DBSCAN eps, as cosine distance between caption embeddings.")
    cluster_min_samples: int = _option(2, "DBSCAN min_samples.")
    policy: str = _option(
        "",
        "Causal LM of the policy, a name or a folder; empty: the bundle's, or the backbone; "
        "none: accept by embedding similarity.",
    )
    similarity_accept: float = _option(0.5, "policy=none: accept from this cosine of caption and question on.")
    similarity_delete: float = _option(0.25, "policy=none: delete below this cosine.")
    embedder: str = _option("", "sentence-transformers model; empty: the bundle's, or all-MiniLM-L6-v2.")
    default_action: str = _option("continue", "Action taken where no reading recovers one from the policy's text.")
    temperature: float = _option(0.0, "Sampling temperature of the policy; 0 is greedy.")
    caption_tokens: int = _option(96, "Most tokens of a caption.")
    policy_tokens: int = _option(256, "Most tokens of a policy completion.")
    llm_tokens: int = _option(1024, "Most tokens of a reply of the language model in videotree, videoagent and llovi.")
    judge: str = _option(
        "reply",
        "How those ask it. reply: one call over all captions, as published; policy: one "
        "decision a caption, in the policy's format.",
    )
    captioning: str = _option(
        "plain", "How those caption. plain: as published, the same for every question; question: with the question."
    )
    features: str = _option(
        "scorer",
        "What videotree and videoagent compare frames by. scorer: an image-text model, as published; captions: "
        "embeddings of captions of all candidates.",
    )
    videotree_first: int = _option(8, "videotree: clusters of the first round; doubled from round to round.")
    videotree_most: int = _option(32, "videotree: most clusters.")
    videotree_enough: int = _option(4, "videotree: highly relevant clusters that end the rounds.")
    videotree_branches: int = _option(4, "videotree: parts into which a relevant cluster is split.")
    videoagent_frames: int = _option(5, "videoagent: frames of the first look.")
    videoagent_rounds: int = _option(3, "videoagent: most looks.")
    llovi_clip_s: float = _option(1.0, "llovi: length of a clip, in seconds; longer where max_vlm_calls needs it.")
    llovi_summary_words: int = _option(0, "llovi: words of a summary written first; 0: none, the captions themselves.")
    scorer: str = _option(
        "",
        "CLIP, SigLIP or BLIP-ITM model of topk, aks, bolt, focus, qframe, videotree and videoagent, a name or a "
        "folder; empty: the bundle's, or CLIP ViT-L/14.",
    )
    candidate_fps: float = _option(1.0, "Frames a second that topk, aks, bolt and qframe choose from.")
    aks_threshold: float = _option(0.8, "aks: what the best scores must exceed the mean by, of scores from 0 to 1.")
    aks_spread: float = _option(-100.0, "aks: what their standard deviation must exceed.")
    aks_depth: int = _option(5, "aks: how often a stretch may be halved.")
    bolt_power: float = _option(3.0, "bolt: power of the scores; 2.5 for LongVideoBench.")
    focus_clip_s: float = _option(16.0, "focus: length of a clip, an arm of the bandit, in seconds.")
    focus_share: float = _option(0.25, "focus: alpha, the share of the clips that are looked at closely.")
    focus_top: float = _option(0.2, "focus: share of the budget for the best scores, wherever they are.")
    focus_temperature: float = _option(0.06, "focus: temperature at which the frames of a clip are drawn.")
    qframe_candidates: int = _option(128, "qframe: most frames to choose from.")
    qframe_tau: float = _option(0.8, "qframe: temperature of the softmax over them.")
    reader: str = _option("auto", "Video backend: auto, decord or pyav.")
    cache_dir: str = _option("", "Cache folder; empty: $VIDEOMINER_CACHE or ~/.cache/videominer; 'off': none.")
    seed: int = _option(0, "Seed of everything that is random.")

    def __post_init__(self) -> None:
        for name, valid in NAMES.items():
            check_names([getattr(self, name)], valid, name)
        for name in (
            "frames",
            "max_depth",
            "caption_frames",
            "max_nodes",
            "max_vlm_calls",
            "cluster_min_samples",
            "caption_tokens",
            "policy_tokens",
            "llm_tokens",
            "videotree_first",
            "videotree_most",
            "videotree_enough",
            "videotree_branches",
            "videoagent_frames",
            "videoagent_rounds",
            "qframe_candidates",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: needs at least 1")
        if self.events < 2:
            raise ConfigError(f"events={self.events}: a segmentation needs at least 2 events")
        if self.scan_frames < self.events:
            raise ConfigError(
                f"scan_frames={self.scan_frames} cannot be cut into events={self.events}: "
                f"set scan_frames to {self.events} or more"
            )
        if not 0 < self.cluster_eps <= 2:
            raise ConfigError(f"cluster_eps={self.cluster_eps}: a cosine distance lies in (0, 2]")
        for name in ("temperature", "min_event_s", "grain_s"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}: cannot be negative")
        if not -1 <= self.similarity_delete <= self.similarity_accept <= 1:
            raise ConfigError(
                f"similarity_delete={self.similarity_delete}, "
                f"similarity_accept={self.similarity_accept}: cosines, the first no more than the second"
            )
        self._check_asking()
        self._check_scoring()

    def _check_scoring(self) -> None:
        """The settings of the selectors that compare frames with the question."""
        for name in ("candidate_fps", "focus_clip_s", "focus_temperature", "qframe_tau"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)}: needs to be above 0")
        for name in ("focus_share", "focus_top"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)}: a share lies in [0, 1]")
        if self.aks_depth < 0 or not self.bolt_power >= 0:
            raise ConfigError(f"aks_depth={self.aks_depth}, bolt_power={self.bolt_power}: neither can be negative")

    def _check_asking(self) -> None:
        """The settings of the selectors that ask a language model."""
        if self.videotree_first > self.videotree_most:
            raise ConfigError(
                f"videotree_first={self.videotree_first} is more than "
                f"videotree_most={self.videotree_most}: the first round has the fewest clusters"
            )
        if not self.llovi_clip_s > 0 or self.llovi_summary_words < 0:
            raise ConfigError(
                f"llovi_clip_s={self.llovi_clip_s}, llovi_summary_words={self.llovi_summary_words}: "
                "a clip has some length, and a summary no less than 0 words"
            )
        if self.policy == NO_POLICY and self.selector in ASKING and self.judge == "reply":
            raise ConfigError(
                f"policy={NO_POLICY} writes no replies, and selector={self.selector} asks for some: set "
                "judge=policy, or name a language model"
            )

    def covers(self, duration_s: float) -> bool:
        """Whether frames or events lie ``grain_s`` apart without any tree, in a video of ``duration_s`` seconds."""
        return duration_s <= max(self.frames, self.events) * self.grain_s + _ROUNDING_S

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(f.name for f in dataclasses.fields(cls))

    @classmethod
    def from_strings(cls, values: dict[str, Any]) -> MinerConfig:
        """Build from values that may be strings, as they come from ``--model_args`` or a shell.

        Raises:
            ConfigError: A name is unknown (the nearest valid one is named), or a value does not parse.
        """
        check_names(values, cls.names(), "setting")
        parsed = {}
        for f in dataclasses.fields(cls):
            if f.name not in values:
                continue
            value = values[f.name]
            kind: type = type(f.default)
            try:
                parsed[f.name] = kind(value)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{f.name}={value!r}: expected {kind.__name__}") from error
        return cls(**parsed)


def nearest(name: str, valid: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the valid name nearest to ``name``, or an empty string."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_names(given: Iterable[str], valid: Iterable[str], what: str) -> None:
    """Raise ``ConfigError`` for the first of ``given`` that is not in ``valid``, naming the nearest."""
    valid = tuple(valid)
    for name in given:
        if name not in valid:
            raise ConfigError(f"unknown {what} {name!r}{nearest(name, valid)} (valid: {', '.join(sorted(valid))})")
