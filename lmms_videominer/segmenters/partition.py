"""The cheapest division of a sequence into a given number of contiguous parts, by dynamic programming."""

from __future__ import annotations

import numpy as np

_UNIT = 1e-9  # costs are whole multiples of this, so that sums are exact and equal costs equal on every machine


def scatter(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted squared distances of the items of each part to the part's mean.

    ``scatter[i, j] = sum_t w_t |x_t|^2 - |sum_t w_t x_t|^2 / sum_t w_t``, over ``t = i..j``: the within-segment
    variance of kernel temporal segmentation (Potapov et al., ECCV 2014) with a linear kernel.

    Args:
        vectors: float64 [T, D].
        weights: float64 [T], none negative; items of weight 0 cost nothing anywhere.

    Returns:
        float64 [T, T]: of the part from item i to item j, both included; 0 where i > j.
    """
    count = len(vectors)
    sums = np.zeros((count + 1, vectors.shape[1]))
    np.cumsum(vectors * weights[:, None], axis=0, out=sums[1:])
    squares = np.concatenate([[0.0], np.cumsum(weights * (vectors**2).sum(axis=1))])  # [T + 1]
    masses = np.concatenate([[0.0], np.cumsum(weights)])  # [T + 1]
    products = sums @ sums.T  # [T + 1, T + 1]
    norms = np.diag(products)
    between = norms[None, 1:] + norms[:-1, None] - 2 * products[:-1, 1:]  # [T, T]: |sum of the part|^2
    inside = squares[None, 1:] - squares[:-1, None] - between / np.maximum(masses[None, 1:] - masses[:-1, None], 1e-9)
    return np.maximum(np.triu(inside), 0.0)


def cheapest_partition(costs: np.ndarray, parts: int) -> list[int]:
    """Where the parts after the first begin, ascending, in the division into ``parts`` of the least total cost.

    Where no such division exists, the one into the most parts that does; of equal ones always the same.

    Args:
        costs: float64 [T, T], T at least 1: of the part from item i to item j; ``inf`` for what is no part, as
            every i > j must be.
        parts: At most so many.

    Returns:
        Positions in ``1..T-1``; none where there is one part, or no division at all.
    """
    units = np.rint(costs / _UNIT)  # [T, T]
    ends = units[0]  # [T]: the cheapest division of the items up to each
    choices: list[np.ndarray] = []
    found: list[int] = []
    for number in range(2, min(parts, len(costs)) + 1):
        totals = ends[:-1, None] + units[1:]  # [T - 1, T]: the last part begins at each item but the first
        starts = np.argmin(totals, axis=0) + 1  # [T]
        ends = totals[starts - 1, np.arange(len(units))]
        choices.append(starts)
        if np.isfinite(ends[-1]):
            found = _traced(choices, number)
    return found


def _traced(choices: list[np.ndarray], parts: int) -> list[int]:
    """The beginnings of all parts but the first, from the choices made for each number of parts."""
    begins = [int(choices[parts - 2][-1])]
    for starts in reversed(choices[: parts - 2]):
        begins.append(int(starts[begins[-1] - 1]))
    return begins[::-1]
