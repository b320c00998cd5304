"""The pixels of key frames."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import Selection
from lmms_videominer.video.guarded import GuardedReader, decoded
from lmms_videominer.video.opening import open_video


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of the key frames of one selection.

    Attributes:
        frames: uint8 [N, H, W, 3], RGB, in temporal order.
        damaged: Those of the video's frames that are known to be damaged: of each, these are its nearest neighbour's.
    """

    frames: np.ndarray
    damaged: Set[int]


def read_key_frames(selections: Sequence[Selection], backend: str = "auto") -> list[np.ndarray | VideoError | None]:
    """Read the pixels of the key frames of each selection, at the video's own resolution. Opens each video once.

    Returns:
        One entry per selection, in order: uint8 [N, H, W, 3], RGB, in temporal order; ``None`` if it has no
        key frames; the ``VideoError`` if the video can no longer be read.
    """
    return [read.frames if isinstance(read, Pixels) else read for read in read_pixels(selections, backend)]


def read_pixels(selections: Sequence[Selection], backend: str = "auto") -> list[Pixels | VideoError | None]:
    """As ``read_key_frames``, with the damaged frames among them."""
    frames: list[Pixels | VideoError | None] = [None] * len(selections)
    by_video: dict[str, list[int]] = {}
    for i, selection in enumerate(selections):
        if selection.key_frames:
            by_video.setdefault(selection.question.video, []).append(i)
    for video, members in by_video.items():
        indices = [[frame.frame_index for frame in selections[i].key_frames] for i in members]
        for i, pixels in zip(members, _read(video, indices, backend), strict=True):
            frames[i] = pixels
    return frames


def _read(video: str, groups: Sequence[Sequence[int]], backend: str) -> list[Pixels | VideoError]:
    """The frames of each group of indices of one video; an error replaces each group that cannot be read."""
    try:
        reader = GuardedReader(decoded(video, open_video, video, backend))
    except VideoError as error:
        return [error] * len(groups)
    frames: list[Pixels | VideoError] = []
    try:
        for indices in groups:
            try:
                frames.append(Pixels(reader.frames(indices), reader.damaged))
            except VideoError as error:
                frames.append(error)
    finally:
        reader.close()
    return frames
