"""Handing chosen frames to a backbone: a lossless video file that every decoder reads back bit by bit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lmms_videominer.atomic import written
from lmms_videominer.lmms.profiles import Profile


@dataclass(frozen=True)
class Clip:
    """Chosen frames as a backbone takes them.

    Attributes:
        video: The path of a file, or uint8 [T, H, W, 3] for a backbone that takes frames in memory.
        wanted: How many of its frames the backbone is to pick.
    """

    video: str | np.ndarray
    wanted: int


def padded(frames: np.ndarray, multiple: int) -> np.ndarray:
    """``frames`` [T, H, W, 3] with the last one repeated until T is a multiple of ``multiple``."""
    lacking = -len(frames) % multiple
    return np.concatenate([frames, np.repeat(frames[-1:], lacking, axis=0)]) if lacking else frames


def write_lossless(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> None:
    """Write ``frames`` as H.264 in RGB at qp 0, every frame a key frame: what is read back is what was written.

    Args:
        path: The file; it appears at once, complete.
        frames: uint8 [T, H, W, 3] RGB, T at least 1.
        fps: Frames a second of the file.
    """
    import av

    height, width = frames.shape[1:3]
    with written(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264rgb", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        stream.options = {"qp": "0", "preset": "ultrafast", "bf": "0"}
        stream.gop_size = 1
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


class ClipFolder:
    """A temporary folder for the clips of one call of a backbone."""

    def __init__(self, folder: str, profile: Profile):
        self.folder, self.profile = Path(folder), profile
        self._written = 0

    def write(self, frames: np.ndarray) -> Clip:
        """``frames``, uint8 [T, H, W, 3], as a clip in the form that the profile asks for."""
        whole = padded(frames, self.profile.multiple)
        repeated = np.repeat(whole, self.profile.repeat, axis=0)
        if self.profile.in_memory:
            return Clip(repeated, len(whole))
        path = self.folder / f"{self._written:06d}.mp4"
        self._written += 1
        write_lossless(path, repeated, self.profile.file_fps * self.profile.repeat)
        return Clip(str(path), len(whole))


@contextmanager
def clip_folder(profile: Profile) -> Iterator[ClipFolder]:
    """A folder whose clips live until the ``with`` block ends."""
    with tempfile.TemporaryDirectory(prefix="videominer-") as folder:
        yield ClipFolder(folder, profile)


BLANK = np.zeros((2, 112, 112, 3), np.uint8)  # shown by a backbone that cannot do without a visual


def hand_over(frames: np.ndarray | None, clips: ClipFolder, is_simple: bool) -> Clip | None:
    """What to show for ``frames``; ``None``: nothing, as long as the backbone's simple form does without."""
    if frames is None or not len(frames):
        if clips.profile.text_only or not is_simple:
            return None
        frames = BLANK
    return clips.write(frames)
