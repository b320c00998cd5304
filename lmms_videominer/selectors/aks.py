"""AKS (Tang et al., arXiv 2502.21271): judge and split. Top frames where they stand out, else both halves, anew.

As published: scores of frames at one a second (BLIP's, or CLIP's), brought to [0, 1] by their least and greatest. A
stretch of the video that is to give M frames is judged: where the mean of its M best scores exceeds the mean of all by
more than a threshold (t1 = 0.8), and their standard deviation a second one (t2 = -100: always), it gives those M. Else
it is halved, and each half is to give M / 2; after 5 halvings a stretch gives its best whatever they are.

What differs:

- Exactly N frames. Published, a stretch of depth d gives N / 2^d rounded down: with 8 frames and depth 5 none. Adapted
  copies give one at least, which may be 32 in all. Here a stretch that is to give one frame is not halved, an odd frame
  goes to the half with the higher best score, and a half gives no more frames than it has.
- The judged mean is of the M best, M being what the stretch is to give; in the public code it is of the N best at
  every depth, so that there a stretch with no more than N frames never stands out.
- A video of fewer seconds than the budget has as many candidates as the budget (public: it gives fewer frames).

In the result's scores, ``weights`` is the score brought to [0, 1]; the nodes are the stretches, each with its figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmms_videominer.config import option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import Candidates, Pick, top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector
from lmms_videominer.types import Event, Node, Span


@dataclass(frozen=True)
class Stretch:
    """Candidates ``[first, stop)`` as judged.

    Attributes:
        id: ``"0"`` for the whole video, ``"0.1"`` for its second half.
        quota: Frames that it is to give.
        lead: Mean of its ``quota`` best scores, less the mean of all.
        spread: Standard deviation of its scores.
        kept: It gives its best frames; else it is halved.
    """

    id: str
    first: int
    stop: int
    quota: int
    lead: float
    spread: float
    kept: bool

    def frames(self, scores: np.ndarray) -> np.ndarray:
        """int64 [quota], ascending: the positions that it gives."""
        return self.first + top(scores[self.first : self.stop], self.quota)


def scaled(scores: np.ndarray) -> np.ndarray:
    """float64 [n]: ``scores`` from 0, the least, to 1, the greatest; 0 where all are equal."""
    values = np.asarray(scores, np.float64) - np.min(scores)
    return values / values.max() if values.max() > 0 else values


def judge_and_split(scores: np.ndarray, budget: int, threshold: float, spread: float, depth: int) -> Iterator[Stretch]:
    """Every stretch that is judged, each before its halves; the kept ones give ``budget`` frames together.

    Args:
        scores: [n], from 0 to 1, in temporal order; n >= budget.
        budget: N >= 1.
        threshold, spread: What a stretch's lead and its standard deviation must exceed for it to be kept.
        depth: Most halvings.
    """
    yield from _judge(np.asarray(scores, np.float64), "0", 0, len(scores), budget, (threshold, spread), depth)


def _judge(
    scores: np.ndarray, id: str, first: int, stop: int, quota: int, bars: tuple[float, float], depth: int
) -> Iterator[Stretch]:
    part = scores[first:stop]
    lead, spread = float(part[top(part, quota)].mean() - part.mean()), float(part.std())
    stands_out = lead > bars[0] and spread > bars[1]
    kept = stands_out or depth == 0 or quota < 2
    yield Stretch(id, first, stop, quota, lead, spread, kept)
    if not kept:
        middle = first + len(part) // 2
        left = _left_quota(scores[first:middle], scores[middle:stop], quota)
        yield from _judge(scores, f"{id}.0", first, middle, left, bars, depth - 1)
        yield from _judge(scores, f"{id}.1", middle, stop, quota - left, bars, depth - 1)


def _left_quota(left: np.ndarray, right: np.ndarray, quota: int) -> int:
    """What the left half is to give: half, the odd frame where the best score is; never more than a half has."""
    odd = quota % 2 and left.max() >= right.max()
    return int(np.clip(quota // 2 + bool(odd), quota - len(right), len(left)))


@dataclass(frozen=True)
class AKSSettings:
    """When a stretch stands out, and how often one may be halved."""

    threshold: float = option(0.8, "What the best scores must exceed the mean by, of scores from 0 to 1.")
    spread: float = option(-100.0, "What their standard deviation must exceed.")
    depth: int = option(5, "How often a stretch may be halved.")

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise ConfigError(f"aks_depth={self.depth}: cannot be negative")


class AKSSelector(ScoredSelector):
    """The best frames of stretches that stand out, or that cannot be halved further."""

    name = "aks"
    Settings = AKSSettings

    def rule(self, case: ScoredCase) -> Rule:
        settings, pool = self.settings, case.pool()
        scores = yield pool.indices
        values = scaled(scores)
        budget = min(case.config.frames, len(pool))
        judged = list(judge_and_split(values, budget, settings.threshold, settings.spread, settings.depth))
        picks: list[Pick] = []
        for stretch in judged:
            if stretch.kept:
                picks += case.picks(pool.indices[stretch.frames(values)], stretch.id)
        nodes = sorted((_node(stretch, pool) for stretch in judged), key=lambda node: node.depth)
        return Choice(tuple(picks), dict(zip(pool.indices.tolist(), values.tolist())), tuple(nodes))


def _node(stretch: Stretch, pool: Candidates) -> Node:
    span = Span(pool.spans[stretch.first].start_s, pool.spans[stretch.stop - 1].end_s)
    verdict = f"gives {stretch.quota}" if stretch.kept else "halved"
    note = f"best {stretch.quota} lead by {stretch.lead:.3f}, spread {stretch.spread:.3f}: {verdict}"
    return Node(stretch.id, stretch.id.count("."), (Event(span),), note=note)
