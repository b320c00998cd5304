"""A reader whose decoder's own exceptions cost its video, not the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

from lmms_videominer.errors import VideoError, VideoMinerError
from lmms_videominer.video.reader import VideoReader

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
T = TypeVar("T")
REMEDY = "Re-encode it (ffmpeg -i FILE -c:v libx264 out.mp4), or try the other reader (reader=pyav, reader=decord)"


def decoded(path: object, call: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """``call(*arguments)``, which reads the video at ``path``.

    Raises:
        VideoError: The call raised an exception that is not this package's.
        VideoMinerError: As the call raised it.
    """
    try:
        return call(*arguments, **keywords)
    except VideoMinerError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise VideoError(path, f"its decoder failed ({reason})", REMEDY) from error


class GuardedReader:
    """``reader``, with a ``VideoError`` in place of any other exception of its own."""

    def __init__(self, reader: VideoReader):
        self._reader, self.info = reader, reader.info

    @property
    def timestamps_s(self) -> np.ndarray:
        return decoded(self.info.path, lambda: self._reader.timestamps_s)

    @property
    def damaged(self) -> Set[int]:
        return self._reader.damaged

    @property
    def substituted(self) -> int:
        return self._reader.substituted

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return decoded(self.info.path, self._reader.frames, indices)

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        return decoded(self.info.path, self._reader.gray_histograms, indices)

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
