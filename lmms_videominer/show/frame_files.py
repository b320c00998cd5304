"""The key frames of a selection, read from its video and written as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.store.atomic import written
from lmms_videominer.types import Selection
from lmms_videominer.video.pixels import read_key_frames
from lmms_videominer.video.time_codes import file_stamps, is_file_stamp


@contextmanager
def writing() -> Iterator[None]:
    """Raise ``ConfigError`` for a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written ({error.strerror}). Choose another path.") from error


def key_frame_pixels(selection: Selection, max_pixels: int = 0) -> np.ndarray:
    """uint8 [T, H, W, 3], read with the reader of the search; T is 0 if the selection has no key frames.

    Args:
        selection: Whose key frames.
        max_pixels: See ``read_key_frames``.

    Raises:
        VideoError: The video can no longer be read.
    """
    [frames] = read_key_frames([selection], selection.config.get("reader", "auto"), max_pixels)
    if isinstance(frames, VideoMinerError):
        raise frames
    if frames is None:
        return np.zeros((0, selection.video.height, selection.video.width, 3), np.uint8)
    return frames


def save_frames(selection: Selection, frames: np.ndarray, folder: Path) -> list[Path]:
    """Write one picture a key frame, named by its time; returns their files in order."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    stamps = file_stamps([key_frame.time_s for key_frame in selection.key_frames])
    paths = [folder / f"{stamp}.png" for stamp in stamps]
    for path, frame in zip(paths, frames, strict=True):
        with written(path) as part:
            Image.fromarray(frame).save(part, "PNG")
    return paths


def remove_other_frames(folder: Path, kept: Sequence[Path]) -> None:
    """Remove the key frames of earlier selections from ``folder``; other files stay."""
    for path in folder.glob("*.png"):
        if is_file_stamp(path.stem) and path not in kept:
            path.unlink()
