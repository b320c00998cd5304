"""Converts between times and frame indices. Times are seconds from the first frame; spans are half-open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video.reader import VideoReader

_EPSILON_S = 1e-6  # a time that equals a timestamp up to rounding means that frame


def frame_indices_at(reader: VideoReader, times_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """``frames_shown_at`` for the timestamps of ``reader``."""
    return frames_shown_at(reader.timestamps_s, times_s)


def frames_shown_at(timestamps_s: np.ndarray, times_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """int64 [len(times_s)]: the frame shown at each time, the last one whose timestamp is not later.

    Times before the first frame give the first frame, times past the end the last.

    Args:
        timestamps_s: float64 [frame_count], increasing.
    """
    times = np.asarray(times_s, dtype=np.float64).reshape(-1)
    indices = np.searchsorted(timestamps_s, times + _EPSILON_S, side="right") - 1
    return np.maximum(indices, 0).astype(np.int64)


def frames_beginning_in(timestamps_s: np.ndarray, span: Span) -> tuple[int, int]:
    """``(first, stop)``: the frames ``first <= i < stop`` have their timestamps in ``span``; none if both are equal.

    Args:
        timestamps_s: float64 [frame_count], increasing.
    """
    first, stop = np.searchsorted(timestamps_s, np.array([span.start_s, span.end_s]) - _EPSILON_S)
    return int(first), int(stop)


def uniform_times(spans: Sequence[Span], n: int) -> np.ndarray:
    """float64 [n], ascending: midpoints of ``n`` equal shares of the union of ``spans``, in seconds.

    Gaps between spans are skipped. A union of zero length gives its start ``n`` times.

    Raises:
        ValueError: There is no span.
    """
    union = merge_spans(spans)
    if not union:
        raise ValueError("uniform_times needs at least one span")
    starts = np.array([span.start_s for span in union])  # [S]
    ends = np.array([span.end_s for span in union])  # [S]
    before = np.concatenate([[0.0], np.cumsum(ends - starts)])  # [S + 1] seconds of the union before each span
    offsets = (np.arange(n) + 0.5) * before[-1] / max(n, 1)  # [n] seconds from the start of the union, gaps skipped
    span = np.clip(np.searchsorted(before, offsets, side="right") - 1, 0, len(union) - 1)
    return np.minimum(starts[span] + offsets - before[span], ends[span])
