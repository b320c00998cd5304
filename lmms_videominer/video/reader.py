"""The reader protocol. Implementations: ``pyav_reader`` (default), ``decord_reader`` and ``torchcodec_reader``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from lmms_videominer.types import VideoInfo

if TYPE_CHECKING:
    from typing_extensions import Self


T = TypeVar("T")
NO_FRAMES = np.empty(0, dtype=np.int64)


class VideoReader(Protocol):
    """Random access to the frames of one file. Times are seconds from the first frame's presentation time."""

    @property
    def info(self) -> VideoInfo: ...

    @property
    def timestamps_s(self) -> np.ndarray:
        """float64 [frame_count], increasing, first 0: the true presentation time of every frame."""
        ...

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of what ``frames`` gives: those of the video, or scaled down."""
        ...

    @property
    def sync_frames(self) -> np.ndarray:
        """int64 [k], ascending: frames that can be decoded without others, and so cost the least.

        Empty where the file does not tell.
        """
        ...

    @property
    def coarse_frames(self) -> np.ndarray:
        """int64 [k], ascending: frames at sync frames that a coarse scan takes in place of those nearby; empty: none.

        A reader has none by itself: whether to take them is a setting of the search.
        """
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
        """uint8 [len(indices), *frame_size, 3], RGB, in the order of ``indices``, which may repeat.

        For a frame that cannot be decoded, the nearest in time that can serves (``substituted`` counts them).

        Raises:
            IndexError: An index is out of range.
            VideoError: No frame can be decoded.
        """
        ...

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        """float64 [len(indices), 256]: normalised grayscale histogram of each frame, not scaled; rows sum to 1."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ReaderAround:
    """What ``reader`` says; the base of readers that add something to it."""

    def __init__(self, reader: VideoReader):
        self._reader = reader
        self.info: VideoInfo = reader.info

    @property
    def timestamps_s(self) -> np.ndarray:
        return self._reader.timestamps_s

    @property
    def frame_size(self) -> tuple[int, int]:
        return self._reader.frame_size

    @property
    def sync_frames(self) -> np.ndarray:
        return self._reader.sync_frames

    @property
    def coarse_frames(self) -> np.ndarray:
        return self._reader.coarse_frames

    @property
    def damaged(self) -> Set[int]:
        return self._reader.damaged

    @property
    def substituted(self) -> int:
        return self._reader.substituted

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._reader.frames(indices)

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        return self._reader.gray_histograms(indices)

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_parts(indices: Sequence[T], size: tuple[int, int], max_bytes: int) -> Iterator[Sequence[T]]:
    """Split ``indices`` of frames, in order, into parts whose decoded frames take at most ``max_bytes``.

    A part holds at least one frame.

    Args:
        size: Height and width of a frame.
    """
    step = max(1, max_bytes // (size[0] * size[1] * 3))
    return (indices[start : start + step] for start in range(0, len(indices), step))
