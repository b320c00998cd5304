"""The pixels of key frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import Selection
from lmms_videominer.video.guarded import GuardedReader, decoded
from lmms_videominer.video.opening import open_video


def read_key_frames(selections: Sequence[Selection], backend: str = "auto") -> list[np.ndarray | VideoError | None]:
    """Read the pixels of the key frames of each selection, at the video's own resolution. Opens each video once.

    Returns:
        One entry per selection, in order: uint8 [N, H, W, 3], RGB, in temporal order; ``None`` if it has no
        key frames; the ``VideoError`` if the video can no longer be read.
    """
    frames: list[np.ndarray | VideoError | None] = [None] * len(selections)
    by_video: dict[str, list[int]] = {}
    for i, selection in enumerate(selections):
        if selection.key_frames:
            by_video.setdefault(selection.question.video, []).append(i)
    for video, members in by_video.items():
        indices = [[frame.frame_index for frame in selections[i].key_frames] for i in members]
        for i, pixels in zip(members, _read(video, indices, backend), strict=True):
            frames[i] = pixels
    return frames


def _read(video: str, groups: Sequence[Sequence[int]], backend: str) -> list[np.ndarray | VideoError]:
    """The frames of each group of indices of one video; an error replaces each group that cannot be read."""
    try:
        reader = GuardedReader(decoded(video, open_video, video, backend))
    except VideoError as error:
        return [error] * len(groups)
    frames: list[np.ndarray | VideoError] = []
    try:
        for indices in groups:
            try:
                frames.append(reader.frames(indices))
            except VideoError as error:
                frames.append(error)
    finally:
        reader.close()
    return frames
