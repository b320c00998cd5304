"""The contact sheet: one picture with the question, the key frames, and where in the video they lie."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from lmms_videominer.errors import ConfigError
from lmms_videominer.show.canvas import Canvas, text_width, wrap
from lmms_videominer.show.timeline import (
    DISC,
    EVIDENCE,
    INK,
    SOFT,
    draw_legend,
    draw_number,
    draw_timeline,
    timeline_height,
)
from lmms_videominer.store.atomic import written
from lmms_videominer.types import KeyFrame, Selection
from lmms_videominer.verdict import chosen_option, in_evidence, option_letter
from lmms_videominer.video.time_codes import clock, clock_span

WIDTH, MARGIN, GAP = 1600, 48, 16
PAPER, CARD, GREEN, RED = "#ffffff", "#f4f5f7", "#22945a", "#c33d32"
TITLE, LINE, CHIP, CAPTION, HEADING = 36, 46, 46, 38, 52  # pixels
SUFFIXES = (".jpg", ".jpeg", ".png")
WIDEST_CELL = 491  # three fill the width


def contact_sheet(selection: Selection, frames: np.ndarray, path: str | Path, right_option: int | None = None) -> None:
    """Write the contact sheet of ``selection``.

    Args:
        selection: The selection.
        frames: uint8 [T, H, W, 3], RGB: the pictures of ``selection.key_frames``, in their order.
        path: A ``.jpg``, ``.jpeg`` or ``.png`` file; missing folders are created.
        right_option: Index of the right option, if known.

    Raises:
        ConfigError: ``path`` has another suffix or cannot be written.
        ValueError: The numbers of ``frames`` and of key frames differ.
    """
    path = check_sheet_path(path)
    if len(frames) != len(selection.key_frames):
        raise ValueError(f"{len(frames)} frames for {len(selection.key_frames)} key frames")
    picture = _draw(selection, frames, right_option)
    try:
        with written(path) as part:
            picture.save(part, Image.registered_extensions()[path.suffix.lower()], quality=92)
    except OSError as error:
        raise ConfigError(f"{path}: the sheet cannot be written ({error}). Choose a writable folder.") from error


def check_sheet_path(path: str | Path) -> Path:
    """``path`` as a Path; raises ``ConfigError`` if its suffix is not in ``SUFFIXES``."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: a sheet is a picture; its name must end in {' or '.join(SUFFIXES)}")
    return path


def _draw(selection: Selection, frames: np.ndarray, right_option: int | None) -> Image.Image:
    title = wrap(selection.question.text, TITLE, WIDTH - 2 * MARGIN, 3)
    facts_top = MARGIN + len(title) * LINE + 8
    chips = _chip_boxes(selection, facts_top + 42)
    grid = _Grid(frames, (chips[-1][3] + 28) if chips else facts_top + 52)
    height = grid.bottom + HEADING + timeline_height(selection) + MARGIN
    canvas = Canvas(WIDTH, math.ceil(height), PAPER)
    for row, line in enumerate(title):
        canvas.text(MARGIN, MARGIN + row * LINE, line, TITLE, INK, bold=True, like=selection.question.text)
    canvas.text(MARGIN, facts_top, _facts(selection), 19, SOFT)
    _draw_chips(canvas, selection, chips, right_option)
    grid.draw(canvas, selection, frames)
    canvas.text(MARGIN, grid.bottom + 22, _heading(selection), 20, INK, "lm", bold=True)
    draw_legend(canvas, selection, WIDTH - MARGIN, grid.bottom + 22)
    draw_timeline(canvas, selection, MARGIN, grid.bottom + HEADING, WIDTH - MARGIN)
    return canvas.render()


def _facts(selection: Selection) -> str:
    """One line about the video and the cost."""
    video, usage = selection.video, selection.usage
    captions = usage.vlm_calls + usage.vlm_calls_cached
    decisions = usage.policy_calls + usage.policy_calls_cached
    parts = [
        Path(video.path).name,
        clock(video.duration_s),
        f"{video.width} x {video.height}",
        selection.selector,
        f"{len(selection.key_frames)} of {video.frame_count} frames",
    ]
    parts += [f"searched {clock_span(selection.searched)}"] if selection.searched else []
    parts += [f"{captions} captions, {decisions} decisions"] * bool(selection.nodes)
    parts += [f"damaged frames: {usage.frames_substituted}"] * bool(usage.frames_substituted)
    return " · ".join(parts)


def _heading(selection: Selection) -> str:
    if not selection.nodes:
        return "Where the key frames lie"
    below = len(selection.nodes) - 1
    return f"The tree over the video: {below} node{'s' * (below != 1)} below the root"


