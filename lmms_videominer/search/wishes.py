"""The requests that a search can make, called wishes, and its result.

A search is a generator. It yields a wish, is sent the reply, and returns a ``Found``. So each method reads from top to
bottom as its paper describes it; ``engine`` serves the wishes of many searches in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.policy import Part
from lmms_videominer.types import Cue, KeyFrame, Node, Question, Scores, Span
from lmms_videominer.video.opening import OpenVideo


@dataclass(frozen=True)
class Segment:
    """Nodes to cut into events, each given by its spans. Reply: ``tuple[Span, ...]`` for each node.

    Attributes:
        cuts: For each node, the number of events and of frames to compare; empty: those of the settings, for all.
    """

    nodes: tuple[tuple[Span, ...], ...]
    cuts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Caption:
    """Spans to caption, each from ``frames`` of its frames. Reply: ``tuple[Event, ...]``, in order.

    Attributes:
        prompts: The captioner's prompt for each span.
    """

    spans: tuple[Span, ...]
    frames: int
    prompts: tuple[str, ...]


@dataclass(frozen=True)
class Judge(Caption):
    """Spans to caption and to decide about, in one reply each. Reply: ``tuple[tuple[Event, Decision], ...]``."""


@dataclass(frozen=True)
class Embed:
    """Texts to embed. Reply: float32 [len(texts), d], rows L2-normalised."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Encode:
    """Frames to encode into image features. Reply: float32 [len(indices), d], rows L2-normalised."""

    indices: tuple[int, ...]


@dataclass(frozen=True)
class Compare:
    """Frames to score against texts: pairs of ascending indices and a text. Reply: float32 [n] for each pair."""

    pairs: tuple[tuple[tuple[int, ...], str], ...]


@dataclass(frozen=True)
class Ask:
    """Prompts for the language model. Reply: ``tuple[str, ...]``, one per prompt."""

    prompts: tuple[str, ...]


@dataclass(frozen=True)
class Decide:
    """Parts for the policy to decide about. Reply: ``tuple[Decision, ...]``, in order, those beside a part after it.

    Attributes:
        keys: Give equal parts different samples, such as the ids of their nodes; empty: equal parts get equal samples.
    """

    parts: tuple[Part, ...]
    keys: tuple[str, ...] = ()


Wish: TypeAlias = "Segment | Caption | Judge | Embed | Encode | Compare | Ask | Decide"


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        key_frames: Unique and ascending, at most the budget.
        nodes: The parts of the video that were judged, root first, then by level and order; empty if none were.
        fallbacks: Names of the fallbacks used, in order.
        scores: The scores behind the choice; ``None`` if there are none.
    """

    key_frames: tuple[KeyFrame, ...]
    nodes: tuple[Node, ...] = ()
    fallbacks: tuple[str, ...] = ()
    scores: Scores | None = None


Search: TypeAlias = Generator[Wish, Any, Found]


@dataclass
class Case:
    """One question on one open video, the input of a search.

    Attributes:
        question, video: The question and the video.
        timestamps_s: float64 [frame_count]: presentation time of every frame.
        config: The settings.
        seed: Seed of all randomness in the search.
        cues: What is said in the video, in order of time; empty where it is unknown, or is not to count.
        captioner_reads: Whether the captioner can read what is said in its prompt.
        grown: Told of the tree so far after each round of decisions; ``None``: nobody wants to know.
    """

    question: Question
    video: OpenVideo
    timestamps_s: np.ndarray
    config: MinerConfig
    seed: int = 0
    cues: tuple[Cue, ...] = ()
    captioner_reads: bool = True
    grown: Callable[[Sequence[Node]], None] | None = None

    @property
    def whole(self) -> Span:
        return Span(0.0, self.video.info.duration_s)
