"""Chooses the frames to compare in a set of spans, and places the boundary between two of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmms_videominer.types import Span
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.video.timing import frame_indices_at, uniform_times


def scan(reader: VideoReader, union: Sequence[Span], scan_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames to compare, uniform over ``union``.

    Args:
        reader: The video.
        union: Disjoint spans in order, at least one.
        scan_frames: How many frames; fewer come back if the spans have fewer.

    Returns:
        int64 [T], ascending and unique: the frames. int64 [T], ascending: the index of each frame's span.
    """
    times_s = uniform_times(union, scan_frames)
    owners = np.searchsorted([span.start_s for span in union], times_s, side="right") - 1
    indices, first_at = np.unique(frame_indices_at(reader, times_s), return_index=True)
    return indices, owners[first_at]


def boundaries_s(reader: VideoReader, indices: np.ndarray) -> np.ndarray:
    """float64 [T - 1]: the boundary between each scanned frame and the next, in seconds.

    It lies halfway between the two timestamps, which halves the worst error of a sparse scan. If the frames are
    also neighbours in the video, it is exactly the later timestamp.
    """
    times_s = reader.timestamps_s[indices]  # [T]
    return np.where(np.diff(indices) == 1, times_s[1:], (times_s[:-1] + times_s[1:]) / 2)
