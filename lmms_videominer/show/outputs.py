"""The files of one selection: its tree as JSON, its key frames as pictures, its contact sheet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.store import selection_json
from lmms_videominer.types import Selection
from lmms_videominer.video.pixels import read_key_frames
from lmms_videominer.video.time_codes import file_stamps, is_file_stamp


def write_outputs(
    selection: Selection,
    reader: str = "auto",
    json: Path | None = None,
    frames_dir: Path | None = None,
    sheet: Path | None = None,
    right_option: int | None = None,
) -> Iterator[Path]:
    """Write the requested files and yield each path once it is written.

    Raises:
        VideoError: The video can no longer be read.
        ConfigError: A file cannot be written.
    """
    try:
        yield from _write(selection, reader, json, frames_dir, sheet, right_option)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written ({error.strerror}). Choose another path.") from error


def _write(
    selection: Selection,
    reader: str,
    json: Path | None,
    frames_dir: Path | None,
    sheet: Path | None,
    right_option: int | None,
) -> Iterator[Path]:
    if json:
        selection_json.save(_told_from(json.parent, selection), json)
        yield json
    if not (frames_dir or sheet):
        return
    frames = _key_frame_pixels(selection, reader)
    if frames_dir:
        _save_frames(selection, frames, frames_dir)
        yield frames_dir
    if sheet:
        from lmms_videominer.show.sheet import contact_sheet

        contact_sheet(selection, frames, sheet, right_option)
        yield sheet


def _told_from(folder: Path, selection: Selection) -> Selection:
    """``selection`` with a relative path of its video told from ``folder``, so that both can be moved together."""
    video = selection.question.video
    if os.path.isabs(video):
        return selection
    try:
        told = Path(os.path.relpath(video, folder)).as_posix()
    except ValueError:  # another drive
        told = os.path.abspath(video)
    return replace(
        selection, question=replace(selection.question, video=told), video=replace(selection.video, path=told)
    )


def _key_frame_pixels(selection: Selection, reader: str) -> np.ndarray:
    """uint8 [T, H, W, 3]; T is 0 if the selection has no key frames."""
    frames = read_key_frames([selection], reader)[0]
    if isinstance(frames, VideoMinerError):
        raise frames
    if frames is None:
        return np.zeros((0, selection.video.height, selection.video.width, 3), np.uint8)
    return frames


def _save_frames(selection: Selection, frames: np.ndarray, folder: Path) -> None:
    """One picture a key frame, named by its time; those of an earlier selection are removed, other files are not."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{stamp}.png" for stamp in file_stamps([key_frame.time_s for key_frame in selection.key_frames])]
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / name)
    for path in folder.glob("*.png"):
        if is_file_stamp(path.stem) and path.name not in names:
            path.unlink()