def _chip_texts(selection: Selection) -> list[str]:
    """The options with their letters; for an open-ended question, the answer itself."""
    options = selection.question.options
    if options:
        return [f"{option_letter(index)}. {option}" for index, option in enumerate(options)]
    return [f"Answer: {selection.answer}"] if selection.answer else []


def _chip_boxes(selection: Selection, top: float) -> list[tuple[float, float, float, float]]:
    """Boxes of the options, in rows from left to right."""
    boxes: list[tuple[float, float, float, float]] = []
    left = float(MARGIN)
    for text in _chip_texts(selection):
        width = min(text_width(text, 21) + 44, WIDTH - 2 * MARGIN)
        if left + width > WIDTH - MARGIN:
            left, top = float(MARGIN), top + CHIP + 10
        boxes.append((left, top, left + width, top + CHIP))
        left += width + 12
    return boxes


def _draw_chips(canvas: Canvas, selection: Selection, boxes: list, right_option: int | None) -> None:
    chosen = chosen_option(selection.answer, selection.question.options)
    for index, (text, box) in enumerate(zip(_chip_texts(selection), boxes)):
        line = wrap(text, 21, box[2] - box[0] - 40, 1)[0]
        wrong = index == chosen and right_option not in (None, index)
        fill = None if index != chosen else RED if wrong else GREEN
        outline = GREEN if index == right_option else fill or "#cfd4da"
        canvas.rectangle(box, fill or CARD, radius=CHIP / 2, outline=outline, width=2)
        canvas.text(box[0] + 22, (box[1] + box[3]) / 2, line, 21, "#ffffff" if fill else INK, "lm", bold=bool(fill))


def draw_picture(canvas: Canvas, frame: np.ndarray, box: tuple[float, float, float, float], hit: bool) -> None:
    """Draw ``frame``, uint8 [H, W, 3], centred and as large as ``box`` allows, with a border if it is a hit."""
    left, top, right, bottom = box
    inset = max(0.0, (right - left - (bottom - top) * frame.shape[1] / frame.shape[0]) / 2)
    canvas.rectangle(box, CARD)
    canvas.paste(Image.fromarray(frame), (left + inset, top, right - inset, bottom))
    if hit:
        canvas.rectangle((left - 3, top - 3, right + 3, bottom + 3), radius=4, outline=EVIDENCE, width=4)


class _Grid:
    """The layout of the pictures: rows of equal cells with the aspect ratio of the frames."""

    def __init__(self, frames: np.ndarray, top: float):
        count = max(1, len(frames))
        self.columns = max(min(count, 4), math.ceil(math.sqrt(1.4 * count)))
        room = WIDTH - 2 * MARGIN - (self.columns - 1) * GAP
        self.width = min(WIDEST_CELL, room / self.columns)
        # limits the height of the sheet for portrait video
        shape = frames.shape[1] / frames.shape[2] if len(frames) else 9 / 16
        self.height = self.width * min(shape, 1.25)
        self.top = top
        rows = math.ceil(len(frames) / self.columns)
        self.bottom = top + (rows * (self.height + CAPTION + GAP) if rows else 60)

    def cell(self, index: int) -> tuple[float, float]:
        """Left and top of the cell."""
        row, column = divmod(index, self.columns)
        return MARGIN + column * (self.width + GAP), self.top + row * (self.height + CAPTION + GAP)

    def draw(self, canvas: Canvas, selection: Selection, frames: np.ndarray) -> None:
        if not len(frames):
            canvas.text(MARGIN, self.top + 20, "No frames were selected.", 20, SOFT)
        for index, (frame, key_frame) in enumerate(zip(frames, selection.key_frames)):
            self._draw_cell(canvas, index, frame, key_frame, selection)

    def _draw_cell(
        self, canvas: Canvas, index: int, frame: np.ndarray, key_frame: KeyFrame, selection: Selection
    ) -> None:
        left, top = self.cell(index)
        hit = in_evidence(key_frame, selection.question.evidence)
        draw_picture(canvas, frame, (left, top, left + self.width, top + self.height), hit)
        draw_number(canvas, left + DISC + 8, top + DISC + 8, index + 1)
        line = top + self.height + CAPTION / 2 + 2
        canvas.text(left, line, clock(key_frame.time_s, 1), 20, INK, "lm", bold=True)
        place = f"node {key_frame.node_id}" if key_frame.node_id else "no node" if selection.nodes else ""
        score = "" if key_frame.score is None else f"score {key_frame.score:.3f}"
        place = " · ".join(filter(None, ["evidence" * hit, place, score]))
        canvas.text(left + self.width, line, place, 18, EVIDENCE if hit else SOFT, "rm")
