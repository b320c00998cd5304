"""Intervals: of an accuracy, and of the difference between two variants that answered the same questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000
_AT_ONCE = 2_000_000  # values resampled at once: bounds memory


@dataclass(frozen=True)
class Interval:
    """An estimate with its bounds; both ``None`` where fewer than two questions say nothing of the spread."""

    value: float
    low: float | None
    high: float | None


def accuracy_interval(scores: np.ndarray) -> Interval:
    """The mean of ``scores`` with its 95 % interval: Wilson's for right or wrong, else the percentile bootstrap.

    Wilson's has a width even where all answers are right; a bootstrap of equal values has none.

    Args:
        scores: float [n], n >= 1, each in [0, 1].
    """
    from scipy.stats import binomtest

    scores = np.asarray(scores, np.float64)
    if not np.isin(scores, (0.0, 1.0)).all():
        return difference_interval(scores, np.zeros_like(scores))
    bounds = binomtest(int(scores.sum()), len(scores)).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(scores.mean()), float(bounds.low), float(bounds.high))


def difference_interval(first: np.ndarray, second: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """``mean(first) - mean(second)`` with its 95 % interval by the paired percentile bootstrap.

    Questions are drawn with replacement, both answers to a question together (``scipy.stats.bootstrap``).

    Args:
        first, second: float [n]: scores of the same n >= 1 questions, in one order.
        seed: Of the draws.
        resamples: How many.
    """
    from scipy.stats import bootstrap

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    value = float(first.mean() - second.mean())
    if len(first) < 2:
        return Interval(value, None, None)
    found = bootstrap((first, second), _mean_difference, n_resamples=resamples, paired=True, vectorized=True,
                      batch=max(1, _AT_ONCE // len(first)), confidence_level=CONFIDENCE, method="percentile",
                      rng=np.random.default_rng(seed))  # fmt: skip
    low, high = found.confidence_interval
    return Interval(value, float(low), float(high))


def _mean_difference(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(first, axis=axis) - np.mean(second, axis=axis)
