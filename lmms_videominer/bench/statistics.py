"""Confidence intervals of an accuracy, and of the difference between two variants on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000
_AT_ONCE = 2_000_000  # values resampled at once; limits memory


@dataclass(frozen=True)
class Interval:
    """An estimate with its bounds; both are ``None`` for a single question or video, which shows no spread."""

    value: float
    low: float | None
    high: float | None


def accuracy_interval(scores: np.ndarray) -> Interval:
    """The mean of ``scores`` with its 95 % interval: Wilson's for binary scores, else the percentile bootstrap.

    Unlike a bootstrap of equal values, Wilson's interval has a width even if all answers are correct.

    Args:
        scores: float [n], n >= 1, each in [0, 1].
    """
    from scipy.stats import binomtest

    scores = np.asarray(scores, np.float64)
    if not np.isin(scores, (0.0, 1.0)).all():
        return difference_interval(scores, np.zeros_like(scores))
    bounds = binomtest(int(scores.sum()), len(scores)).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(scores.mean()), float(bounds.low), float(bounds.high))


def difference_interval(
    first: np.ndarray,
    second: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
    videos: Sequence[str] | None = None,
) -> Interval:
    """``mean(first) - mean(second)`` with its 95 % interval by the paired percentile bootstrap.

    Videos are drawn with replacement, each with all its questions and both answers to each, since results for
    questions on one video are correlated (``scipy.stats.bootstrap`` on the sums of each video).

    Args:
        first, second: float [n]: scores of the same n >= 1 questions, in the same order.
        seed: Seed of the draws.
        resamples: Number of resamples.
        videos: The video of each question, empty if unknown; ``None``: draw every question independently.
    """
    from scipy.stats import bootstrap

    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    places: dict[str | int, int] = {}  # index of each video, in the order of their first questions
    names = videos or [""] * len(differences)
    owners = [places.setdefault(video or question, len(places)) for question, video in enumerate(names)]
    sums, counts, value = np.bincount(owners, differences), np.bincount(owners), float(differences.mean())
    if len(sums) < 2:
        return Interval(value, None, None)
    result = bootstrap(
        (sums, counts.astype(np.float64)),
        _ratio,
        n_resamples=resamples,
        paired=True,
        vectorized=True,
        batch=max(1, _AT_ONCE // len(sums)),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(value, float(low), float(high))


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.sum(sums, axis=axis) / np.sum(counts, axis=axis)
