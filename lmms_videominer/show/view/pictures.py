"""Small pictures of the frames of a result, as data URIs: from its video, or from the files that it left.

A run of lmms-eval keeps the key frames of a sample beside its tree as a strip, one small picture after the other
(``save_strip``): its videos are open then, and would have to be decoded again later.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.store.atomic import written
from lmms_videominer.types import Action, Event, Node, Selection
from lmms_videominer.video.time_codes import file_stamps

AT_ONCE = 16  # frames decoded together: of a large video these are 100 MB
QUALITY = 60  # of WebP
STRIP_WIDTH = 160  # pixels of one picture
MOST_IN_STRIP = 100  # pictures: WebP is at most 16383 pixels wide
FRAMES = "frames"  # the folder beside a result where the demo puts its key frames
_FIRST = {Action.ACCEPT: 0, Action.CONTINUE: 1, None: 2, Action.DELETE: 3}


@dataclass(frozen=True)
class Pictures:
    """The pictures of one result.

    Attributes:
        by_frame: Data URI by index of the frame.
        frame_at: Index of the frame by time, for the times of events; without those of frames that have no picture.
        why_few: Why only key frames, or nothing, could be shown; empty if the video was read.
    """

    by_frame: Mapping[int, str] = field(default_factory=dict)
    frame_at: Mapping[float, int] = field(default_factory=dict)
    why_few: str = ""


def pictures_of(shown: Shown, most: int, width: int, place: Path | None = None, decode: bool = True) -> Pictures:
    """Up to ``most`` pictures of ``shown``: of its key frames first, then of its nodes, the accepted ones first.

    Args:
        width: Of a picture, in pixels; higher than wide, it is scaled to fit a square.
        place: Where the video has been moved to, see ``Shown.video_file``.
        decode: Read the video; else only what the result left.
    """
    why = "The video was not read for this page."
    if decode and most:
        try:
            return _of_video(shown.selection, str(shown.video_file(place)), most, width)
        except VideoError as error:
            why = f"The video could not be read: {error}"
    return Pictures(dict(list(_of_files(shown, width))[:most]), why_few=why)


def save_strip(frames: np.ndarray, path: Path) -> None:
    """Write small pictures of ``frames``, uint8 [N, H, W, 3], of up to ``MOST_IN_STRIP``, side by side in one file.

    Raises:
        OSError: The file cannot be written.
    """
    from PIL import Image

    small = [_fitted(frame, STRIP_WIDTH) for frame in frames[:MOST_IN_STRIP]]
    strip = Image.new("RGB", (sum(picture.width for picture in small), small[0].height))
    for place, picture in enumerate(small):
        strip.paste(picture, (place * picture.width, 0))
    with written(path) as part:
        strip.save(part, "WEBP", quality=QUALITY)


def strip_beside(tree: Path) -> Path:
    """The file for the strip of the key frames of the selection in ``tree``."""
    return tree.with_suffix(".webp")


def _of_video(selection: Selection, video: str, most: int, width: int) -> Pictures:
    from lmms_videominer.video.guarded import GuardedReader, decoded
    from lmms_videominer.video.identity import video_identity
    from lmms_videominer.video.opening import open_video
    from lmms_videominer.video.timing import frames_shown_at

    if selection.video.identity not in ("", decoded(video, video_identity, video)):
        raise VideoError(video, "it is not the file that was mined: its content is another", "Put that file back")
    reader = GuardedReader(open_video, video, "auto")
    try:
        times = list(dict.fromkeys(_node_times(selection.nodes)))
        at = dict(zip(times, frames_shown_at(reader.timestamps_s, times).tolist()))
        count = len(reader.timestamps_s)
        keys = [frame.frame_index for frame in selection.key_frames if 0 <= frame.frame_index < count]
        wanted = sorted(list(dict.fromkeys([*keys, *at.values()]))[:most])
        made: dict[int, str] = {}
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            made.update(zip(part, [_uri(_fitted(frame, width)) for frame in reader.frames(part)]))
    finally:
        reader.close()
    return Pictures(made, {time_s: frame for time_s, frame in at.items() if frame in made})


def _node_times(nodes: Sequence[Node]) -> Iterator[float]:
    """Times of frames of ``nodes``: one of every event, the accepted nodes' first, then a second one, and so on."""
    ordered = sorted(nodes, key=lambda node: _FIRST[node.decision.action if node.decision else None])
    events = [event for node in ordered for event in node.events]
    for round in zip_longest(*map(_from_the_middle, events)):
        yield from (time_s for time_s in round if time_s is not None)


def _from_the_middle(event: Event) -> list[float]:
    """The times of the frames that the captioner saw of ``event``, the one nearest to its middle first."""
    middle = (event.span.start_s + event.span.end_s) / 2
    nearest = sorted(event.frame_times_s, key=lambda time_s: abs(time_s - middle))
    return [*nearest[:1], *sorted(nearest[1:])]


def _of_files(shown: Shown, width: int) -> Iterator[tuple[int, str]]:
    """The key frames whose pictures are beside the result."""
    if shown.file is None:
        return
    indices = [frame.frame_index for frame in shown.selection.key_frames]
    strip = strip_beside(shown.file)
    if strip.is_file():
        yield from zip(indices, _cut_strip(strip, min(len(indices), MOST_IN_STRIP)))
        return
    folder = shown.file.parent / FRAMES
    for index, stamp in zip(indices, file_stamps([frame.time_s for frame in shown.selection.key_frames])):
        if (path := folder / f"{stamp}.png").is_file():
            yield from ((index, _uri(picture)) for picture in _opened(path, width))


def _cut_strip(path: Path, count: int) -> Iterator[str]:
    for strip in _opened(path):
        each = strip.width // max(1, count)
        for place in range(count if each else 0):
            yield _uri(strip.crop((place * each, 0, (place + 1) * each, strip.height)))


def _opened(path: Path, width: int = 0) -> Iterable:
    """The picture in ``path``; none if it is no picture, or a bomb: it says too little to fail a page for it."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "WEBP")) as file:
            picture = file.convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return []
    if width:
        picture.thumbnail((width, width))
    return [picture]


def _fitted(frame: np.ndarray, width: int):
    """``frame``, uint8 [H, W, 3], no wider and no higher than ``width``."""
    from PIL import Image

    picture = Image.fromarray(frame)
    picture.thumbnail((width, width), Image.Resampling.BICUBIC)
    return picture


def _uri(picture) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
