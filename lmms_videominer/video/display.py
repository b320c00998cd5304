"""From the coded picture to the displayed one: quarter turns and mirrors, as the track or its first picture states."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class Display(NamedTuple):
    """Rows and columns are exchanged first; then the picture is flipped."""

    exchanged: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as displayed, of those as coded; its own inverse."""
        return (height, width) if self.exchanged else (width, height)

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """[H, W, C] as coded -> [H', W', C] as displayed, without a copy."""
        if self.exchanged:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]


def display_of(frame: VideoFrame) -> Display:
    """What the display matrix of ``frame`` says: x' = a x + c y, y' = b x + d y, to the nearest quarter turn."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Display()
    a, b, _, c, d = struct.unpack("=9i", bytes(data))[:5]
    if abs(b) > abs(a):
        return Display(True, upside_down=b < 0, mirrored=c < 0)
    return Display(False, upside_down=d < 0, mirrored=a < 0)
