"""Video reading: one protocol, three backends."""

from __future__ import annotations

from lmms_videominer.video.identity import video_identity
from lmms_videominer.video.opening import BACKENDS, open_video
from lmms_videominer.video.reader import VideoReader, in_parts
from lmms_videominer.video.timing import frame_indices_at, frames_beginning_in, frames_shown_at, uniform_times

__all__ = [
    "BACKENDS",
    "VideoReader",
    "frame_indices_at",
    "frames_beginning_in",
    "frames_shown_at",
    "in_parts",
    "open_video",
    "uniform_times",
    "video_identity",
]
