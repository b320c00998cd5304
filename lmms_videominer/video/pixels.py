"""The pixels of key frames."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import Selection
from lmms_videominer.video.guarded import GuardedReader, decoded
from lmms_videominer.video.identity import video_identity
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


def read_key_frames(
    selections: Sequence[Selection], backend: str = "auto", max_pixels: int = 0
) -> list[np.ndarray | VideoError | None]:
    """Read the pixels of the key frames of each selection. Opens each video once.

    Args:
        selections: Whose key frames.
        backend: See ``open_video``.
        max_pixels: Frames are scaled down to at most as many pixels; 0: they have the video's own resolution.

    Returns:
        One entry per selection, in order: uint8 [N, H, W, 3], RGB, in temporal order; ``None`` if it has no
        key frames; the ``VideoError`` if the video can no longer be read.
    """
    return [read.frames if isinstance(read, Pixels) else read for read in read_pixels(selections, backend, max_pixels)]


def read_pixels(
    selections: Sequence[Selection], backend: str = "auto", max_pixels: int = 0
) -> list[Pixels | VideoError | None]:
    """As ``read_key_frames``, with the damaged frames among them."""
    frames: list[Pixels | VideoError | None] = [None] * len(selections)
    by_video: dict[str, list[int]] = {}
    for i, selection in enumerate(selections):
        if selection.key_frames:
            by_video.setdefault(selection.question.video, []).append(i)
    for video, members in by_video.items():
        read = _read(video, [selections[i] for i in members], backend, max_pixels)
        for i, pixels in zip(members, read, strict=True):
            frames[i] = pixels
    return frames


def _read(video: str, selections: Sequence[Selection], backend: str, max_pixels: int) -> list[Pixels | VideoError]:
    """The key frames of each selection of one video; an error replaces those that cannot be read."""
    try:
        identity = decoded(video, video_identity, video)
        reader = GuardedReader(open_video, video, backend, max_pixels)
    except VideoError as error:
        return [error] * len(selections)
    frames: list[Pixels | VideoError] = []
    try:
        for selection in selections:
            try:
                check_mined(selection, identity)
                chosen = reader.frames([frame.frame_index for frame in selection.key_frames])
                frames.append(Pixels(chosen, reader.damaged))
            except VideoError as error:
                frames.append(error)
    finally:
        reader.close()
    return frames


def check_mined(selection: Selection, identity: str) -> None:
    """Raise ``VideoError`` if ``selection`` is of another file, which had the name of the one with ``identity``."""
    if selection.video.identity not in ("", identity):
        reason = "the file is not the one that was mined: its content is another"
        raise VideoError(selection.question.video, reason, "Mine it again, or put the earlier file back")
