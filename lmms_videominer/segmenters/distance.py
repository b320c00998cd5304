"""The distance between two frames: the Bhattacharyya distance of their gray histograms (method, segmentation)."""

from __future__ import annotations

import numpy as np


def bhattacharyya_distances(histograms: np.ndarray) -> np.ndarray:
    """``D_i = -ln( sum_k sqrt( H_i(k) * H_{i+1}(k) ) )`` between neighbours.

    With d from OpenCV's ``compareHist(HISTCMP_BHATTACHARYYA)``, ``D = -ln(1 - d^2)``.

    Args:
        histograms: float64 [T, bins], each row summing to 1.

    Returns:
        float64 [max(T - 1, 0)]: 0 for equal neighbours (up to rounding), ``inf`` for disjoint ones.
    """
    coefficients = np.sqrt(histograms[:-1] * histograms[1:]).sum(axis=1)  # [T - 1]
    with np.errstate(divide="ignore"):
        return -np.log(np.minimum(coefficients, 1.0)) + 0.0  # + 0.0: no negative zero
