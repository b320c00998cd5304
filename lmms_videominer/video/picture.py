"""From decoded frames to RGB: the stream's own colour matrix and range, the size and orientation of the first frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.profiling import staged

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

    from lmms_videominer.video.track import Track


class Pictures:
    """RGB pictures of one size from the decoded frames of a video.

    Attributes:
        size: Height and width: those of the video, or scaled.

    Args:
        track: The index of the file.
        pixels: The pictures have at most as many; 0: as many as the video's frames.
    """

    def __init__(self, track: Track, pixels: int = 0):
        self._track = track
        self._reformatter: VideoReformatter | None = None  # keeps what it has set up from frame to frame
        self.size = scaled_size(track.height, track.width, pixels)

    def rgb(self, frame: VideoFrame) -> np.ndarray:
        """uint8 [*size, 3] as displayed."""
        from av.video.reformatter import VideoReformatter

        self._reformatter = self._reformatter or VideoReformatter()
        return _to_rgb(self._reformatter, frame, self._track, self.size)


def scaled_size(height: int, width: int, pixels: int) -> tuple[int, int]:
    """Height and width of a picture scaled down to at most ``pixels`` pixels (0: any), even, and at least 2."""
    if not pixels or height * width <= pixels:
        return height, width
    scale = math.sqrt(pixels / (height * width))
    return max(int(height * scale) // 2 * 2, 2), max(int(width * scale) // 2 * 2, 2)


def scaled(picture: np.ndarray, size: tuple[int, int], reformatter: VideoReformatter) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [*size, 3]."""
    from av.video.frame import VideoFrame

    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return reformatter.reformat(frame, width=size[1], height=size[0]).to_ndarray()


def to_rgb(frame: VideoFrame, track: Track) -> np.ndarray:
    """uint8 [track.height, track.width, 3] as displayed; frames of other sizes are scaled."""
    from av.video.reformatter import VideoReformatter

    return _to_rgb(VideoReformatter(), frame, track, (track.height, track.width))


@staged("scale")
def _to_rgb(reformatter: VideoReformatter, frame: VideoFrame, track: Track, size: tuple[int, int]) -> np.ndarray:
    from av.video.reformatter import ColorRange, Colorspace

    width, height = track.display.size(size[1], size[0])
    converted = reformatter.reformat(
        frame,
        format="rgb24",
        width=width,
        height=height,
        src_color_range=ColorRange.JPEG if is_full_range(frame) else ColorRange.MPEG,
        # without a destination matrix PyAV reads BT.709 as BT.601; RGB has no matrix, so any will do
        dst_colorspace=Colorspace.ITU601,
    )
    return track.display.apply(converted.to_ndarray())


def is_full_range(frame: VideoFrame) -> bool:
    """Whether black is 0 and white the largest value, instead of 16 and 235 (at 8 bits)."""
    from av.video.reformatter import ColorRange

    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
