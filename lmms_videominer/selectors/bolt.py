"""BOLT (Liu et al., arXiv 2503.21483): inverse transform sampling from sharpened scores.

As published: CLIP scores of frames at one per second, min-max normalised to [0, 1], are raised to a power (3; 2.5 on
LongVideoBench) and divided by their sum, which gives a density over the frames. Its cumulative sum is inverted at N
levels, evenly spaced from 1/N to 1 - 1/N: frames are sampled densely where the density is high.

What differs:

- Several levels may fall on one frame. It is taken once, and the densest frames that are not yet taken make up the
  number.
- For N = 1 the only level is 1/2 (in the public code 1: the last frame that has a weight).
- If all scores are equal, the density is uniform (the public code divides by zero).
- Rounding may leave the cumulative sum slightly below a level; the last frame is taken then.

In the result's scores, ``weights`` is the density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmms_videominer.config import option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector


def density(scores: np.ndarray, power: float) -> np.ndarray:
    """float64 [n], summing to 1: ``((s - min s) / (max s - min s)) ** power``, normalised; uniform if all are equal.

    Args:
        scores: [n], n >= 1.
    """
    values = np.asarray(scores, np.float64) - np.min(scores)
    if not values.max() > 0:
        return np.full(len(values), 1 / len(values))
    values = (values / values.max()) ** power
    return values / values.sum()


def inverse_transform(weights: np.ndarray, budget: int) -> np.ndarray:
    """int64 [min(budget, n)], ascending, distinct: where the cumulative ``weights``, [n], reach equidistant levels."""
    levels = np.linspace(1 / budget, 1 - 1 / budget, budget) if budget > 1 else np.array([0.5])
    reached = np.searchsorted(np.cumsum(weights), levels - 1e-9)
    taken = np.unique(np.minimum(reached, len(weights) - 1))
    left = np.array(weights, np.float64)
    left[taken] = -1.0
    missing = min(budget, len(weights)) - len(taken)
    return np.sort(np.concatenate([taken, top(left, missing)]))


@dataclass(frozen=True)
class BOLTSettings:
    """How much the scores are sharpened."""

    power: float = option(3.0, "Power to which the scores are raised; 2.5 for LongVideoBench.")

    def __post_init__(self) -> None:
        if not self.power >= 0:
            raise ConfigError(f"bolt_power={self.power}: cannot be negative")


class BOLTSelector(ScoredSelector):
    """Frames where the cumulative density reaches evenly spaced levels."""

    name = "bolt"
    Settings = BOLTSettings

    def rule(self, case: ScoredCase) -> Rule:
        pool = case.pool()
        scores = yield pool.indices
        weights = density(scores, self.settings.power)
        chosen = pool.indices[inverse_transform(weights, case.config.frames)]
        return Choice(case.picks(chosen), dict(zip(pool.indices.tolist(), weights.tolist())))
