"""Reads the questions of a source, checked row by row before any model is loaded."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lmms_videominer.config import check_names
from lmms_videominer.errors import ConfigError
from lmms_videominer.manifest.layouts import (
    FOREIGN,
    LAYOUTS,
    BadRow,
    LeftOut,
    PlainRow,
    QuestionRow,
    layout_of,
    validate_row,
)
from lmms_videominer.manifest.row_files import PlacedRow, is_file_name, read_rows

BAD_ROWS = ("stop", "skip")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where questions come from, and what is taken from there.

    Attributes:
        questions: A file, a folder, or a hub dataset, as for ``row_files.read_rows``.
        split: Split of a dataset; files have no splits.
        layout: One of ``LAYOUTS``; ``auto``: by the keys of the first row.
        media_root: Root folder for relative paths of videos; empty: the folder of the questions.
        open_questions: Keep open-ended questions of public layouts.
        bad_rows: What to do with a row that cannot be used: one of ``BAD_ROWS``.
        with_answers: Whether a row must have the right answer.
        with_videos: Whether the video of a row must exist.

    Raises:
        ConfigError: A value is unknown; the message quotes it.
    """

    questions: str
    split: str = "train"
    layout: str = "auto"
    media_root: str = ""
    open_questions: bool = False
    bad_rows: str = "stop"
    with_answers: bool = True
    with_videos: bool = True

    def __post_init__(self) -> None:
        if self.layout != "auto":
            check_names([self.layout], LAYOUTS, "layout")
        if self.bad_rows not in BAD_ROWS:
            raise ConfigError(f"bad_rows={self.bad_rows!r}: one of {', '.join(BAD_ROWS)}")

    def read(self) -> QuestionSet:
        """Read and check all questions.

        Raises:
            ConfigError: The source cannot be read, a row is bad (the message names the file, the line and the way
                out), or no question remains.
        """
        return _Reading(self).read()


@dataclass
class QuestionSet:
    """The questions of a source.

    Attributes:
        questions: The questions in the order of the source, with unique ids.
        left_out: Valid rows that are not used, counted by reason.
        bad: Rows that cannot be used, as ``"place: reason"``; empty unless bad rows are skipped.
    """

    questions: list[QuestionRow] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def log(self, source: str) -> None:
        """Log what is left out and skipped."""
        for reason, count in self.left_out.items():
            logger.warning("%s: %d %s are left out", source, count, reason)
        if self.bad:
            logger.warning("%s: %d bad rows are skipped, the first: %s", source, len(self.bad), self.bad[0])


class _Reading:
    """One pass over a source."""

    def __init__(self, source: Source):
        if not source.questions:
            raise ConfigError("questions is empty: set it to a file, a folder, or a hub dataset")
        self.source, self.layout = source, source.layout
        self.roots = _media_roots(source.questions, source.media_root)
        self.question_set, self.place_of_id = QuestionSet(), dict[str, str]()

    def read(self) -> QuestionSet:
        for placed in read_rows(self.source.questions, self.source.split):
            if self.layout == "auto":
                self.layout = layout_of(placed.value)
            for item in _translate(placed, self.layout):
                try:
                    self._add(item, placed.place)
                except BadRow as bad:
                    self._bad(bad, placed.place)
        if not self.question_set.questions:
            raise self._no_questions_error()
        return self.question_set

    def _add(self, item: PlainRow | LeftOut | BadRow, place: str) -> None:
        if isinstance(item, BadRow):
            raise item
        foreign = self.layout in FOREIGN
        if not isinstance(item, LeftOut) and foreign and not item["options"] and not self.source.open_questions:
            item = LeftOut("questions without options")
        if isinstance(item, LeftOut):
            self.question_set.left_out[item.reason] += 1
            return
        question = validate_row(item, self.source.with_answers)
        path = _video(question.video, item.get("folder"), self.roots, self.source.with_videos)
        question = dataclasses.replace(question, video=path)
        self.question_set.questions.append(_with_unique_id(question, item, foreign, self.place_of_id, place))

    def _bad(self, bad: BadRow, place: str) -> None:
        if self.source.bad_rows == "stop":
            raise ConfigError(f"{place}: {bad} (set bad_rows=skip to skip such rows)") from bad
        self.question_set.bad.append(f"{place}: {bad}")

    def _no_questions_error(self) -> ConfigError:
        left_out, bad = self.question_set.left_out, self.question_set.bad
        reasons = [f"{count} {reason}" for reason, count in left_out.items()]
        reasons += [f"{len(bad)} bad rows, the first: {bad[0]}"] if bad else []
        return ConfigError(
            f"{self.source.questions}: no question can be used ({'; '.join(reasons) or 'it has no rows'}). "
            "Choose another file or split" + (", or set open_questions=true" if left_out else "")
        )


def _translate(placed: PlacedRow, layout: str) -> Iterator[PlainRow | LeftOut | BadRow]:
    if not isinstance(placed.value, dict):
        yield BadRow(f"the row is {placed.value!r:.80}", "A row must be one JSON object")
        return
    try:
        yield from LAYOUTS[layout](placed.value)
    except BadRow as bad:
        yield bad


def _media_roots(source: str | os.PathLike[str], media_root: str) -> tuple[Path, ...]:
    """The root folder of the videos; none for a hub dataset without ``media_root``."""
    if media_root:
        root = Path(media_root).expanduser().absolute()
        if not root.is_dir():
            raise ConfigError(f"media_root={media_root}: no such folder. Set it to the root of the videos' paths")
        return (root,)
    path = Path(source).expanduser().absolute()
    return (path if path.is_dir() else path.parent,) if is_file_name(os.fspath(source)) else ()


def _video(name: str, folder: str | None, roots: tuple[Path, ...], must_exist: bool) -> str:
    """The path of the video file.

    Args:
        name: The name in the row.
        folder: A further folder below each root to search: LLaVA-Video-178K unpacks by ``data_source``.
        roots: Root folders for relative names.
        must_exist: Refuse a video that is nowhere; otherwise its first place is taken.
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise BadRow(f"video {name!r} is no name of a file", "Write the path as text") from error
    path = Path(os.path.expanduser(name))  # leaves the names of unknown users as they are
    if not path.is_absolute() and not roots:
        raise BadRow(
            f"video {name} is a relative path, and a hub dataset has no folder",
            "Set media_root to its root folder",
        )
    candidates = [path] if path.is_absolute() else [root / part / path for root in roots for part in ("", folder or "")]
    found = next(filter(os.path.isfile, candidates), None)
    if found is None and must_exist:
        raise BadRow(
            f"video {name} is not at {os.path.normpath(candidates[0])}",
            "Set media_root to the root folder of the paths, or download the video",
        )
    return os.path.normpath(found or candidates[0])


def _with_unique_id(
    question: QuestionRow, row: PlainRow, foreign: bool, place_of_id: dict[str, str], place: str
) -> QuestionRow:
    """``question`` with a unique id: append a number to a repeated id in a foreign layout, else raise ``BadRow``."""
    if question.id in place_of_id and not foreign:
        if row.get("id") in (None, ""):
            raise BadRow(
                f"the same question on the same video is already at {place_of_id[question.id]}",
                "Remove one of them, or give each its own id",
            )
        raise BadRow(
            f"id {question.id!r} already occurs at {place_of_id[question.id]}",
            "Results are told apart by their ids: give every question its own id, or none",
        )
    number, id = 2, question.id
    while id in place_of_id:
        id, number = f"{question.id}~{number}", number + 1
    place_of_id[id] = place
    return question if id == question.id else dataclasses.replace(question, id=id)
