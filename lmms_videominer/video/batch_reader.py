"""What readers share that take pixels from a library which gives whole pictures by number, in batches."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video.containers import decode_threads, file_address
from lmms_videominer.video.gray import gray_histogram
from lmms_videominer.video.picture import scaled, scaled_size, to_rgb
from lmms_videominer.video.pyav_reader import PyAVReader
from lmms_videominer.video.reader import NO_FRAMES, in_parts
from lmms_videominer.video.track import Track

if TYPE_CHECKING:
    from typing_extensions import Self

_logger = logging.getLogger("lmms_videominer")

_CHUNK_BYTES = 64 << 20  # limit on the decoded frames in memory while they are scaled or histograms are computed
_COLOUR_ERROR = 1  # levels by which rounding may differ between versions of FFmpeg
_OTHER_READER = "Use the other backend: reader=pyav"


class BatchReader(ABC):
    """Takes pixels from a library and times from the track. Where the library fails midway, PyAV reads on.

    Args:
        track: The index of the file.
        pixels: Frames are scaled to at most as many pixels once they are decoded; 0: not at all.

    Raises:
        VideoError: The library cannot open the file, or would return frames other than those requested.
        ImportError: The library is not installed.
    """

    backend: str  # the name of the library, and of the reader
    _handle: Any = None

    def __init__(self, track: Track, pixels: int = 0):
        self._track = track
        self._reformatter: Any = None
        self._precise: PyAVReader | None = None  # opened when the library fails
        self.info: VideoInfo = track.info(self.backend)
        self.timestamps_s: np.ndarray = track.times_s
        self.frame_size: tuple[int, int] = scaled_size(track.height, track.width, pixels)
        self.sync_frames: np.ndarray = track.sync_frames
        self.coarse_frames: np.ndarray = NO_FRAMES
        if why := self._numbering_fault() or self._index_mismatch() or self._picture_mismatch():
            self.close()
            raise VideoError(self.info.path, f"{self.backend} would return wrong frames: {why}", _OTHER_READER)

    @abstractmethod
    def _numbering_fault(self) -> str:
        """Why the library cannot be trusted with the file, whatever it says of it (measured); empty if it can."""

    @abstractmethod
    def _index_mismatch(self) -> str:
        """How the library's own index differs from the track; empty if they agree."""

    @abstractmethod
    def _batch(self, unique: list[int]) -> np.ndarray:
        """uint8 [len(unique), H, W, 3] for ascending indices, or one of ``_failures``."""

    @abstractmethod
    def _failures(self) -> tuple[type[Exception], ...]:
        """What the library raises where it cannot decode."""

    @abstractmethod
    def _opened(self, address: str, threads: int) -> Any:
        """The library's handle of the file, or one of ``_failures``."""

    def _open_handle(self) -> Any:
        if self._handle is None:
            threads = decode_threads(self.info.width, self.info.height)
            try:
                self._handle = self._opened(file_address(self.info.path), threads)
            except self._failures() as error:
                reason = f"{self.backend} cannot open it ({_last_line(error)})"
                raise VideoError(self.info.path, reason, _OTHER_READER) from error
        return self._handle

    def _release(self) -> None:
        """Close the library's handle; reading may go on with another one."""
        self._handle = None

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
            decoded = self._decode(unique.tolist())
        else:
            parts = in_parts(unique.tolist(), (self.info.height, self.info.width), _CHUNK_BYTES)
            decoded = np.stack([self._scaled(rgb) for part in parts for rgb in self._decode(list(part))])
        return decoded if np.array_equal(unique, targets) else decoded[inverse]

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        unique, inverse = np.unique(self._track.check_indices(indices), return_inverse=True)
        out = [
            gray_histogram(rgb)
            for part in in_parts(unique.tolist(), (self.info.height, self.info.width), _CHUNK_BYTES)
            for rgb in self._decode(list(part))
        ]
        return np.array(out, dtype=np.float64).reshape(-1, 256)[inverse]

    def close(self) -> None:
        self._release()
        if self._precise:
            self._precise.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _scaled(self, rgb: np.ndarray) -> np.ndarray:
        from av.video.reformatter import VideoReformatter

        self._reformatter = self._reformatter or VideoReformatter()
        return scaled(rgb, self.frame_size, self._reformatter)

    def _decode(self, unique: list[int]) -> np.ndarray:
        """uint8 [len(unique), H, W, 3] for ascending indices."""
        if self._precise:
            return self._precise.frames(unique)
        try:
            return self._batch(unique)
        except self._failures() as error:
            return self._leave(error).frames(unique)

    def _leave(self, error: Exception) -> PyAVReader:
        """All frames from PyAV from now on: the library fails where there is damage, and does not say where."""
        reason = f"{self.backend} failed ({_last_line(error)})"
        _logger.warning("%s: %s; PyAV reads the file from here on", self.info.path, reason)
        self._release()
        self._precise = PyAVReader(self._track)
        return self._precise

    def _picture_mismatch(self) -> str:
        """How the library's first picture differs from that of the file; empty if they agree."""
        ours = to_rgb(self._track.first, self._track)
        try:
            theirs = self._batch([0])[0]
        except self._failures() as error:
            self._leave(error)  # it decodes ahead, and met damage somewhere
            return ""
        if theirs.shape != ours.shape:
            return f"its pictures are {theirs.shape[1]}x{theirs.shape[0]} instead of {ours.shape[1]}x{ours.shape[0]}"
        differs = np.abs(np.subtract(theirs, ours, dtype=np.int16)).max() > _COLOUR_ERROR
        return "its first picture is not that of the file" if differs else ""


def _last_line(error: Exception) -> str:
    """The last line of a library's message, where the others are a stack trace."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
