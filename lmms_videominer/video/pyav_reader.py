"""Reads videos with PyAV: works wherever Python does, for every format that FFmpeg knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.types import VideoInfo
from lmms_videominer.video import faults
from lmms_videominer.video.gray import gray_histogram
from lmms_videominer.video.track import Track, decode_threads, open_container, picture_stream

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

_NEAR = 8  # frames: a gap up to this size is decoded through instead of skipped by a seek


class PyAVReader:
    """Seeks to the key frame before each requested frame and decodes from there; reads dense requests in one pass.

    Args:
        track: The index of the file.
    """

    def __init__(self, track: Track):
        self._track = track
        self._cursor: _Cursor | None = None
        self.info: VideoInfo = track.info("pyav")
        self.timestamps_s: np.ndarray = track.times_s

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        targets = self._track.check_indices(indices)
        out = np.empty((len(targets), self.info.height, self.info.width, 3), dtype=np.uint8)
        for index, rgb in self._rgb(targets):
            out[targets == index] = rgb
        return out

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        targets = self._track.check_indices(indices)
        out = np.empty((len(targets), 256), dtype=np.float64)
        for index, rgb in self._rgb(targets):
            out[targets == index] = gray_histogram(rgb)
        return out

    def close(self) -> None:
        if self._cursor:
            self._cursor.close()
        self._cursor = None

    def __enter__(self) -> PyAVReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rgb(self, targets: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Each requested frame once, in ascending order."""
        for index in np.unique(targets).tolist():
            yield index, _to_rgb(self._frame(index), self._track)

    def _frame(self, index: int) -> VideoFrame:
        import av

        try:
            self._cursor = self._cursor or _Cursor(self._track)
            frame = self._cursor.find(index)
        except av.FFmpegError as error:
            self.close()
            raise faults.damaged(self.info.path, self.timestamps_s[index], error.strerror) from error
        if frame is None:
            self.close()
            raise faults.damaged(self.info.path, self.timestamps_s[index])
        return frame


class _Cursor:
    """A decoder with its position in the track."""

    def __init__(self, track: Track):
        self._track = track
        self._keys = np.flatnonzero(track.is_key)
        self._open()

    def find(self, index: int) -> VideoFrame | None:
        """Frame ``index``, or ``None`` if it is missing from the stream."""
        if not self._near(index):
            self._seek(index)
        for frame in self._decoded:
            self._position = self._index_of(frame)
            if self._position == index:
                return frame
            if self._position > index:
                return None
        return None

    def close(self) -> None:
        self._container.close()

    def _open(self) -> None:
        self._container = open_container(self._track.path)
        self._stream = picture_stream(self._container, self._track.path)
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = decode_threads(self._track.width, self._track.height)
        self._start(self._container.demux(self._stream))

    def _start(self, packets: Iterator[Packet]) -> None:
        self._decoded = (frame for packet in packets for frame in self._stream.decode(packet))
        self._position = -1

    def _near(self, index: int) -> bool:
        """Whether decoding forward reaches ``index`` sooner than a seek."""
        ahead = index > self._position
        return ahead and (not self._track.seekable or self._key_before(index) - self._position <= _NEAR)

    def _key_before(self, index: int, steps: int = 0) -> int:
        return int(self._keys[max(int(np.searchsorted(self._keys, index, side="right")) - 1 - steps, 0)])

    def _seek(self, index: int) -> None:
        # Some demuxers land too late, others on a frame that is not a key frame: check, and go further back if needed
        for steps in range(3) if self._track.seekable else ():
            key_pts = int(self._track.pts[self._key_before(index, steps)])
            self._container.seek(key_pts, stream=self._stream)
            packets = self._container.demux(self._stream)
            key = next((packet for packet in packets if packet.is_keyframe), None)
            if key is not None and key.pts is not None and key.pts <= self._track.pts[index]:
                return self._start(chain([key], packets))
        self.close()
        self._open()

    def _index_of(self, frame: VideoFrame) -> int:
        """Position of a decoded frame in the track; -1 if it is not in the track."""
        if not self._track.seekable:
            return self._position + 1
        pts = self._track.pts
        index = int(np.searchsorted(pts, frame.pts)) if frame.pts is not None else len(pts)
        return index if index < len(pts) and pts[index] == frame.pts else -1


def _to_rgb(frame: VideoFrame, track: Track) -> np.ndarray:
    """uint8 [height, width, 3] as displayed: with the stream's own colour matrix and range, rotation applied."""
    from av.video.reformatter import Colorspace

    sideways = track.quarter_turns % 2
    width, height = (track.height, track.width) if sideways else (track.width, track.height)
    # without a destination matrix PyAV reads BT.709 as BT.601; RGB has no matrix, so any will do
    rgb = frame.to_ndarray(format="rgb24", width=width, height=height, dst_colorspace=Colorspace.ITU601)
    return np.rot90(rgb, track.quarter_turns)
