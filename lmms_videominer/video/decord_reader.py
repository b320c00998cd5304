"""Reads videos with decord, as most video LLMs do. Wheels exist for Linux and Windows on x86-64."""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video.containers import decode_threads, file_address
from lmms_videominer.video.gray import gray_histogram
from lmms_videominer.video.picture import is_full_range, scaled, scaled_size, to_rgb
from lmms_videominer.video.pyav_reader import PyAVReader
from lmms_videominer.video.reader import NO_FRAMES, in_parts
from lmms_videominer.video.track import Track

_logger = logging.getLogger("lmms_videominer")

_CHUNK_BYTES = 64 << 20  # limit on the decoded frames in memory while histograms are computed
_CLOCK_ERROR_S, _CLOCK_ERROR = 2e-3, 1e-6  # absolute and relative: decord's timestamps are float32
_COLOUR_ERROR = 1  # levels by which rounding may differ between versions of FFmpeg
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv")  # where decord 0.6 seeks rightly (measured)
_OTHER_READER = "Use the other backend: reader=pyav"


class DecordReader:
    """Takes pixels from decord and times from the track (decord itself averages a variable frame rate).

    Args:
        track: The index of the file.
        pixels: Frames are scaled to at most as many pixels once they are decoded; 0: not at all.

    Raises:
        VideoError: decord cannot open the file, or would return frames other than those requested.
        ImportError: decord is not installed.
    """

    def __init__(self, track: Track, pixels: int = 0):
        self._track = track
        self._reformatter: Any = None
        self._handle: Any = None
        self._precise: PyAVReader | None = None  # opened when decord fails on damaged data
        self.info: VideoInfo = track.info("decord")
        self.timestamps_s: np.ndarray = track.times_s
        self.frame_size: tuple[int, int] = scaled_size(track.height, track.width, pixels)
        self.sync_frames: np.ndarray = track.sync_frames
        self.coarse_frames: np.ndarray = NO_FRAMES
        self._check_frame_numbers()

    @property
    def damaged(self) -> Set[int]:
        return self._precise.damaged if self._precise else frozenset()

    @property
    def substituted(self) -> int:
        return len(self.damaged)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        targets = self._track.check_indices(indices)
        if not len(targets):
            return np.empty((0, *self.frame_size, 3), dtype=np.uint8)
        unique, inverse = np.unique(targets, return_inverse=True)
        if self.frame_size == (self.info.height, self.info.width):
            decoded = self._decode(unique)
        else:
            parts = in_parts(unique.tolist(), (self.info.height, self.info.width), _CHUNK_BYTES)
            decoded = np.stack([self._scaled(rgb) for part in parts for rgb in self._decode(np.array(part))])
        return decoded if np.array_equal(unique, targets) else decoded[inverse]

    def _scaled(self, rgb: np.ndarray) -> np.ndarray:
        from av.video.reformatter import VideoReformatter

        self._reformatter = self._reformatter or VideoReformatter()
        return scaled(rgb, self.frame_size, self._reformatter)

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        unique, inverse = np.unique(self._track.check_indices(indices), return_inverse=True)
        out = [
            gray_histogram(rgb)
            for part in in_parts(unique.tolist(), (self.info.height, self.info.width), _CHUNK_BYTES)
            for rgb in self._decode(np.array(part))
        ]
        return np.array(out, dtype=np.float64).reshape(-1, 256)[inverse]

    def close(self) -> None:
        self._handle = None
        if self._precise:
            self._precise.close()

    def __enter__(self) -> DecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_handle(self) -> Any:
        if self._handle is None:
            import decord

            threads = decode_threads(self.info.width, self.info.height)
            try:
                address = file_address(self.info.path)
                self._handle = decord.VideoReader(address, ctx=decord.cpu(0), num_threads=threads)
            except (self._decord_error(), RuntimeError) as error:
                raise VideoError(
                    self.info.path, f"decord cannot open it ({_last_line(error)})", _OTHER_READER
                ) from error
        return self._handle

    def _decode(self, unique: np.ndarray) -> np.ndarray:
        """uint8 [len(unique), H, W, 3] for ascending indices."""
        if self._precise:
            return self._precise.frames(unique.tolist())
        try:
            return _to_numpy(self._open_handle().get_batch(unique.tolist()))
        except (self._decord_error(), RuntimeError) as error:
            return self._leave_decord(error).frames(unique.tolist())

    def _leave_decord(self, error: Exception) -> PyAVReader:
        """All frames from PyAV from now on, bit for bit the same: decord fails on damage and does not say where."""
        _logger.warning(
            "%s: decord failed on damaged data (%s); reading it with PyAV", self.info.path, _last_line(error)
        )
        self._handle = None
        self._precise = PyAVReader(self._track)
        return self._precise

    @staticmethod
    def _decord_error() -> type[Exception]:
        from decord import DECORDError

        return DECORDError

    def _check_frame_numbers(self) -> None:
        if why := _numbering_fault(self._track) or self._index_mismatch() or self._picture_mismatch():
            self.close()
            raise VideoError(self.info.path, f"decord would return wrong frames: {why}", _OTHER_READER)

    def _index_mismatch(self) -> str:
        """How decord's own frame table differs from the track; empty if they agree."""
        handle, count = self._open_handle(), self.info.frame_count
        if len(handle) != count:
            return f"it finds {len(handle)} frames where the file has {count}"
        times_s = np.asarray(handle.get_frame_timestamp(range(count)))[:, 0].astype(np.float64)
        matches = np.allclose(times_s - times_s[0], self.timestamps_s, rtol=_CLOCK_ERROR, atol=_CLOCK_ERROR_S)
        return "" if matches else "its timestamps differ from those of the file"

    def _picture_mismatch(self) -> str:
        """How decord's first picture differs from that of the file; empty if they agree."""
        ours = to_rgb(self._track.first, self._track)
        try:
            theirs = _to_numpy(self._open_handle().get_batch([0]))[0]
        except (self._decord_error(), RuntimeError) as error:
            self._leave_decord(error)  # it decodes ahead, and met damage somewhere
            return ""
        if theirs.shape != ours.shape:
            return f"its pictures are {theirs.shape[1]}x{theirs.shape[0]} instead of {ours.shape[1]}x{ours.shape[0]}"
        differs = np.abs(np.subtract(theirs, ours, dtype=np.int16)).max() > _COLOUR_ERROR
        return "its first picture is not that of the file" if differs else ""


