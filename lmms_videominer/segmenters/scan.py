"""Which frames of some spans are compared, and where the boundary between two of them lies."""

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
        scan_frames: How many; fewer come back where there are no more.

    Returns:
        int64 [T], ascending and unique: the frames; int64 [T], ascending: the number of the span of each.
    """
    times_s = uniform_times(union, scan_frames)
    owners = np.searchsorted([span.start_s for span in union], times_s, side="right") - 1
    indices, first_at = np.unique(frame_indices_at(reader, times_s), return_index=True)
    return indices, owners[first_at]


def boundaries_s(reader: VideoReader, indices: np.ndarray) -> np.ndarray:
    """float64 [T - 1]: where one scanned frame gives way to the next, in seconds.

    Halfway between the timestamps of the two, which halves the worst error of a sparse scan; where they are
    neighbours in the video as well, the later one's timestamp, exactly.
    """
    times_s = reader.timestamps_s[indices]  # [T]
    return np.where(np.diff(indices) == 1, times_s[1:], (times_s[:-1] + times_s[1:]) / 2)
