"""The reader protocol. Implementations: ``decord_reader`` (default) and ``pyav_reader``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from lmms_videominer.types import VideoInfo

if TYPE_CHECKING:
    from typing_extensions import Self


T = TypeVar("T")


class VideoReader(Protocol):
    """Random access to the frames of one file. Times are seconds from the first frame's presentation time."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def timestamps_s(self) -> np.ndarray:
        """float64 [frame_count], increasing, first 0: the true presentation time of every frame."""
        ...

    @property
    def damaged(self) -> Set[int]:
        """Those of the frames read so far that cannot be decoded, so that the nearest one that can serves for each."""
        ...

    @property
    def substituted(self) -> int:
        """The number of ``damaged`` frames."""
        ...

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """uint8 [len(indices), height, width, 3], RGB, in the order of ``indices``, which may repeat.

        For a frame that cannot be decoded, the nearest in time that can serves (``substituted`` counts them).

        Raises:
            IndexError: An index is out of range.
            VideoError: No frame can be decoded.
        """
        ...

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        """float64 [len(indices), 256]: normalised grayscale histogram of each frame; rows sum to 1."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def in_parts(indices: Sequence[T], info: VideoInfo, max_bytes: int) -> Iterator[Sequence[T]]:
    """Split ``indices`` of frames, in order, into parts whose decoded frames take at most ``max_bytes``.

    A part holds at least one frame.
    """
    step = max(1, max_bytes // (info.height * info.width * 3))
    return (indices[start : start + step] for start in range(0, len(indices), step))
