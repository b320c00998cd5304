"""Handing chosen frames to a backbone: a lossless video file that every decoder reads back bit by bit."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lmms_videominer.lmms.profiles import Profile
from lmms_videominer.store.atomic import written


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
    """A temporary folder for the clips of one call of a backbone.

    Attributes:
        times_s: By file, when each of its frames is shown in the video that it is from, where that is known.
    """

    def __init__(self, folder: str, profile: Profile):
        self.folder, self.profile = Path(folder), profile
        self.times_s: dict[str, list[float]] = {}
        self._written = 0

    def write(self, frames: np.ndarray, times_s: Sequence[float] = ()) -> Clip:
        """``frames``, uint8 [T, H, W, 3], as a clip in the form that the profile asks for."""
        whole = padded(frames, self.profile.multiple)
        repeated = np.repeat(whole, self.profile.repeat, axis=0)
        if self.profile.in_memory:
            return Clip(repeated, len(whole))
        path = self.folder / f"{self._written:06d}.mp4"
        self._written += 1
        write_lossless(path, repeated, self.profile.file_fps * self.profile.repeat)
        if len(times_s) == len(frames):
            shown_s = [*times_s, *[times_s[-1]] * (len(whole) - len(frames))]
            self.times_s[str(path)] = [time_s for time_s in shown_s for _ in range(self.profile.repeat)]
        return Clip(str(path), len(whole))


@contextmanager
def clip_folder(profile: Profile) -> Iterator[ClipFolder]:
    """A folder whose clips live until the ``with`` block ends."""
    with tempfile.TemporaryDirectory(prefix="videominer-") as folder:
        yield ClipFolder(folder, profile)


BLANK = np.zeros((2, 112, 112, 3), np.uint8)  # shown by a backbone that cannot do without a visual


@contextmanager
def true_times(times_s: Mapping[str, Sequence[float]]) -> Iterator[None]:
    """While it lasts, ``qwen_vl_utils`` tells of a clip when its frames are shown in their video, by ``times_s``.

    Qwen2.5-VL, Qwen3-VL and their kin read times from what comes with a video: the plain rate of the clip's file would
    say that frames lie half a second apart. A file that ``times_s`` does not name is read as ever.
    """
    vision_process: Any = sys.modules.get("qwen_vl_utils.vision_process")
    if vision_process is None:  # the backbone does without
        yield
        return
    fetch = vision_process.fetch_video

    def fetch_with_times(element: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        fetched = fetch(element, *arguments, **named)
        video = fetched[0] if named.get("return_video_sample_fps") else fetched
        shown_s = times_s.get(str(element["video"]).removeprefix("file://"), ())
        if named.get("return_video_metadata") and len(shown_s) == len(video[0]):
            video[1].update(_metadata(shown_s))
        return fetched

    vision_process.fetch_video = fetch_with_times
    try:
        yield
    finally:
        vision_process.fetch_video = fetch


def _metadata(times_s: Sequence[float]) -> dict[str, Any]:
    """Frames of a video of 1000 a second, and as many of them as say the mean distance of those shown."""
    indices = [round(1000 * time_s) for time_s in times_s]
    span = (indices[-1] - indices[0]) * len(indices) / max(1, len(indices) - 1)
    return {"fps": 1000.0, "frames_indices": indices, "total_num_frames": max(1, round(span))}


def hand_over(
    frames: np.ndarray | None, clips: ClipFolder, is_simple: bool, times_s: Sequence[float] = ()
) -> Clip | None:
    """What to show for ``frames``, which the video shows at ``times_s`` seconds, where that is known.

    ``None``: nothing, as long as the backbone's simple form does without.
    """
    if frames is None or not len(frames):
        if clips.profile.text_only or not is_simple:
            return None
        frames = BLANK
    return clips.write(frames, times_s)
