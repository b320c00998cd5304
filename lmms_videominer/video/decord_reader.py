"""Reading with decord: the reader that most video LLMs are fed by. Wheels exist for Linux and Windows on x86-64."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video.gray import gray_histogram
from lmms_videominer.video.pyav_reader import PyAVReader
from lmms_videominer.video.reader import in_parts
from lmms_videominer.video.track import Track, decode_threads

_logger = logging.getLogger("lmms_videominer")

_CHUNK_BYTES = 64 << 20  # decoded frames held at once while histograms are made
_CLOCK_ERROR_S, _CLOCK_ERROR = 2e-3, 1e-6  # absolute and relative: decord's timestamps are float32
_OTHER_READER = "Use the other reader: reader=pyav"


class DecordReader:
    """Pixels from decord, times from the track (decord itself counts a variable frame rate as its average).

    Args:
        track: The index of the file.

    Raises:
        VideoError: decord cannot open the file, or would return other frames than those asked for.
        ImportError: decord is not installed.
    """

    def __init__(self, track: Track):
        self._track = track
        self._handle: Any = None
        self._precise: PyAVReader | None = None  # opened where decord meets damage
        self.info: VideoInfo = track.info("decord")
        self.timestamps_s: np.ndarray = track.times_s
        self._check_places()

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        wanted = self._track.checked(indices)
        if not len(wanted):
            return np.empty((0, self.info.height, self.info.width, 3), dtype=np.uint8)
        unique, back = np.unique(wanted, return_inverse=True)
        decoded = self._decode(unique)
        return decoded if np.array_equal(unique, wanted) else decoded[back]

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        unique, back = np.unique(self._track.checked(indices), return_inverse=True)
        out = [
            gray_histogram(rgb)
            for part in in_parts(unique.tolist(), self.info, _CHUNK_BYTES)
            for rgb in self._decode(np.array(part))
        ]
        return np.array(out, dtype=np.float64).reshape(-1, 256)[back]

    def close(self) -> None:
        self._handle = None
        if self._precise:
            self._precise.close()

    def __enter__(self) -> DecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> Any:
        if self._handle is None:
            import decord

            threads = decode_threads(self.info.width, self.info.height)
            try:
                self._handle = decord.VideoReader(self.info.path, ctx=decord.cpu(0), num_threads=threads)
            except (self._decord_error(), RuntimeError) as error:
                raise VideoError(self.info.path, f"decord cannot open it ({_last(error)})", _OTHER_READER) from error
        return self._handle

    def _decode(self, unique: np.ndarray) -> np.ndarray:
        """uint8 [len(unique), H, W, 3] for ascending indices."""
        handle = self._opened()
        try:
            return _to_numpy(handle.get_batch(unique.tolist()))
        except (self._decord_error(), RuntimeError) as error:
            self._handle = None  # a decoder that met an error may go on with the wrong frame: open it anew
            return self._around_damage(unique, error)

    def _around_damage(self, unique: np.ndarray, error: Exception) -> np.ndarray:
        """The same frames from PyAV, bit for bit: decord may fail on damage between them, and cannot say where."""
        if self._precise is None:
            _logger.warning("%s: decord met damage (%s); reading around it with PyAV", self.info.path, _last(error))
            self._precise = PyAVReader(self._track)
        return self._precise.frames(unique.tolist())

    @staticmethod
    def _decord_error() -> type[Exception]:
        from decord import DECORDError

        return DECORDError

    def _check_places(self) -> None:
        if why := _misplaced(self._track) or self._disagreement():
            self.close()
            raise VideoError(self.info.path, f"decord would return wrong frames: {why}", _OTHER_READER)

    def _disagreement(self) -> str:
        """In what decord's own frame table differs from the track; empty where they agree."""
        handle, count = self._opened(), self.info.frame_count
        if len(handle) != count:
            return f"it counts {len(handle)} frames of {count}"
        times_s = np.asarray(handle.get_frame_timestamp(range(count)))[:, 0].astype(np.float64)
        same = np.allclose(times_s - times_s[0], self.timestamps_s, rtol=_CLOCK_ERROR, atol=_CLOCK_ERROR_S)
        return "" if same else "its timestamps are not the file's"


def _misplaced(track: Track) -> str:
    """Why decord 0.6 numbers the frames wrongly after a seek (measured); empty where it does not."""
    if track.container == "mpegts":
        return "in MPEG-TS it seeks past the first key frame"
    if track.open_gops:  # the decoder drops their leading frames after a seek; decord counts them all the same
        return "the file has open GOPs"
    return "" if track.seekable else f"the frames of this {track.container} file have no times of their own"


def _to_numpy(batch: Any) -> np.ndarray:
    """decord's own array, or a tensor where another library of this process has called ``decord.bridge``."""
    return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)


def _last(error: Exception) -> str:
    """The last line of decord's message; the others are a stack."""
    return str(error).strip().splitlines()[-1]
