"""Chooses the frames to compare in a set of spans, and places the boundary between two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lmms_videominer.types import Span
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.video.timing import frame_indices_at, uniform_times

COARSE_S = 2.0  # seconds between the frames of a scan from which it is coarse
MOST_EXACT = 0.5  # share of the spans that may lie between coarse frames farther apart than a step
_EPSILON_S = 1e-6


def scan(reader: VideoReader, union: Sequence[Span], scan_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames to compare: uniform over ``union``, or the reader's ``coarse_frames`` if the scan is coarse.

    Of coarse frames as few are taken as leave no two farther apart than uniform ones would be, at most twice as many;
    where they are rarer, others fill in. If that is so in most of ``union``, the frames are uniform.

    Args:
        reader: The video.
        union: Disjoint spans in order, at least one.
        scan_frames: How many uniform frames; fewer come back if the spans have fewer.

    Returns:
        int64 [T], ascending and unique: the frames. int64 [T], ascending: the index of each frame's span.
    """
    step_s = sum(span.duration_s for span in union) / scan_frames
    times_s = _coarse_times(reader, union, step_s) if step_s >= COARSE_S else None
    if times_s is None:
        times_s = uniform_times(union, scan_frames)
    owners = np.searchsorted([span.start_s for span in union], times_s, side="right") - 1
    indices, first_at = np.unique(frame_indices_at(reader, times_s), return_index=True)
    return indices, owners[first_at]


def _coarse_times(reader: VideoReader, union: Sequence[Span], step_s: float) -> np.ndarray | None:
    """float64 [T], ascending: times of coarse frames no farther apart than ``step_s``, and of others that fill in.

    ``None`` if those would have to fill in too much.
    """
    coarse_s = reader.timestamps_s[reader.coarse_frames]
    times_s: list[float] = []
    filled_s = 0.0
    for span in union:
        own_s = coarse_s[(coarse_s >= span.start_s) & (coarse_s < span.end_s)]
        # what is shown at the borders counts as seen half a step away, as with uniform frames
        chosen_s = _sparsest([span.start_s - step_s / 2, *own_s.tolist(), span.end_s + step_s / 2], step_s)
        for before_s, after_s in pairwise(chosen_s):
            gaps = math.ceil((after_s - before_s) / step_s - _EPSILON_S)
            filled_s += after_s - before_s if gaps > 1 else 0.0
            between_s = before_s + (after_s - before_s) * np.arange(1, gaps) / max(gaps, 1)
            times_s += [time_s for time_s in (*between_s, after_s) if span.start_s <= time_s < span.end_s]
    return np.array(times_s) if filled_s <= MOST_EXACT * sum(span.duration_s for span in union) else None


def _sparsest(times_s: Sequence[float], step_s: float) -> list[float]:
    """The first and the last of ascending times, and as few others as leave gaps of at most ``step_s``, if they can."""
    chosen = [times_s[0]]
    for time_s, next_s in pairwise(times_s[1:]):
        if next_s - chosen[-1] > step_s + _EPSILON_S:
            chosen.append(time_s)
    return [*chosen, times_s[-1]]


def boundaries_s(reader: VideoReader, indices: np.ndarray) -> np.ndarray:
    """float64 [T - 1]: the boundary between each scanned frame and the next, in seconds.

    It lies halfway between the two timestamps, which halves the worst error of a sparse scan. If the frames are
    also neighbours in the video, it is exactly the later timestamp.
    """
    times_s = reader.timestamps_s[indices]  # [T]
    return np.where(np.diff(indices) == 1, times_s[1:], (times_s[:-1] + times_s[1:]) / 2)
