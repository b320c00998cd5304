"""The sheet of one question: one row per selector, with its frames, their times, and which are in the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.bench.comparison import Group, by_variant
from lmms_videominer.bench.documents import Document
from lmms_videominer.bench.files import written
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.canvas import Canvas, wrap
from lmms_videominer.show.sheet import GREEN, PAPER, RED, draw_picture
from lmms_videominer.show.timeline import EVIDENCE, INK, SOFT, TICK, TRACK, TimeScale
from lmms_videominer.types import KeyFrame
from lmms_videominer.verdict import frames_hitting, in_evidence, windows_hit
from lmms_videominer.video.time_codes import clock, clock_spans

if TYPE_CHECKING:
    import pandas as pd

WIDTH, MARGIN, GAP = 1600, 40, 8  # pixels
LABELS = 250  # width of the column of names
ACROSS = 8  # frames per line
TIME, TRACK_HEIGHT, ROW_GAP = 22, 12, 26
TITLE, LINE = 30, 38
LEAST_HEIGHT = 96  # of a row


@dataclass(frozen=True)
class Choice:
    """The frames of one variant for one question, and the answer.

    Attributes:
        label: The variant's label.
        correct: Its score.
        answer: The video LLM's answer.
        cost: A short description of its cost.
        key_frames: The frames, in temporal order.
        known: Whether the frames are known; otherwise the backbone chose frames that it does not report.
    """

    label: str
    correct: float
    answer: str
    cost: str
    key_frames: tuple[KeyFrame, ...]
    known: bool = True


def question_to_show(group: Group) -> int:
    """The first document on which variants differ in correctness, else in their frames, else the first document."""
    variants = by_variant(group).values()
    for name in ("correct", "frame_indices"):
        columns = [dict(zip(rows["doc_id"], rows[name])) for rows in variants]
        differing = [doc for doc in sorted(columns[0]) if len({column.get(doc) for column in columns}) > 1]
        if differing:
            return int(differing[0])
    return int(min(next(iter(variants))["doc_id"]))


def choices_in(group: Group, doc_id: int) -> list[Choice]:
    """The choice of every variant of ``group`` for one document.

    Raises:
        ConfigError: The document was not among the questions.
    """
    choices = []
    for label, rows in by_variant(group).items():
        row = rows[rows["doc_id"] == doc_id]
        if not len(row):
            raise ConfigError(
                f"--sheet {doc_id}: {group.task} has no such document among its questions "
                f"({rows['doc_id'].min()} to {rows['doc_id'].max()})"
            )
        choices.append(_choice(label, row.iloc[0]))
    return choices


def _choice(label: str, row: pd.Series) -> Choice:
    frames = zip(str(row["times_s"]).split(), str(row["frame_indices"]).split())
    counts = [(row["vlm_calls"], "captions"), (row["llm_calls"], "LLM calls"), (row["scored_frames"], "frames scored")]
    counts += [(row["frames_substituted"], "damaged frames")] if "frames_substituted" in row else []
    costs = [f"{count} {name}" for count, name in counts if isinstance(count, (int, np.integer)) and count]
    key_frames = tuple(KeyFrame(float(time_s), int(index)) for time_s, index in frames)
    known = bool(key_frames) or row["selector"] == "none"
    return Choice(label, float(row["correct"]), str(row["answer"]), ", ".join(costs), key_frames, known)


def draw_sheet(document: Document, choices: Sequence[Choice], path: Path, reader: str = "auto") -> Path:
    """Write the sheet of one question.

    Args:
        document: The question, its video and its evidence.
        choices: The choices, one row each.
        path: A ``.jpg`` file.
        reader: Video backend.

    Raises:
        VideoError: The video can no longer be read.
        ConfigError: The document does not show a single video.
    """
    pictures = _pictures(document, choices, reader)
    shape = next(iter(pictures.values())).shape if pictures else (9, 16, 3)
    title = wrap(document.question, TITLE, WIDTH - 2 * MARGIN, 3)
    top: float = MARGIN + len(title) * LINE + 44
    cell = (WIDTH - 2 * MARGIN - LABELS - (ACROSS - 1) * GAP) / ACROSS
    picture_height = cell * min(shape[0] / shape[1], 1.25)
    heights = [_row_height(choice, picture_height) for choice in choices]
    canvas = Canvas(WIDTH, math.ceil(top + sum(heights) + MARGIN), PAPER)
    for number, line in enumerate(title):
        canvas.text(MARGIN, MARGIN + number * LINE, line, TITLE, INK, bold=True, like=document.question)
    canvas.text(MARGIN, MARGIN + len(title) * LINE + 6, _facts(document), 18, SOFT)
    for choice, height in zip(choices, heights):
        _draw_row(canvas, document, choice, pictures, top, cell, picture_height)
        top += height
    with written(path) as part:
        canvas.render().save(part, format="JPEG", quality=90, subsampling=0)
    return path


def _pictures(document: Document, choices: Sequence[Choice], reader: str) -> dict[int, np.ndarray]:
    """uint8 [H, W, 3] of every chosen frame, by index; each is decoded once."""
    from lmms_videominer.video import open_video

    if not document.video:
        raise ConfigError(f"document {document.doc_id} does not show a single video, so there is no sheet of it")
    indices = sorted({frame.frame_index for choice in choices for frame in choice.key_frames})
    if not indices:
        return {}
    video_reader = open_video(document.video, reader)
    try:
        return dict(zip(indices, video_reader.frames(indices)))
    finally:
        video_reader.close()


def _row_height(choice: Choice, picture_height: float) -> float:
    return max(_pictures_height(choice, picture_height) + TRACK_HEIGHT, LEAST_HEIGHT) + ROW_GAP


def _pictures_height(choice: Choice, picture_height: float) -> float:
    lines = math.ceil(len(choice.key_frames) / ACROSS)
    return lines * (picture_height + TIME + GAP) or LEAST_HEIGHT - TRACK_HEIGHT


def _facts(document: Document) -> str:
    parts = [
        Path(document.video).name,
        *([clock(document.duration_s)] if document.duration_s else []),
        f"right: {document.target}",
    ]
    return " · ".join([*parts, *([f"evidence at {clock_spans(document.evidence)}"] if document.evidence else [])])


def _draw_row(
    canvas: Canvas,
    document: Document,
    choice: Choice,
    pictures: dict[int, np.ndarray],
    top: float,
    cell: float,
    picture_height: float,
) -> None:
    _draw_label(canvas, document, choice, top)
    left = MARGIN + LABELS
    if not choice.key_frames:
        text = "no frames" if choice.known else "the backbone's own frames (unknown)"
        canvas.text(left, top + 8, text, 18, SOFT)
    for number, frame in enumerate(choice.key_frames):
        line, column = divmod(number, ACROSS)
        place = (left + column * (cell + GAP), top + line * (picture_height + TIME + GAP))
        _draw_frame(canvas, document, frame, pictures[frame.frame_index], place, cell, picture_height)
    _draw_track(canvas, document, choice, top + _pictures_height(choice, picture_height))


def _draw_label(canvas: Canvas, document: Document, choice: Choice, top: float) -> None:
    """Draw the variant's name, its answer in green or red, and its cost."""
    width = LABELS - 16
    colour = GREEN if choice.correct >= 0.5 else RED
    lines = [(line, 20, INK, True) for line in wrap(choice.label, 20, width, 2)]
    lines += [(line, 18, colour, True) for line in wrap(choice.answer or "(no answer)", 18, width, 2)]
    lines += [(line, 15, SOFT, False) for line in wrap(choice.cost, 15, width, 2)]
    if document.evidence and choice.known:
        hit = windows_hit(choice.key_frames, document.evidence)
        inside = frames_hitting(choice.key_frames, document.evidence)
        text = f"{hit} of {len(document.evidence)} windows, {inside} frame{'s' * (inside != 1)} inside"
        lines += [(line, 15, EVIDENCE, False) for line in wrap(text, 15, width, 2)]
    for text, size, fill, bold in lines:
        canvas.text(MARGIN, top, text, size, fill, bold=bold)
        top += size + 7


