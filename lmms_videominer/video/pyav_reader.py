"""Reads videos with PyAV: works wherever Python does, for every format that FFmpeg knows."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterator, Sequence, Set
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lmms_videominer.profiling import staged
from lmms_videominer.types import VideoInfo
from lmms_videominer.video import faults
from lmms_videominer.video.containers import decode_threads, decoded, demuxed, open_container, packets_from, stream_of
from lmms_videominer.video.gray import gray_histogram
from lmms_videominer.video.picture import Pictures
from lmms_videominer.video.reader import NO_FRAMES
from lmms_videominer.video.sync_frames import SyncDecoder
from lmms_videominer.video.track import Track

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

_logger = logging.getLogger("lmms_videominer")

_EQUAL_S = 1e-6  # distances in time that differ by less are equal
_TRIES = 4  # seeks before a frame counts as missing, the last to the seventh key frame further back
_NEAR = 8  # frames: a gap up to this size is decoded through instead of skipped by a seek


class PyAVReader:
    """Seeks to the key frame before each requested frame and decodes from there; reads dense requests in one pass.

    Frames that neither are requested nor serve to decode others are passed over. A key frame of which nothing that
    follows is requested is decoded alone.

    A frame that cannot be decoded is replaced by the nearest one that can, the earlier of two equally near.

    Args:
        track: The index of the file.
        pixels: Frames are scaled to at most as many pixels, as they are converted; 0: not at all.
    """

    def __init__(self, track: Track, pixels: int = 0):
        self._track = track
        self._small, self._whole = Pictures(track, pixels), Pictures(track)
        self._cursor: _Cursor | None = None
        self._sync: SyncDecoder | None = None
        self._careful = False  # once damage has been met
        self._gaps: list[_Gap] = []  # sorted: stretches of frames that cannot be decoded
        self._substituted: set[int] = set()
        self.info: VideoInfo = track.info("pyav")
        self.timestamps_s: np.ndarray = track.times_s
        self.frame_size: tuple[int, int] = self._small.size
        self.sync_frames: np.ndarray = track.sync_frames
        self.coarse_frames: np.ndarray = NO_FRAMES

    @property
    def damaged(self) -> Set[int]:
        return frozenset(self._substituted)

    @property
    def substituted(self) -> int:
        return len(self._substituted)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        targets = self._track.check_indices(indices)
        out = np.empty((len(targets), *self.frame_size, 3), dtype=np.uint8)
        for index, frame in self._each(targets):
            out[targets == index] = self._small.rgb(frame)
        return out

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        targets = self._track.check_indices(indices)
        out = np.empty((len(targets), 256), dtype=np.float64)
        for index, frame in self._each(targets):
            out[targets == index] = gray_histogram(self._whole.rgb(frame))
        return out

    def close(self) -> None:
        self._close_cursor()
        if self._sync:
            self._sync.close()
        self._sync = None

    def __enter__(self) -> PyAVReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _each(self, targets: np.ndarray) -> Iterator[tuple[int, VideoFrame]]:
        """Each requested frame once, in ascending order."""
        unique = np.unique(targets)
        alone = self._alone(unique)
        wanted = frozenset(self._track.pts[unique[~alone]].tolist())
        for index, is_alone in zip(unique.tolist(), alone.tolist(), strict=True):
            frame = self._sync_frame(index) if is_alone else None
            yield index, self._frame(index, wanted) if frame is None else frame

    def _alone(self, unique: np.ndarray) -> np.ndarray:
        """bool [n]: the sync frames among ascending frames [n] that have none of the others after them up to the next
        sync frame."""
        sync, count = self._track.sync_frames, len(self.timestamps_s)
        follows = np.append(unique[1:], count)  # [n]
        next_sync = np.append(sync, count)[np.searchsorted(sync, unique, side="right")]  # [n]
        return np.isin(unique, sync) & (follows >= next_sync)

    def _sync_frame(self, index: int) -> VideoFrame | None:
        """A sync frame, decoded alone; ``None`` if it does not come that way, or the cursor is there already."""
        if self._careful or (self._cursor and self._cursor.near(index)):
            return None
        self._sync = self._sync or SyncDecoder(self._track)
        return self._sync.frame(int(self._track.pts[index]))

    def _frame(self, index: int, wanted: Set[int]) -> VideoFrame:
        frame = None if self._gap_at(index) else self._found(index, wanted)
        return self._substitute(index) if frame is None else frame

    def _found(self, index: int, wanted: Set[int] = frozenset()) -> VideoFrame | None:
        """Frame ``index``, or ``None`` if it cannot be decoded, also with a decoder that passes over damage.

        Args:
            wanted: The pts of the frames that are requested with it.
        """
        for _ in range(1 if self._careful else 2):
            self._cursor = self._cursor or _Cursor(self._track, self._careful)
            frame = self._cursor.find(index, wanted)
            if frame is not None:
                return frame
            self._careful = True
            self._close_cursor()
        return None

    def _close_cursor(self) -> None:
        if self._cursor:
            self._cursor.close()
        self._cursor = None

    def _substitute(self, index: int) -> VideoFrame:
        lost = faults.damaged(self.info.path, self.timestamps_s[index])
        gap = self._gap_at(index) or self._new_gap(index)
        while not gap.is_whole(len(self.timestamps_s)):
            server = gap.nearest(index, self.timestamps_s)
            frame = self._found(server)
            if frame is not None:
                if not self._substituted:
                    _logger.warning("%s: %s; the nearest frame serves, here and wherever else", lost.path, lost.reason)
                self._substituted.add(index)
                return frame
            gap = self._widen(gap, server)
        raise lost

    def _gap_at(self, index: int) -> _Gap | None:
        place = bisect.bisect_right(self._gaps, index, key=lambda gap: gap.first) - 1
        return self._gaps[place] if place >= 0 and index < self._gaps[place].stop else None

    def _new_gap(self, index: int) -> _Gap:
        cursor = _Cursor(self._track, careful=True)
        try:
            gap = cursor.gap(index)
        finally:
            cursor.close()
        bisect.insort(self._gaps, gap)
        return gap

    def _widen(self, gap: _Gap, index: int) -> _Gap:
        """Frame ``index`` beside ``gap`` cannot be decoded either: join it, and whatever gap it lies in."""
        joined = _Gap(min(gap.first, index), max(gap.stop, index + 1))
        touching = [other for other in self._gaps if other.first <= joined.stop and joined.first <= other.stop]
        joined = _Gap(min(g.first for g in [joined, *touching]), max(g.stop for g in [joined, *touching]))
        self._gaps = sorted([other for other in self._gaps if other not in touching] + [joined])
        return joined


class _Gap(NamedTuple):
    """Frames ``first <= i < stop`` cannot be decoded."""

    first: int
    stop: int

    def is_whole(self, count: int) -> bool:
        return self.first <= 0 and self.stop >= count

    def nearest(self, index: int, times_s: np.ndarray) -> int:
        """The nearest frame outside, the earlier of two equally near."""
        if self.first == 0:
            return self.stop
        if self.stop == len(times_s):
            return self.first - 1
        later_s, earlier_s = times_s[self.stop] - times_s[index], times_s[index] - times_s[self.first - 1]
        return self.stop if later_s < earlier_s - _EQUAL_S else self.first - 1


class _Cursor:
    """A decoder with its position in the track.

    Args:
        track: The index of the file.
        careful: Pass over damage. Decode frame by frame, so that it costs no frame but the damaged ones; otherwise
            decoding ends where it is met.
    """

    def __init__(self, track: Track, careful: bool = False):
        self._track = track
        self._careful = careful
        self._position, self._key = -1, -1
        self._skips = track.skips and not careful
        self._wanted: Set[int] = frozenset()  # pts of the frames that are not passed over
        self._sent_pts = -1  # the latest frame whose packet the decoder has
        self._keys = np.searchsorted(track.pts, track.key_pts) if track.seekable else np.zeros(1, dtype=np.int64)
        self._open()

    def find(self, index: int, wanted: Set[int] = frozenset()) -> VideoFrame | None:
        """Frame ``index``, or ``None`` if it is missing from the stream.

        Args:
            wanted: The pts of frames that are asked for next.
        """
        near = self.near(index)
        self._wanted = (self._wanted if near else frozenset()) | wanted | {int(self._track.pts[index])}
        if near:
            return self._forward(index)
        for back in islice(self._steps_back(index), _TRIES):
            self._seek(index, back)
            frame = self._forward(index)
            if frame is not None or self._is_whole:
                return frame
        return None

    def gap(self, index: int) -> _Gap:
        """The frames around ``index``, which is missing, that are missing too."""
        before, after = -1, len(self._track.pts)
        for back in self._steps_back(index):
            self._seek(index, back)
            for frame in self._decoded:
                self._position = self._index_of(frame)
                if self._position > index:
                    after = min(after, self._position)
                    break
                if self._position < index:
                    before = max(before, self._position)
            if before >= 0:
                break
        return _Gap(before + 1, after)

    def _forward(self, index: int) -> VideoFrame | None:
        """Frame ``index``, decoding forward to where it should be."""
        seekable, pts = self._track.seekable, int(self._track.pts[index])
        for frame in self._decoded:
            if seekable and self._is_whole and frame.pts is not None and frame.pts < pts:
                continue  # their places do not matter
            self._position = self._index_of(frame)
            self._is_whole |= self._position == self._key
            if self._position >= index:
                return frame if self._position == index else None
        return None

    def _steps_back(self, index: int) -> Iterator[int]:
        """How many key frames to go back: decoding may give nothing, or no whole pictures, for a while."""
        back, most = 0, self._key_place(index)
        while back < most:
            yield back
            back = 2 * back + 1
        yield most

    def close(self) -> None:
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._track.path)
        self._stream = stream_of(self._container, self._track.stream_index)
        self._stream.thread_type = "SLICE" if self._careful else "AUTO"
        self._stream.codec_context.thread_count = decode_threads(self._track.width, self._track.height)
        self._start(demuxed(self._container, self._stream))

    def _start(self, packets: Iterator[Packet], key: int = -1) -> None:
        """Decode from ``packets``, which begin with key frame ``key``, or with one that is not shown."""
        self._decoded = decoded(self._stream, self._passing_over(packets), past_damage=self._careful)
        self._position, self._key, self._sent_pts = -1, key, int(np.iinfo(np.int64).min)
        self._is_whole = key < 0  # whether decoding has given the key frame: without it, others lack their reference

    def _passing_over(self, packets: Iterator[Packet]) -> Iterator[Packet]:
        """``packets``; the decoder passes over pictures that nobody wants and no other refers to."""
        for packet in packets:
            if self._skips and packet.pts is not None:
                self._stream.codec_context.skip_frame = "DEFAULT" if packet.pts in self._wanted else "NONREF"
                self._sent_pts = max(self._sent_pts, packet.pts)
            yield packet

    def near(self, index: int) -> bool:
        """Whether decoding forward reaches ``index`` sooner than a seek."""
        pts = int(self._track.pts[index])
        ahead = index > self._position and not (self._skips and pts <= self._sent_pts and pts not in self._wanted)
        return ahead and (not self._track.seekable or self._key_before(index) - self._position <= _NEAR)

    def _key_before(self, index: int) -> int:
        return int(self._keys[self._key_place(index)])

    def _key_place(self, index: int) -> int:
        """Which key frame is the last that is not after frame ``index``."""
        if not self._track.seekable:
            return 0
        return max(int(np.searchsorted(self._track.key_pts, self._track.pts[index], side="right")) - 1, 0)

    @staged("seek")
    def _seek(self, index: int, back: int = 0) -> None:
        """Go to the key frame before ``index``, or ``back`` key frames further back."""
        # Some demuxers land too late, others on a frame that is not a key frame: check, and go further back if needed
        place = self._key_place(index) - back
        latest_pts = int(self._track.key_pts[place])
        for steps in range(3) if self._track.seekable else ():
            packets = packets_from(self._container, self._stream, int(self._track.key_pts[max(place - steps, 0)]))
            key = next((packet for packet in packets if packet.is_keyframe), None)
            if key is not None and key.pts is not None and key.pts <= latest_pts:
                return self._start(chain([key], packets), self._place_of(key.pts))
        self.close()
        self._open()

    def _index_of(self, frame: VideoFrame) -> int:
        """Position of a decoded frame in the track; -1 if it is not in the track."""
        if self._track.numbered:
            return self._position + 1
        pts = self._track.pts
        if not self._track.seekable:  # the clock was set anew: the same time may stand for several frames
            if self._position + 1 < len(pts) and pts[self._position + 1] == frame.pts:
                return self._position + 1
            ahead = np.flatnonzero(pts[self._position + 1 :] == frame.pts)
            return self._position + 1 + int(ahead[0]) if len(ahead) else self._position
        return self._place_of(frame.pts)

    def _place_of(self, pts: int | None) -> int:
        """The frame that is shown at ``pts``; -1 if there is none."""
        index = int(np.searchsorted(self._track.pts, pts)) if pts is not None else len(self._track.pts)
        return index if index < len(self._track.pts) and self._track.pts[index] == pts else -1
