"""A part of a video, read as if it were a video of its own."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np

from lmms_videominer.types import Span
from lmms_videominer.video.reader import ReaderAround, VideoReader
from lmms_videominer.video.timing import frames_beginning_in, frames_shown_at


class ExcerptReader(ReaderAround):
    """The frames of ``reader`` that are shown in ``span``, from index 0 on, at times from the start of the span.

    The frame that is shown when the span starts is the first, though it may have begun before. For a frame that cannot
    be decoded, one outside the span may serve.

    Args:
        reader: The whole video.
        span: Its part, which begins before the video ends; what lies behind the end is left out.

    Attributes:
        span: The part, in seconds from the first frame of the whole video.
    """

    def __init__(self, reader: VideoReader, span: Span):
        super().__init__(reader)
        self.span = Span(span.start_s, min(span.end_s, reader.info.duration_s))
        self._whole_s = reader.timestamps_s
        self._first = int(frames_shown_at(self._whole_s, [self.span.start_s])[0])
        self._stop = max(frames_beginning_in(self._whole_s, self.span)[1], self._first + 1)
        self._times_s = self._whole_s[self._first : self._stop] - self.span.start_s
        self._times_s[0] = 0.0
        count, length_s = self._stop - self._first, self.span.duration_s
        self.info = replace(reader.info, duration_s=length_s, frame_count=count, average_fps=count / length_s)

    @property
    def timestamps_s(self) -> np.ndarray:
        return self._times_s

    @property
    def sync_frames(self) -> np.ndarray:
        return self._inside(self._reader.sync_frames)

    @property
    def coarse_frames(self) -> np.ndarray:
        return self._inside(self._reader.coarse_frames)

    @property
    def damaged(self) -> Set[int]:
        return frozenset(i - self._first for i in self._reader.damaged if self._first <= i < self._stop)

    @property
    def substituted(self) -> int:
        return len(self.damaged)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._reader.frames([self.index_in_whole(index) for index in indices])

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        return self._reader.gray_histograms([self.index_in_whole(index) for index in indices])

    def close(self) -> None:
        """Nothing: the whole video stays open for whoever opened it."""

    def index_in_whole(self, index: int) -> int:
        """The index in the whole video of frame ``index`` of the part.

        Raises:
            IndexError: The part has no such frame.
        """
        if not 0 <= index < len(self._times_s):
            raise IndexError(f"{self.info.path}: no frame {index} in a part of {len(self._times_s)} frames")
        return self._first + int(index)

    def time_of(self, index: int) -> float:
        """When frame ``index`` of the part begins in the whole video, in seconds."""
        return float(self._whole_s[self.index_in_whole(index)])

    def span_in_whole(self, span: Span) -> Span:
        """A span of the part, in seconds from the first frame of the whole video."""
        start_s, end_s = (min(self.span.start_s + time_s, self.span.end_s) for time_s in (span.start_s, span.end_s))
        return Span(start_s, end_s)

    def span_in_part(self, span: Span) -> Span:
        """What of a span of the whole video is in the part, which it overlaps, in seconds from the part's start."""
        return Span(max(span.start_s - self.span.start_s, 0.0), min(span.end_s, self.span.end_s) - self.span.start_s)

    def _inside(self, frames: np.ndarray) -> np.ndarray:
        return frames[(frames >= self._first) & (frames < self._stop)] - self._first
