"""Questions to train on: read from files and hub datasets, and checked before any model is loaded."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import check_names
from lmms_videominer.errors import ConfigError
from lmms_videominer.store.atomic import written
from lmms_videominer.training.layouts import (
    FOREIGN,
    LAYOUTS,
    BadRow,
    LeftOut,
    PlainRow,
    TrainingQuestion,
    layout_of,
    validate_row,
)
from lmms_videominer.training.row_files import PlacedRow, is_file_name, read_rows

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

BAD_ROWS = ("stop", "skip")


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class DataArguments:
    """The source of the questions, as fields of a training file.

    Raises:
        ConfigError: A value is unknown; the message quotes it.
    """

    questions: str = _option("", "A .jsonl, .json or .parquet file, a folder, or a hub dataset, owner/name:config.")
    split: str = _option("train", "Split of a dataset; files have no splits.")
    layout: str = _option("auto", "plain, world, llava-video-178k, video-r1; auto: by the keys of the first row.")
    media_root: str = _option("", "Root folder for relative paths of videos; empty: the folder of the questions.")
    open_questions: bool = _option(
        False,
        "Keep open-ended questions of public layouts: an answer to them is correct only "
        "if its text is equal. Those of plain files are always kept.",
    )
    bad_rows: str = _option("stop", "What to do with a row that cannot be used: stop, or skip and count it.")

    def __post_init__(self) -> None:
        if self.layout != "auto":
            check_names([self.layout], LAYOUTS, "layout")
        if self.bad_rows not in BAD_ROWS:
            raise ConfigError(f"bad_rows={self.bad_rows!r}: one of {', '.join(BAD_ROWS)}")

    def read(self) -> QuestionSet:
        """See ``read_questions``."""
        return _Reading(self).read()

    def load(self) -> Dataset:
        """See ``load_questions``."""
        question_set = self.read()
        question_set.log(self.questions)
        return as_dataset(question_set.questions)


@dataclass
class QuestionSet:
    """The questions of a source.

    Attributes:
        questions: The questions in the order of the source, with unique ids.
        left_out: Valid rows that are not used in this training, counted by reason.
        bad: Rows that cannot be used, as ``"place: reason"``; empty unless bad rows are skipped.
    """

    questions: list[TrainingQuestion] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def log(self, source: str) -> None:
        """Log what is left out and skipped."""
        for reason, count in self.left_out.items():
            logger.warning("%s: %d %s are left out", source, count, reason)
        if self.bad:
            logger.warning("%s: %d bad rows are skipped, the first: %s", source, len(self.bad), self.bad[0])


def load_questions(source: str | os.PathLike[str], split: str = "train", **arguments: Any) -> Dataset:
    """Questions for ``TGRPOTrainer``: ``id``, ``video``, ``question``, ``options``, ``answer``, ``evidence``.

    Logs how many rows are left out or skipped. See ``read_questions`` for arguments and errors.
    """
    return DataArguments(os.fspath(source), split, **arguments).load()


def read_questions(source: str | os.PathLike[str], split: str = "train", **arguments: Any) -> QuestionSet:
    """Read and check the questions of ``source``, including that their videos exist.

    Args:
        source: A file, a folder, or a hub dataset, as for ``row_files.read_rows``.
        split: Split of a dataset.
        **arguments: ``layout``, ``media_root``, ``open_questions``, ``bad_rows`` of ``DataArguments``.

    Raises:
        ConfigError: The source cannot be read, a row is bad (the message names the file, the line and the way out),
            or no question remains.
    """
    return DataArguments(os.fspath(source), split, **arguments).read()


class _Reading:
    """One pass over a source."""

    def __init__(self, arguments: DataArguments):
        if not arguments.questions:
            raise ConfigError("questions is empty: set it to a file, a folder, or a hub dataset")
        self.arguments, self.layout = arguments, arguments.layout
        self.roots = _media_roots(arguments.questions, arguments.media_root)
        self.question_set, self.place_of_id = QuestionSet(), dict[str, str]()

    def read(self) -> QuestionSet:
        for placed in read_rows(self.arguments.questions, self.arguments.split):
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
        if not isinstance(item, LeftOut) and foreign and not item["options"] and not self.arguments.open_questions:
            item = LeftOut("questions without options")
        if isinstance(item, LeftOut):
            self.question_set.left_out[item.reason] += 1
            return
        question = validate_row(item)
        question = dataclasses.replace(question, video=_video(question.video, item.get("folder"), self.roots))
        self.question_set.questions.append(_with_unique_id(question, foreign, self.place_of_id, place))

    def _bad(self, bad: BadRow, place: str) -> None:
        if self.arguments.bad_rows == "stop":
            raise ConfigError(f"{place}: {bad} (set bad_rows=skip to skip such rows)") from bad
        self.question_set.bad.append(f"{place}: {bad}")

    def _no_questions_error(self) -> ConfigError:
        left_out, bad = self.question_set.left_out, self.question_set.bad
        reasons = [f"{count} {reason}" for reason, count in left_out.items()]
        reasons += [f"{len(bad)} bad rows, the first: {bad[0]}"] if bad else []
        return ConfigError(
            f"{self.arguments.questions}: no question to train on ({'; '.join(reasons) or 'it has no rows'}). "
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


def _video(name: str, folder: str | None, roots: tuple[Path, ...]) -> str:
    """The path of the video file.

    Args:
        name: The name in the row.
        folder: A further folder below each root to search: LLaVA-Video-178K unpacks by ``data_source``.
        roots: Root folders for relative names.
    """
    path = Path(name).expanduser()
    if not path.is_absolute() and not roots:
        raise BadRow(
            f"video {name} is a relative path, and a hub dataset has no folder",
            "Set media_root to its root folder",
        )
    candidates = [path] if path.is_absolute() else [root / part / path for root in roots for part in ("", folder or "")]
    for candidate in candidates:
        if candidate.is_file():
            return os.path.normpath(candidate)
    raise BadRow(
        f"video {name} is not at {os.path.normpath(candidates[0])}",
        "Set media_root to the root folder of the paths, or download the video",
    )


def _with_unique_id(
    question: TrainingQuestion, foreign: bool, place_of_id: dict[str, str], place: str
) -> TrainingQuestion:
    """``question`` with a unique id: append a number to a repeated id in a foreign layout, else raise ``BadRow``."""
    if question.id in place_of_id and not foreign:
        raise BadRow(
            f"id {question.id!r} already occurs at {place_of_id[question.id]}",
            "Trees are compared within one id: give every question its own id, or none",
        )
    number, id = 2, question.id
    while id in place_of_id:
        id, number = f"{question.id}~{number}", number + 1
    place_of_id[id] = place
    return question if id == question.id else dataclasses.replace(question, id=id)


def as_dataset(questions: Iterable[TrainingQuestion]) -> Dataset:
    """Rows of the layout ``plain`` with explicit types, since empty lists would leave them undefined."""
    from datasets import Dataset, Features, List, Value

    text = Value("string")
    features = Features(
        {
            "id": text,
            "video": text,
            "question": text,
            "options": List(text),
            "answer": text,
            "evidence": List(List(Value("float64"))),
        }
    )
    return Dataset.from_list([question.row() for question in questions], features=features)


def save_questions(questions: Iterable[TrainingQuestion], path: str | os.PathLike[str]) -> None:
    """Write questions as JSONL of the layout ``plain``, atomically; missing folders are created."""
    with written(path) as part, open(part, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(question.row(), ensure_ascii=False) + "\n" for question in questions)
