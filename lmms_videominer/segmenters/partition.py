"""The cheapest partition of a sequence into a given number of contiguous parts, by dynamic programming."""

from __future__ import annotations

import numpy as np

_UNIT = 1e-9  # costs are rounded to multiples of this, so that sums are exact and ties are ties on every machine


def scatter(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted squared distances of the items of each part to the part's mean.

    ``scatter[i, j] = sum_t w_t |x_t|^2 - |sum_t w_t x_t|^2 / sum_t w_t``, over ``t = i..j``: the within-segment
    variance of kernel temporal segmentation (Potapov et al., ECCV 2014) with a linear kernel.

    Args:
        vectors: float64 [T, D].
        weights: float64 [T], non-negative; items of weight 0 cost nothing in any part.

    Returns:
        float64 [T, T]: the cost of the part from item i to item j, both included; 0 where i > j.
    """
    count = len(vectors)
    sums = np.zeros((count + 1, vectors.shape[1]))
    np.cumsum(vectors * weights[:, None], axis=0, out=sums[1:])
    squares = np.concatenate([[0.0], np.cumsum(weights * (vectors**2).sum(axis=1))])  # [T + 1]
    masses = np.concatenate([[0.0], np.cumsum(weights)])  # [T + 1]
    products = sums @ sums.T  # [T + 1, T + 1]
    norms = np.diag(products)
    between = norms[None, 1:] + norms[:-1, None] - 2 * products[:-1, 1:]  # [T, T]: |sum of the part|^2
    scatters = squares[None, 1:] - squares[:-1, None] - between / np.maximum(masses[None, 1:] - masses[:-1, None], 1e-9)
    return np.maximum(np.triu(scatters), 0.0)


def cheapest_partition(costs: np.ndarray, parts: int) -> list[int]:
    """First items, ascending, of all parts but the first, in the partition into ``parts`` with the least total cost.

    If no such partition exists, the one into the most parts possible. Ties are broken deterministically.

    Args:
        costs: float64 [T, T], T at least 1: the cost of the part from item i to item j; ``inf`` if it is not a
            valid part, as for every i > j.
        parts: The most parts.

    Returns:
        Positions in ``1..T-1``; none if there is one part, or no valid partition.
    """
    units = np.rint(costs / _UNIT)  # [T, T]
    ends = units[0]  # [T]: the cheapest partition of the items up to each
    choices: list[np.ndarray] = []
    begins: list[int] = []
    for number in range(2, min(parts, len(costs)) + 1):
        totals = ends[:-1, None] + units[1:]  # [T - 1, T]: by the item, from the second on, where the last part begins
        starts = np.argmin(totals, axis=0) + 1  # [T]
        ends = totals[starts - 1, np.arange(len(units))]
        choices.append(starts)
        if np.isfinite(ends[-1]):
            begins = _backtrack(choices, number)
    return begins


def _backtrack(choices: list[np.ndarray], parts: int) -> list[int]:
    """First items of all parts but the first, from the choices made for each number of parts."""
    begins = [int(choices[parts - 2][-1])]
    for starts in reversed(choices[: parts - 2]):
        begins.append(int(starts[begins[-1] - 1]))
    return begins[::-1]
