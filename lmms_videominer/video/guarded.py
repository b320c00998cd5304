"""A reader whose decoder's own exceptions cost its video, not the run, and whose file must stay as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import numpy as np

from lmms_videominer.errors import VideoError, foreign
from lmms_videominer.profiling import stage
from lmms_videominer.video.reader import ReaderAround, VideoReader

P = ParamSpec("P")
T = TypeVar("T")
REMEDY = "Re-encode it (ffmpeg -i FILE -c:v libx264 out.mp4), or try the other reader (reader=pyav, reader=decord)"


def decoded(path: object, call: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """``call(*arguments)``, which reads the video at ``path``.

    Raises:
        VideoError: The call raised an exception that is not this package's.
        VideoMinerError: As the call raised it.
    """
    with foreign(lambda reason: VideoError(path, f"its decoder failed ({reason})", REMEDY)):
        return call(*arguments, **keywords)


class GuardedReader(ReaderAround):
    """The reader that ``open_video`` gives, with a ``VideoError`` in place of any exception of its own.

    It also raises a ``VideoError`` once the file has changed: readers open it again as they go, and would find other
    frames than those of its index.
    """

    def __init__(self, open_video: Callable[[str, str, int], VideoReader], path: str, backend: str, pixels: int = 0):
        before = _state(path)
        with stage("index"):
            super().__init__(decoded(path, open_video, path, backend, pixels))
        self._path, self._before = path, before

    def check_unchanged(self) -> None:
        """Raise ``VideoError`` if the file has been replaced, removed or written to since it was opened."""
        if _state(self._path) != self._before:
            reason = "the file was changed, replaced or removed while it was read"
            raise VideoError(self._path, reason, "Run again once nothing writes to it")

    @property
    def timestamps_s(self) -> np.ndarray:
        return decoded(self.info.path, lambda: self._reader.timestamps_s)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._unchanged(self._reader.frames, indices)

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        return self._unchanged(self._reader.gray_histograms, indices)

    def _unchanged(self, read: Callable[[Sequence[int]], np.ndarray], indices: Sequence[int]) -> np.ndarray:
        try:
            with stage("decode", len(indices)):
                return decoded(self.info.path, read, indices)
        finally:  # what a changed file makes a decoder raise would blame the file that was opened
            self.check_unchanged()


def _state(path: str) -> tuple[int, int] | None:
    """Size and time of the last change of a file; ``None`` if it cannot be told."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
