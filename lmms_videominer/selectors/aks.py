"""AKS (Tang et al., arXiv 2502.21271): judge and split. A stretch that stands out gives its top frames, or is halved.

As published: frames are scored at one per second (by BLIP or CLIP), and the scores are min-max normalised to [0, 1]. A
stretch of the video with a quota of M frames is judged: if the mean of its M best scores exceeds the mean of all by
more than a threshold (t1 = 0.8), and their standard deviation exceeds a second one (t2 = -100: always), it gives those
M. Otherwise it is halved, and each half has a quota of M / 2; after 5 halvings a stretch always gives its best frames.

What differs:

- Exactly N frames. As published, a stretch of depth d gives N / 2^d rounded down: none with 8 frames and depth 5.
  Adapted copies give at least one, which may be 32 in total. Here a stretch with a quota of one frame is not halved, an
  odd frame goes to the half with the higher best score, and a half gives no more frames than it has.
- The judged mean is over the M best, M being the quota of the stretch; in the public code it is over the N best at
  every depth, so that a stretch with no more than N frames never stands out there.
- A video with fewer seconds than the budget has as many candidates as the budget (public code: it gives fewer frames).

In the result's scores, ``weights`` are the normalised scores; the nodes are the stretches, each with its statistics.
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
    """A judged stretch: the candidates ``[first, stop)``.

    Attributes:
        id: ``"0"`` for the whole video, ``"0.1"`` for its second half.
        quota: Number of frames that it must give.
        lead: Mean of its ``quota`` best scores minus the mean of all.
        spread: Standard deviation of its scores.
        kept: Whether it gives its best frames; otherwise it is halved.
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
    """float64 [n]: ``scores``, min-max normalised to [0, 1]; 0 if all are equal."""
    values = np.asarray(scores, np.float64) - np.min(scores)
    return values / values.max() if values.max() > 0 else values


def judge_and_split(scores: np.ndarray, budget: int, threshold: float, spread: float, depth: int) -> Iterator[Stretch]:
    """Every judged stretch, each before its halves; together, the kept ones give ``budget`` frames.

    Args:
        scores: [n], from 0 to 1, in temporal order; n >= budget.
        budget: N >= 1.
        threshold, spread: Bounds that the lead and the standard deviation of a stretch must exceed to keep it.
        depth: Maximum number of halvings.
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
    """The quota of the left half: half, with the odd frame where the best score is; never more than a half has."""
    odd = quota % 2 and left.max() >= right.max()
    return min(quota // 2 + bool(odd), len(left))


@dataclass(frozen=True)
class AKSSettings:
    """When a stretch stands out, and how often one may be halved."""

    threshold: float = option(0.8, "Margin by which the best scores must exceed the mean, for scores from 0 to 1.")
    spread: float = option(-100.0, "Bound that the standard deviation of the scores must exceed.")
    depth: int = option(5, "Maximum number of halvings of a stretch.")

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
