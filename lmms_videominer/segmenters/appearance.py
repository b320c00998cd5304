"""Exposure-invariant frame features: chromaticity without brightness, and relative tones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmms_videominer.video.reader import VideoReader, in_parts

COLOUR_BINS, TONE_BINS = 12, 16
TONE_SHARE = (
    0.25  # weight of tones relative to colours: tones decide in black-and-white video, and add little in colour
)
_FIELD = 0.9  # chromaticities above this share of one channel fall into the last bin
_STOPS = 5.0  # width of the tone histogram around the frame's mean, in powers of e
_DARK = 16.0  # of 255: a pixel this bright has weight 0.5, a black one weight 0
_OFFSET = 4.0  # of 255: pulls the colours of dark pixels, which are noise, towards grey
_PIXELS = 4096  # pixels per frame that are used, on an even grid
_CHUNK_BYTES = 64 << 20  # limit on the decoded frames in memory at once
_AT_ONCE = 64  # frames embedded at once; each takes 0.3 MB while it is
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

DIMENSIONS = COLOUR_BINS**2 + TONE_BINS


def appearances(reader: VideoReader, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """``embed`` the frames at ``indices`` of a video, at least one, read in parts.

    Every ``s``-th pixel of each ``s``-th line is used, so that there are at most ``_PIXELS``.

    Raises:
        VideoError: A frame cannot be decoded.
    """
    height, width = reader.frame_size
    stride = math.ceil(math.sqrt(height * width / _PIXELS))
    most = min(_CHUNK_BYTES, _AT_ONCE * height * width * 3)
    parts = [embed(reader.frames(part)[:, ::stride, ::stride]) for part in in_parts(indices, (height, width), most)]
    vectors, weights = zip(*parts)
    return np.concatenate(vectors), np.concatenate(weights)


def embed(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exposure-invariant histograms, as vectors to compare by Euclidean distance.

    Each frame has two histograms: of chromaticity (the shares of red and blue in a pixel), and of log luma relative
    to the frame's mean. A gain cancels out in both. A pixel is split between neighbouring bins by its distance to
    each, so that a slight change of colour is a slight change of the histogram. It is weighted by its brightness,
    so that dark areas are not mistaken for grey. The vectors hold square roots, so the dot product of two is their
    Bhattacharyya coefficient, which the paper's distance is based on.

    Args:
        frames: uint8 [T, H, W, 3], RGB.

    Returns:
        float64 [T, DIMENSIONS]: vectors; all zero for a black frame. float64 [T]: visibility of each frame, from
        0 (black) to nearly 1.
    """
    rgb = frames.reshape(len(frames), -1, 3).astype(np.float32)  # [T, P, 3]
    brightest = rgb.max(axis=2)  # [T, P]
    visibility = brightest**2 / (brightest**2 + _DARK**2)  # [T, P]
    colours = _colour_histograms(rgb + _OFFSET, visibility)  # [T, COLOUR_BINS ** 2]
    tones = _tone_histograms(np.log(rgb @ _LUMA + _OFFSET), visibility)  # [T, TONE_BINS]
    weights = visibility.mean(axis=1, dtype=np.float64)
    return np.hstack([np.sqrt(colours), np.sqrt(TONE_SHARE * tones)]), weights


def _colour_histograms(rgb: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """float64 [T, COLOUR_BINS ** 2]: histograms of positive RGB, [T, P, 3], weighted by ``visibility``, [T, P]."""
    total = rgb.sum(axis=2)
    red, red_upper = _bins(rgb[..., 0] / total / _FIELD, COLOUR_BINS)
    blue, blue_upper = _bins(rgb[..., 2] / total / _FIELD, COLOUR_BINS)
    counts = np.zeros((len(rgb), COLOUR_BINS**2))
    for right, red_share in ((0, 1 - red_upper), (1, red_upper)):
        for below, blue_share in ((0, 1 - blue_upper), (1, blue_upper)):
            counts += _counts(
                (red + right) * COLOUR_BINS + blue + below, red_share * blue_share * visibility, COLOUR_BINS**2
            )
    return _normalised(counts)


def _tone_histograms(tones: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """float64 [T, TONE_BINS]: histograms of log luma, [T, P], about its mean, both weighted by ``visibility``."""
    mean = (tones * visibility).sum(axis=1, keepdims=True) / np.maximum(visibility.sum(axis=1, keepdims=True), 1e-6)
    lower, upper_share = _bins((tones - mean) / _STOPS + 0.5, TONE_BINS)
    return _normalised(
        _counts(lower, (1 - upper_share) * visibility, TONE_BINS)
        + _counts(lower + 1, upper_share * visibility, TONE_BINS)
    )


def _bins(shares: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The lower of the two bins that each value in [0, 1] falls between, and the share of the upper bin."""
    places = np.clip(shares, 0, 1) * (bins - 1)
    lower = np.minimum(places.astype(np.int64), bins - 2)
    return lower, places - lower


def _counts(codes: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """float64 [T, bins]: for each row, the sum of the weights, [T, P], of each code, [T, P]."""
    rows = codes + np.arange(len(codes))[:, None] * bins
    return np.bincount(rows.ravel(), weights.ravel(), minlength=len(codes) * bins).reshape(len(codes), bins)


def _normalised(counts: np.ndarray) -> np.ndarray:
    """Rows scaled to sum to 1, or 0 if nothing is visible."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
