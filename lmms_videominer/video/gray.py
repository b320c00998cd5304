"""Grayscale histograms of RGB frames: BT.601 luma in integers, bit for bit equal to OpenCV's ``COLOR_RGB2GRAY``."""

from __future__ import annotations

import numpy as np

_WEIGHTS, _SHIFT = (9798, 19235, 3735), 15  # 0.299, 0.587, 0.114 in 1/32768


def gray(rgb: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] RGB -> uint8 [...]: ``round(0.299 R + 0.587 G + 0.114 B)`` in fixed point."""
    total = np.multiply(rgb[..., 0], _WEIGHTS[0], dtype=np.uint32)
    total += np.multiply(rgb[..., 1], _WEIGHTS[1], dtype=np.uint32)
    total += np.multiply(rgb[..., 2], _WEIGHTS[2], dtype=np.uint32)
    total += 1 << (_SHIFT - 1)
    total >>= _SHIFT
    return total.astype(np.uint8)


def gray_histogram(rgb: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> float64 [256], the share of the pixels at each gray level; sums to 1."""
    return np.bincount(gray(rgb).ravel(), minlength=256) / (rgb.shape[0] * rgb.shape[1])
