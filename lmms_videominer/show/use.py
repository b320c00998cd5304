"""What people do next with a selection: ``Selection.images``, ``save``, ``to_messages`` and ``clips``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import check_names
from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.search.answers import prompt_of
from lmms_videominer.show.frame_files import key_frame_pixels, remove_other_frames, save_frames, writing
from lmms_videominer.show.view.pictures import FRAMES
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.store import selection_json
from lmms_videominer.types import Selection, Span, merge_spans
from lmms_videominer.video.guarded import decoded
from lmms_videominer.video.identity import video_identity
from lmms_videominer.video.pixels import check_mined
from lmms_videominer.video.time_codes import clock, file_stamps
from lmms_videominer.vlm.served_vlm import data_url

if TYPE_CHECKING:
    from PIL.Image import Image

TREE = "tree.json"
STYLES = ("openai", "qwen")
TIME_DECIMALS = 2  # of the times in messages


def located(selection: Selection, video: str | os.PathLike[str] | None = None, file: Path | None = None) -> Selection:
    """``selection`` with its video where it is now.

    Args:
        selection: Names the video as it was mined.
        video: Where it was moved to: the file, or the folder that it is in.
        file: The file of the selection, beside which the video may lie.

    Raises:
        VideoError: It is not there.
    """
    place = None if video is None else Path(video)
    found = os.fspath(Shown(selection, "", file).video_file(place))
    if not os.path.exists(found):
        remedy = "If it was moved, say where it is now: video=PATH, in a shell --video PATH"
        raise VideoError(found, "the video is not there", remedy)
    return replace(selection, question=replace(selection.question, video=found))


def images(selection: Selection, max_pixels: int = 0, video: str | os.PathLike[str] | None = None) -> list[Image]:
    """See ``Selection.images``."""
    from PIL import Image

    if max_pixels < 0:
        raise ConfigError(f"max_pixels={max_pixels}: it must be at least 1, or 0 for the video's own resolution")
    if not selection.key_frames:
        return []
    return [Image.fromarray(frame) for frame in key_frame_pixels(located(selection, video), max_pixels)]


def save(
    selection: Selection, folder: str | os.PathLike[str], video: str | os.PathLike[str] | None = None
) -> tuple[Path, ...]:
    """See ``Selection.save``. The folder is laid out like that of ``videominer demo``."""
    tree, frames_dir = Path(folder) / TREE, Path(folder) / FRAMES
    frames = key_frame_pixels(located(selection, video) if selection.key_frames else selection)
    with writing():
        paths = save_frames(selection, frames, frames_dir)
        selection_json.save(selection, tree)  # from here on the result is the new one, and its frames are there
        remove_other_frames(frames_dir, paths)
    return (*paths, tree)


def to_messages(
    selection: Selection,
    style: str = "openai",
    max_pixels: int = 0,
    video: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """See ``Selection.to_messages``."""
    check_names([style], STYLES, "style")
    content: list[dict[str, Any]] = []
    for frame, image in zip(selection.key_frames, images(selection, max_pixels, video), strict=True):
        content.append({"type": "text", "text": f"Frame at {clock(frame.time_s, TIME_DECIMALS)}:"})
        content.append(_picture(image, style))
    content.append({"type": "text", "text": prompt_of(selection)})
    return [{"role": "user", "content": content}]


def _picture(image: Image, style: str) -> dict[str, Any]:
    import numpy as np

    if style == "openai":
        return {"type": "image_url", "image_url": {"url": data_url(np.asarray(image))}}
    return {"type": "image", "image": image}


def clips(
    selection: Selection,
    folder: str | os.PathLike[str],
    margin_s: float = 0.0,
    video: str | os.PathLike[str] | None = None,
) -> tuple[Path, ...]:
    """See ``Selection.clips``."""
    from lmms_videominer.video.cutting import cut_out

    if not margin_s >= 0:
        raise ConfigError(f"margin_s={margin_s}: it must be 0 or more seconds")
    spans = widened(selection.accepted, margin_s, selection.video.duration_s)
    if not spans:
        return ()
    selection = located(selection, video)
    path = selection.question.video
    check_mined(selection, decoded(path, video_identity, path))
    targets = [Path(folder) / name for name in _clip_names(spans)]
    with writing():
        return tuple(cut_out(path, list(zip(spans, targets, strict=True))))


def widened(spans: Sequence[Span], margin_s: float, duration_s: float) -> tuple[Span, ...]:
    """``spans`` with ``margin_s`` seconds more on either side, within the video; those that then overlap become one."""
    wide = [Span(max(0.0, s.start_s - margin_s), min(duration_s, s.end_s + margin_s)) for s in spans]
    return merge_spans(wide)


def _clip_names(spans: Sequence[Span]) -> list[str]:
    stamps = file_stamps([time_s for span in spans for time_s in (span.start_s, span.end_s)])
    return [f"{start}-{end}.mp4" for start, end in zip(stamps[::2], stamps[1::2], strict=True)]
