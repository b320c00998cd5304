"""What a frame looks like, whatever light falls on it: its colours without their brightness, and its relative tones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmms_videominer.video.reader import VideoReader, in_parts

COLOUR_BINS, TONE_BINS = 12, 16
TONE_SHARE = 0.25  # of tones beside colours: they carry films without colour, and add little to those with it
_FIELD = 0.9  # chromaticities above this share of one channel fall into the last bin
_STOPS = 5.0  # width of the histogram of tones, in powers of e, around the mean of the frame
_DARK = 16.0  # of 255: a pixel this bright counts half, a black one not at all
_OFFSET = 4.0  # of 255: draws the colours of dark pixels, which are noise, to grey
_PIXELS = 4096  # no more of a frame are looked at, on an even grid
_CHUNK_BYTES = 64 << 20  # decoded frames held at once
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

DIMENSIONS = COLOUR_BINS**2 + TONE_BINS


def appearances(reader: VideoReader, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """``embed`` of frames of a video, read in parts.

    Raises:
        VideoError: A frame cannot be decoded.
    """
    stride = math.ceil(math.sqrt(reader.info.height * reader.info.width / _PIXELS))
    parts = [embed(reader.frames(part)[:, ::stride, ::stride]) for part in in_parts(indices, reader.info, _CHUNK_BYTES)]
    vectors, weights = zip((np.empty((0, DIMENSIONS)), np.empty(0)), *parts)
    return np.concatenate(vectors), np.concatenate(weights)


def embed(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of what a change of exposure leaves as it is, as vectors to compare by Euclidean distance.

    Two histograms a frame: of chromaticity (the shares of red and of blue in a pixel), and of the logarithm of luma
    relative to the frame's mean. A gain cancels out in both. A pixel falls into neighbouring bins by its
    distance to each, so that a slight change of colour is a slight change of the histogram, and counts by its
    brightness, so that what darkness hides is not mistaken for grey. The vectors hold square roots: the product of two
    is then the Bhattacharyya coefficient, from which the paper's distance is made.

    Args:
        frames: uint8 [T, H, W, 3], RGB.

    Returns:
        float64 [T, DIMENSIONS]: vectors; all zero for a black frame. float64 [T]: how much is to be seen of each frame,
        from 0 (black) to nearly 1.
    """
    rgb = frames.reshape(len(frames), -1, 3).astype(np.float32)  # [T, P, 3]
    brightest = rgb.max(axis=2)  # [T, P]
    seen = brightest**2 / (brightest**2 + _DARK**2)  # [T, P]
    colours = _colour_histograms(rgb + _OFFSET, seen)  # [T, COLOUR_BINS ** 2]
    tones = _tone_histograms(np.log(rgb @ _LUMA + _OFFSET), seen)  # [T, TONE_BINS]
    weights = seen.mean(axis=1, dtype=np.float64)
    return np.hstack([np.sqrt(colours), np.sqrt(TONE_SHARE * tones)]), weights


def _colour_histograms(rgb: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """float64 [T, COLOUR_BINS ** 2] of values above 0, [T, P, 3], weighted by ``seen``, [T, P]."""
    total = rgb.sum(axis=2)
    red, red_rest = _bins(rgb[..., 0] / total / _FIELD, COLOUR_BINS)
    blue, blue_rest = _bins(rgb[..., 2] / total / _FIELD, COLOUR_BINS)
    counts = np.zeros((len(rgb), COLOUR_BINS**2))
    for right, red_share in ((0, 1 - red_rest), (1, red_rest)):
        for below, blue_share in ((0, 1 - blue_rest), (1, blue_rest)):
            counts += _counts((red + right) * COLOUR_BINS + blue + below, red_share * blue_share * seen, COLOUR_BINS**2)
    return _normalised(counts)


def _tone_histograms(tones: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """float64 [T, TONE_BINS] of logarithms of luma, [T, P], about their mean, both weighted by ``seen``."""
    mean = (tones * seen).sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1e-6)
    tone, rest = _bins((tones - mean) / _STOPS + 0.5, TONE_BINS)
    return _normalised(_counts(tone, (1 - rest) * seen, TONE_BINS) + _counts(tone + 1, rest * seen, TONE_BINS))


def _bins(shares: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The lower of the two bins of each value in [0, 1], and how far, in [0, 1), it lies towards the upper one."""
    places = np.clip(shares, 0, 1) * (bins - 1)
    lower = np.minimum(places.astype(np.int64), bins - 2)
    return lower, places - lower


def _counts(codes: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """float64 [T, bins]: the sum of the weights, [T, P], of each code, [T, P], of each row."""
    rows = codes + np.arange(len(codes))[:, None] * bins
    return np.bincount(rows.ravel(), weights.ravel(), minlength=len(codes) * bins).reshape(len(codes), bins)


def _normalised(counts: np.ndarray) -> np.ndarray:
    """Rows that sum to 1, or to 0 where nothing is seen."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
