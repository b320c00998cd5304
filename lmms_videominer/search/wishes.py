"""What a search can ask for, and what it ends with.

A search is a generator. It yields a wish, is sent the reply, and returns what it ``Found``. So each method reads from
top to bottom as its paper describes it; ``engine`` serves the wishes of many searches in batches.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.policy import Part
from lmms_videominer.types import KeyFrame, Node, Question, Scores, Span
from lmms_videominer.video.opening import OpenVideo


@dataclass(frozen=True)
class Segment:
    """Nodes to cut into events, each given by its spans. The reply: ``tuple[Span, ...]`` for each node."""

    nodes: tuple[tuple[Span, ...], ...]


@dataclass(frozen=True)
class Caption:
    """Spans to caption, each from ``frames`` frames of it. The reply: ``tuple[Event, ...]``, in order.

    Attributes:
        topic: The question that the captioner is given.
    """

    spans: tuple[Span, ...]
    frames: int
    topic: str


@dataclass(frozen=True)
class Embed:
    """Texts to embed. The reply: float32 [len(texts), d], rows L2-normalised."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Encode:
    """Frames whose image features are wanted. The reply: float32 [len(indices), d], rows L2-normalised."""

    indices: tuple[int, ...]


@dataclass(frozen=True)
class Compare:
    """Frames to score against texts: pairs of ascending indices and a text. The reply: float32 [n] for each pair."""

    pairs: tuple[tuple[tuple[int, ...], str], ...]


@dataclass(frozen=True)
class Ask:
    """Prompts for the language model. The reply: ``tuple[str, ...]``, one a prompt."""

    prompts: tuple[str, ...]


@dataclass(frozen=True)
class Decide:
    """Parts for the policy to decide about. The reply: ``tuple[Decision, ...]``, in order.

    Attributes:
        keys: Tell apart the samples of equal parts, as the ids of their nodes do; empty: equal parts sample alike.
    """

    parts: tuple[Part, ...]
    keys: tuple[str, ...] = ()


Wish: TypeAlias = "Segment | Caption | Embed | Encode | Compare | Ask | Decide"


@dataclass(frozen=True)
class Found:
    """What a search ends with.

    Attributes:
        key_frames: Unique and ascending, at most the budget.
        nodes: The parts that were judged, root first, then by level and order; empty: none were.
        fallbacks: Names of what did not go as planned, in order.
        scores: What the search went by; ``None``: no scores.
    """

    key_frames: tuple[KeyFrame, ...]
    nodes: tuple[Node, ...] = ()
    fallbacks: tuple[str, ...] = ()
    scores: Scores | None = None


Search: TypeAlias = Generator[Wish, Any, Found]


@dataclass
class Case:
    """One question on one open video: what a search is about.

    Attributes:
        question, video: What is searched.
        timestamps_s: float64 [frame_count]: presentation time of every frame.
        config: The settings.
        seed: Of all that is random in the search.
    """

    question: Question
    video: OpenVideo
    timestamps_s: np.ndarray
    config: MinerConfig
    seed: int = 0

    @property
    def whole(self) -> Span:
        return Span(0.0, self.video.info.duration_s)
