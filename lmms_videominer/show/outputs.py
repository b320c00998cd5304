"""The files of one selection that a command writes: its tree, its key frames, its accepted parts, its contact sheet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lmms_videominer.show.frame_files import key_frame_pixels, remove_other_frames, save_frames, writing
from lmms_videominer.store import selection_json
from lmms_videominer.types import Selection


def write_outputs(
    selection: Selection,
    json: Path | None = None,
    frames_dir: Path | None = None,
    clips_dir: Path | None = None,
    sheet: Path | None = None,
    right_option: int | None = None,
) -> Iterator[Path]:
    """Write the requested files and yield each path once it is written.

    Raises:
        VideoError: The video can no longer be read.
        ConfigError: A file cannot be written.
    """
    if json:  # first: it needs no video
        with writing():
            selection_json.save(_told_from(json.parent, selection), json)
        yield json
    if frames_dir or sheet:
        frames = key_frame_pixels(selection)
        if frames_dir:
            with writing():
                remove_other_frames(frames_dir, save_frames(selection, frames, frames_dir))
            yield frames_dir
        if sheet:
            from lmms_videominer.show.sheet import contact_sheet

            with writing():
                contact_sheet(selection, frames, sheet, right_option)
            yield sheet
    if clips_dir:
        from lmms_videominer.show.use import clips

        yield from clips(selection, clips_dir)


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
