"""What can be set, whatever the selector: one dataclass for Python, lmms-eval's model arguments and the shell.

Settings of one selector alone stand beside it, in its own file; ``selectors.settings`` puts both together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lmms_videominer.errors import ConfigError

NO_POLICY = "none"  # as ``policy``: accept by embedding similarity
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


def option(default: Any, help: str) -> Any:
    """A field of settings with its help text: one declaration for Python, the shell, lmms-eval and the docs."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class MinerConfig:
    """Settings of frame selection; every field but ``own`` is a plugin argument of the same name.

    Attributes:
        own: The settings of the selector alone: an instance of its ``Settings``; ``None``: its defaults.

    Raises:
        ConfigError: A value is out of its range; the message quotes it.
    """

    selector: str = option("videominer", "How key frames are chosen; docs/selectors.md has them side by side.")
    frames: int = option(8, "Budget N: the most key frames handed to the video LLM.")
    max_depth: int = option(3, "Levels of the tree below the root.")
    events: int = option(16, "K: events that one segmentation yields.")
    scan_frames: int = option(256, "Frames compared by one segmentation, uniform over the node's spans.")
    caption_frames: int = option(4, "Frames of an event shown to the captioner.")
    min_event_s: float = option(0.5, "No event is made shorter than this, in seconds.")
    grain_s: float = option(
        4.0,
        "A video no longer than this many seconds times the larger of frames and events "
        "is not searched: uniform frames are taken. 0: always search.",
    )
    max_nodes: int = option(200, "Most nodes of one tree; later ones are left undecided.")
    max_vlm_calls: int = option(200, "Most captioning calls of one tree; at the limit nothing is split further.")
    segmenter: str = option(
        "kts", "How a span is cut into events. kts: by colours, whatever the light; histogram: as published."
    )
    clustering: str = option(
        "event",
        "event: DBSCAN over event captions; frame: over captions of single frames; none: every event is a node.",
    )
    cluster_eps: float = option(0.1, "DBSCAN eps, as cosine distance between caption embeddings.")
    cluster_min_samples: int = option(2, "DBSCAN min_samples.")
    policy: str = option(
        "",
        "Causal LM of the policy, a name or a folder; empty: the bundle's, or the backbone; "
        "none: accept by embedding similarity.",
    )
    similarity_accept: float = option(0.5, "policy=none: accept from this cosine of caption and question on.")
    similarity_delete: float = option(0.25, "policy=none: delete below this cosine.")
    embedder: str = option("", "sentence-transformers model; empty: the bundle's, or all-MiniLM-L6-v2.")
    default_action: str = option("continue", "Action taken where no reading recovers one from the policy's text.")
    temperature: float = option(0.0, "Sampling temperature of the policy; 0 is greedy.")
    caption_tokens: int = option(96, "Most tokens of a caption.")
    policy_tokens: int = option(256, "Most tokens of a policy completion.")
    llm_tokens: int = option(1024, "Most tokens of a reply, of the selectors that ask a language model for replies.")
    judge: str = option(
        "reply",
        "How those selectors ask it. reply: one call over all captions, as published; policy: one "
        "decision a caption, in the policy's format.",
    )
    captioning: str = option(
        "plain",
        "How those selectors caption. plain: as published, the same for every question; question: with the question.",
    )
    features: str = option(
        "scorer",
        "What those of them compare frames by that compare frames. scorer: an image-text model, as published; "
        "captions: embeddings of captions of all candidates.",
    )
    scorer: str = option(
        "",
        "CLIP, SigLIP or BLIP-ITM model of the selectors that compare frames, a name or a folder; empty: the "
        "bundle's, or CLIP ViT-L/14.",
    )
    candidate_fps: float = option(1.0, "Frames a second that the selectors by scores choose from.")
    reader: str = option("auto", "Video backend: auto, decord or pyav.")
    cache_dir: str = option("", "Cache folder; empty: $VIDEOMINER_CACHE or ~/.cache/videominer; 'off': none.")
    seed: int = option(0, "Seed of everything that is random.")
    own: Any = None

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
        if not self.candidate_fps > 0:
            raise ConfigError(f"candidate_fps={self.candidate_fps}: needs to be above 0")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The settings that every selector has."""
        return tuple(f.name for f in fields(cls) if f.name != "own")

    def by_name(self, own: Any) -> dict[str, Any]:
        """All settings by the names that users write; ``own``, the selector's, as ``<selector>_<setting>``."""
        settings = {name: getattr(self, name) for name in self.names()}
        return settings | {f"{self.selector}_{name}": value for name, value in asdict(own).items()}


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