def _numbering_fault(track: Track) -> str:
    """Why decord 0.6 cannot be trusted with the file, whatever its table of frames says (measured); empty if it can."""
    if not file_address(track.path):
        return "the name of the file is not UTF-8"
    if track.container == "mpegts":
        return "in MPEG-TS it seeks past the first key frame"
    if track.container not in _CONTAINERS:
        return f"it may misplace the frames of {track.container} files"
    if track.picture_streams > 1:
        return f"the file has {track.picture_streams} video streams, and it may read another one"
    if track.open_gops:  # after a seek the decoder drops their leading frames, but decord still counts them
        return "the file has open GOPs"
    if not track.seekable:
        return f"the frames of this {track.container} file have no timestamps that hold"
    if track.first.pts != track.pts[0]:
        return "the first picture is damaged"
    coded_as = track.first.format
    if is_full_range(track.first) and not (coded_as.name.startswith("yuvj") or coded_as.is_rgb):
        return "it does not know the range of its colours"
    return ""


def _to_numpy(batch: Any) -> np.ndarray:
    """Convert decord's own array, or the tensor that it returns once another library has called ``decord.bridge``."""
    return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)


def _last_line(error: Exception) -> str:
    """The last line of decord's message; the other lines are a stack trace."""
    return str(error).strip().splitlines()[-1]
