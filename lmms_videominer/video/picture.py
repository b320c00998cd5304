"""From decoded frames to RGB: the stream's own colour matrix and range, the size and orientation of the first frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.profiling import staged

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from lmms_videominer.video.track import Track


@staged("scale")
def to_rgb(frame: VideoFrame, track: Track) -> np.ndarray:
    """uint8 [track.height, track.width, 3] as displayed; frames of other sizes are scaled."""
    from av.video.reformatter import ColorRange, Colorspace

    width, height = track.display.size(track.width, track.height)
    rgb = frame.to_ndarray(
        format="rgb24",
        width=width,
        height=height,
        src_color_range=ColorRange.JPEG if is_full_range(frame) else ColorRange.MPEG,
        # without a destination matrix PyAV reads BT.709 as BT.601; RGB has no matrix, so any will do
        dst_colorspace=Colorspace.ITU601,
    )
    return track.display.apply(rgb)


def is_full_range(frame: VideoFrame) -> bool:
    """Whether black is 0 and white the largest value, instead of 16 and 235 (at 8 bits)."""
    from av.video.reformatter import ColorRange

    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
