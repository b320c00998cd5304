"""Hands chosen frames to a backbone, as a lossless video file that every decoder reads back bit for bit."""

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
from lmms_videominer.profiling import stage
from lmms_videominer.store.atomic import written


@dataclass(frozen=True)
class Clip:
    """Chosen frames in the form that a backbone takes.

    Attributes:
        video: The path of a file, or uint8 [T, H, W, 3] for a backbone that takes frames in memory.
        wanted: How many of its frames the backbone should sample.
    """

    video: str | np.ndarray
    wanted: int


def padded(frames: np.ndarray, multiple: int) -> np.ndarray:
    """``frames`` [T, H, W, 3] with the last one repeated until T is a multiple of ``multiple``."""
    missing = -len(frames) % multiple
    return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]) if missing else frames


def write_lossless(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> None:
    """Write ``frames`` as H.264 in RGB at qp 0, with every frame a key frame, so that they are read back unchanged.

    Args:
        path: The file; written atomically.
        frames: uint8 [T, H, W, 3] RGB, T at least 1.
        fps: Frame rate of the file.
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
        times_s: By file, the time of each of its frames in the original video, in seconds, if known.
    """

    def __init__(self, folder: str, profile: Profile):
        self.folder, self.profile = Path(folder), profile
        self.times_s: dict[str, list[float]] = {}
        self._count = 0

    def write(self, frames: np.ndarray, times_s: Sequence[float] = ()) -> Clip:
        """Write ``frames``, uint8 [T, H, W, 3], as a clip in the form that the profile requires."""
        clip = padded(frames, self.profile.multiple)
        repeated = np.repeat(clip, self.profile.repeat, axis=0)
        if self.profile.in_memory:
            return Clip(repeated, len(clip))
        path = self.folder / f"{self._count:06d}.mp4"
        self._count += 1
        write_lossless(path, repeated, self.profile.file_fps * self.profile.repeat)
        if len(times_s) == len(frames):
            clip_s = [*times_s, *[times_s[-1]] * (len(clip) - len(frames))]
            self.times_s[str(path)] = [time_s for time_s in clip_s for _ in range(self.profile.repeat)]
        return Clip(str(path), len(clip))


@contextmanager
def clip_folder(profile: Profile) -> Iterator[ClipFolder]:
    """A folder for clips that is deleted when the ``with`` block ends."""
    with tempfile.TemporaryDirectory(prefix="videominer-") as folder:
        yield ClipFolder(folder, profile)


BLANK = np.zeros((2, 112, 112, 3), np.uint8)  # for a backbone that requires a visual


@contextmanager
def true_times(times_s: Mapping[str, Sequence[float]]) -> Iterator[None]:
    """Within the block, ``qwen_vl_utils`` reports the times of a clip's frames in the original video, by ``times_s``.

    Qwen2.5-VL, Qwen3-VL and similar models read times from a video's metadata: from the frame rate of the clip's file
    they would conclude that its frames are half a second apart. Files that are not in ``times_s`` are read as usual.
    """
    vision_process: Any = sys.modules.get("qwen_vl_utils.vision_process")
    if vision_process is None:  # the backbone does not use it
        yield
        return
    fetch = vision_process.fetch_video

    def fetch_with_times(element: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        with stage("hand over"):  # the clip read back
            result = fetch(element, *arguments, **keywords)
        video = result[0] if keywords.get("return_video_sample_fps") else result
        clip_s = times_s.get(str(element["video"]).removeprefix("file://"), ())
        if keywords.get("return_video_metadata") and len(clip_s) == len(video[0]):
            video[1].update(_metadata(clip_s))
        return result

    vision_process.fetch_video = fetch_with_times
    try:
        yield
    finally:
        vision_process.fetch_video = fetch


def _metadata(times_s: Sequence[float]) -> dict[str, Any]:
    """Metadata at 1000 frames per second, with the total number of frames that gives the mean gap of these."""
    indices = [round(1000 * time_s) for time_s in times_s]
    span = (indices[-1] - indices[0]) * len(indices) / max(1, len(indices) - 1)
    return {"fps": 1000.0, "frames_indices": indices, "total_num_frames": max(1, round(span))}


def hand_over(
    frames: np.ndarray | None, clips: ClipFolder, is_simple: bool, times_s: Sequence[float] = ()
) -> Clip | None:
    """The clip for ``frames``, which are at ``times_s`` seconds in their video, if known.

    Without frames: ``None``, or a blank clip for a backbone whose simple form requires a visual.
    """
    if frames is None or not len(frames):
        if clips.profile.text_only or not is_simple:
            return None
        frames = BLANK
    with stage("hand over", len(frames)):
        return clips.write(frames, times_s)
