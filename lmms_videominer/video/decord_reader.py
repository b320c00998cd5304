"""Reading with decord: the reader that most video LLMs are fed by. Wheels exist for Linux and Windows on x86-64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video import faults
from lmms_videominer.video.gray import gray_histogram
from lmms_videominer.video.track import Track, decode_threads

_CHUNK_BYTES = 64 << 20  # decoded frames held at once while histograms are made
_MISPLACED = ("mpegts",)  # decord 0.6 seeks past the first key frame of MPEG-TS: every frame is a wrong one
_CLOCK_TOLERANCE_S = 2e-3  # decord's timestamps are float32
_OTHER_READER = "Use the other reader: reader=pyav"


class DecordReader:
    """Pixels from decord, times from the track (decord itself counts a variable frame rate as its average).

    Args:
        track: The index of the file.

    Raises:
        VideoError: decord cannot open the file, or numbers its frames otherwise than the track.
        ImportError: decord is not installed.
    """

    def __init__(self, track: Track):
        self._track = track
        self._handle: Any = None
        self.info: VideoInfo = track.info("decord")
        self.timestamps_s: np.ndarray = track.times_s
        self._check_clock(self._opened())

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        wanted = self._track.checked(indices)
        if not len(wanted):
            return np.empty((0, self.info.height, self.info.width, 3), dtype=np.uint8)
        unique, back = np.unique(wanted, return_inverse=True)
        decoded = self._decode(unique)
        return decoded if np.array_equal(unique, wanted) else decoded[back]

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        unique, back = np.unique(self._track.checked(indices), return_inverse=True)
        step = max(1, _CHUNK_BYTES // (self.info.height * self.info.width * 3))
        out = np.empty((len(unique), 256), dtype=np.float64)
        for start in range(0, len(unique), step):
            for row, rgb in enumerate(self._decode(unique[start : start + step]), start):
                out[row] = gray_histogram(rgb)
        return out[back]

    def close(self) -> None:
        self._handle = None

    def __enter__(self) -> DecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> Any:
        if self._handle is None:
            import decord

            threads = decode_threads(self.info.width, self.info.height)
            self._handle = self._guarded(
                lambda: decord.VideoReader(self.info.path, ctx=decord.cpu(0), num_threads=threads),
                lambda error: VideoError(self.info.path, f"decord cannot open it ({error})", _OTHER_READER),
            )
        return self._handle

    def _decode(self, unique: np.ndarray) -> np.ndarray:
        """uint8 [len(unique), H, W, 3] for ascending indices."""
        handle = self._opened()
        first_s = self.timestamps_s[unique[0]]
        return self._guarded(
            lambda: _to_numpy(handle.get_batch(unique.tolist())),
            lambda error: faults.damaged(self.info.path, first_s, f"or one of those asked for with it; {error}"),
        )

    def _guarded(self, call: Callable[[], Any], error_for: Callable[[str], VideoError]) -> Any:
        from decord import DECORDError

        try:
            return call()
        except (DECORDError, RuntimeError) as error:
            self.close()  # a decoder that met an error may go on with the wrong frame: open it anew next time
            raise error_for(str(error).strip().splitlines()[-1]) from error

    def _check_clock(self, handle: Any) -> None:
        count = len(handle)
        if self._track.container in _MISPLACED or not self._track_agrees(handle, count):
            detail = f"decord misplaces the frames of this {self._track.container} file"
            self.close()
            raise VideoError(self.info.path, detail, _OTHER_READER)

    def _track_agrees(self, handle: Any, count: int) -> bool:
        if count != self.info.frame_count:
            return False
        if not self._track.seekable:  # times guessed by either side: nothing to compare
            return True
        times_s = np.asarray(handle.get_frame_timestamp(range(count)))[:, 0].astype(np.float64)
        return bool(np.all(np.abs(times_s - times_s[0] - self.timestamps_s) < _CLOCK_TOLERANCE_S))


def _to_numpy(batch: Any) -> np.ndarray:
    """decord's own array, or a tensor where another library of this process has called ``decord.bridge``."""
    return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)
