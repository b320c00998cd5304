"""Tells the films that the bundled models know, those of the world (docs/world.md), from all others, by their pixels.

Every picture of the world is square and shows a robot in its lower half: two flat blocks in black frames, a face on the
lower one, all of fixed size. Light, fades and flashes change its brightness and contrast alone. So a place fits by the
share of its variance that the drawing explains, which neither changes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

import numpy as np
from PIL import Image

from lmms_videominer.errors import VideoError
from lmms_videominer.models.bundle import UNKNOWN_FILM, WAY_OUT, find_bundle, is_shipped
from lmms_videominer.video.containers import stated_size
from lmms_videominer.video.opening import open_video
from lmms_videominer.video.reader import VideoReader

SIDE = 168  # pixels of a picture; others are scaled to it
LOOKS = 8  # pictures looked at, until one shows a robot
FITS = 0.4  # docs/world.md has the shares of the world's films and of others
MOST_FIRST = 16  # videos looked at before models are loaded; all are when they are mined

# of the robot: top, left, height and width of parts, in pixels from its corner
_HIGH, _WIDE = 74, 48
_TOP = SIDE - _HIGH - 10  # it never stands higher
_HAT, _HAT_LIT = (0, 0, 26, _WIDE), (2, 2, 23, 44)
_BODY, _BODY_LIT = (26, 0, 48, _WIDE), (27, 2, 45, 44)
_FACE = ((35, 11, 6, 6), (35, 31, 6, 6), (56, 14, 3, 20))  # black like the frames
_LEAST_STEP = 1.0  # levels between black and colour

_told: list[str] = []  # the video that was warned of: a process says it once

logger = logging.getLogger(__name__)


def robot_share(picture: np.ndarray) -> float:
    """How much of a place's variance a robot explains, at the place that it fits best: 0 to 1.

    Args:
        picture: uint8 [H, W, 3], RGB; scaled to ``SIDE`` if it has another size.
    """
    if picture.shape[:2] != (SIDE, SIDE):
        picture = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX))
    lower = picture[_TOP:].astype(np.float64)
    sums, squares = _integral(lower), _integral(lower**2)
    hat = _explained(sums, squares, _HAT, _HAT_LIT, ())
    body = _explained(sums, squares, _BODY, _BODY_LIT, _FACE)
    return float(np.minimum(hat, body).max())


def is_world_video(reader: VideoReader) -> bool:
    """Whether the film is one of the world's: square, and one of ``LOOKS`` pictures over its length shows a robot.

    Raises:
        VideoError: None of these pictures can be decoded.
    """
    if reader.info.width != reader.info.height:
        return False
    return any(robot_share(reader.frames([index])[0]) >= FITS for index in _looked_at(reader))


def is_strange(video: str) -> bool:
    """Whether the film in this file is none of the world's; not if it cannot be read."""
    try:
        width, height = stated_size(video)
        if width != height:
            return True  # as nearly all films: no index is needed to tell
        with open_video(video, pixels=SIDE * SIDE) as reader:
            return not is_world_video(reader)
    except VideoError:
        return False


def strange_video(model: str | os.PathLike[str], videos: Iterable[str]) -> str:
    """The first of ``videos`` that the bundled models do not know, if ``model`` names these; else empty.

    At most ``MOST_FIRST`` are opened. One that cannot be read is passed over: who mines it says why.
    """
    bundle = find_bundle(model)
    if not bundle or not is_shipped(bundle.vlm):
        return ""
    return next((video for video in list(videos)[:MOST_FIRST] if is_strange(video)), "")


def warn_of(video: str) -> None:
    """Log once that the bundled models do not know films like ``video``, and the way out."""
    if not _told:
        _told.append(video)
        logger.warning("%s: %s. %s", video, UNKNOWN_FILM, WAY_OUT)


def _looked_at(reader: VideoReader) -> list[int]:
    """int [<= LOOKS]: frames in the middles of equal parts, or the sync frames nearest to them, which cost least."""
    count, sync = reader.info.frame_count, reader.sync_frames
    middles = (np.arange(LOOKS) * 2 + 1) * count // (2 * LOOKS)
    if len(sync):
        middles = sync[np.abs(sync - middles[:, None]).argmin(axis=1)]
    return list(dict.fromkeys(middles.tolist()))


def _integral(values: np.ndarray) -> np.ndarray:
    """float64 [H + 1, W + 1, 3]: sums over all rows above and columns before."""
    return np.pad(values, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)


def _box(integral: np.ndarray, part: tuple[int, int, int, int]) -> np.ndarray:
    """float64 [rows, columns, 3]: the sum over ``part`` of a robot at each place."""
    top, left, height, width = part
    rows, columns = integral.shape[0] - _HIGH, integral.shape[1] - _WIDE

    def corner(y: int, x: int) -> np.ndarray:
        return integral[y : y + rows, x : x + columns]

    bottom, right = top + height, left + width
    return corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)


def _explained(
    sums: np.ndarray,
    squares: np.ndarray,
    whole: tuple[int, int, int, int],
    lit: tuple[int, int, int, int],
    but: tuple[tuple[int, int, int, int], ...],
) -> np.ndarray:
    """float64 [rows, columns]: the share of the variance of ``whole`` between ``lit``, without ``but``, and the rest.

    0 where the rest is not darker.
    """
    count, lit_count = whole[2] * whole[3], lit[2] * lit[3] - sum(part[2] * part[3] for part in but)
    total = _box(sums, whole)
    bright = _box(sums, lit) - sum((_box(sums, part) for part in but), np.zeros_like(total))
    dark, dark_count = total - bright, count - lit_count
    between = bright**2 / lit_count + dark**2 / dark_count - total**2 / count
    around = _box(squares, whole) - total**2 / count
    share = between.sum(axis=2) / np.maximum(around.sum(axis=2), 1e-9)
    step = (bright / lit_count - dark / dark_count).mean(axis=2)
    return np.where(step > _LEAST_STEP, share, 0.0)