def _draw_frame(
    canvas: Canvas,
    document: Document,
    frame: KeyFrame,
    picture: np.ndarray,
    place: tuple[float, float],
    cell: float,
    height: float,
) -> None:
    """Draw a picture with its time, and with a border if it is in the evidence."""
    left, top = place
    hit = in_evidence(frame, document.evidence)
    draw_picture(canvas, picture, (left, top, left + cell, top + height), hit)
    canvas.text(
        left + cell / 2, top + height + 5, clock(frame.time_s, 1), 15, EVIDENCE if hit else SOFT, "ma", bold=hit
    )


def _draw_track(canvas: Canvas, document: Document, choice: Choice, top: float) -> None:
    """Draw the whole video as a strip, with the evidence and a tick for every frame."""
    if not document.duration_s:
        return
    x = TimeScale(MARGIN + LABELS, WIDTH - MARGIN, document.duration_s)
    canvas.rectangle((x.left, top, x.right, top + TRACK_HEIGHT), TRACK, radius=3)
    for span in document.evidence:
        start, end = x(span.start_s), x(span.end_s)
        canvas.rectangle((min(start, end - 4), top, max(end, start + 4), top + TRACK_HEIGHT), EVIDENCE)
    for frame in choice.key_frames:
        canvas.line([(x(frame.time_s), top - 3), (x(frame.time_s), top + TRACK_HEIGHT + 3)], TICK, 1.5)
