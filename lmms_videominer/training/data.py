"""Questions to train on: read from files and hub datasets, checked before any model loads."""

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
    checked,
    layout_of,
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
    """Where the questions are, as fields of a training file.

    Raises:
        ConfigError: A value is unknown; the message quotes it.
    """

    questions: str = _option("", "A .jsonl, .json or .parquet file, a folder, or a hub dataset, owner/name:config.")
    split: str = _option("train", "Split of a dataset; a file has none.")
    layout: str = _option("auto", "plain, world, llava-video-178k, video-r1; auto: told by the first row's keys.")
    media_root: str = _option("", "Folder that relative paths of videos start from; empty: that of the questions.")
    open_questions: bool = _option(
        False,
        "Keep questions without options of public layouts: only an equal text is "
        "a right answer to them. Those of plain files are always kept.",
    )
    bad_rows: str = _option("stop", "At a row that cannot be used: stop, or skip and count it.")

    def __post_init__(self) -> None:
        if self.layout != "auto":
            check_names([self.layout], LAYOUTS, "layout")
        if self.bad_rows not in BAD_ROWS:
            raise ConfigError(f"bad_rows={self.bad_rows!r}: one of {', '.join(BAD_ROWS)}")

    def read(self) -> QuestionSet:
        """As ``read_questions``."""
        return _Reading(self).read()

    def load(self) -> Dataset:
        """As ``load_questions``."""
        found = self.read()
        found.log(self.questions)
        return as_dataset(found.questions)


@dataclass
class QuestionSet:
    """What a source gives for training.

    Attributes:
        questions: In the source's order, ids unique.
        left_out: Sound rows that are not for this training, counted by reason.
        bad: Rows that cannot be used, as ``"place: reason"``; empty unless they are skipped.
    """

    questions: list[TrainingQuestion] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def log(self, source: str) -> None:
        """Say what is left out and skipped."""
        for reason, count in self.left_out.items():
            logger.warning("%s: %d %s are left out", source, count, reason)
        if self.bad:
            logger.warning("%s: %d bad rows are skipped, the first: %s", source, len(self.bad), self.bad[0])


def load_questions(source: str | os.PathLike[str], split: str = "train", **arguments: Any) -> Dataset:
    """Questions as ``TGRPOTrainer`` takes them: ``id``, ``video``, ``question``, ``options``, ``answer``, ``evidence``.

    What is left out or skipped is logged with its count. Arguments and errors are those of ``read_questions``.
    """
    return DataArguments(os.fspath(source), split, **arguments).load()


def read_questions(source: str | os.PathLike[str], split: str = "train", **arguments: Any) -> QuestionSet:
    """Read and check the questions of ``source``, videos' existence included.

    Args:
        source: As for ``row_files.read_rows``: a file, a folder, or a dataset of the hub.
        split: Split of a dataset.
        **arguments: ``layout``, ``media_root``, ``open_questions``, ``bad_rows`` of ``DataArguments``.

    Raises:
        ConfigError: The source cannot be read, a row is bad (the message names file, line and the way out),
            or no question is left.
    """
    return DataArguments(os.fspath(source), split, **arguments).read()


class _Reading:
    """One pass over a source."""

    def __init__(self, arguments: DataArguments):
        if not arguments.questions:
            raise ConfigError("questions is empty: name a file, a folder, or a dataset of the hub")
        self.arguments, self.layout = arguments, arguments.layout
        self.roots = _media_roots(arguments.questions, arguments.media_root)
        self.found, self.taken = QuestionSet(), dict[str, str]()

    def read(self) -> QuestionSet:
        for placed in read_rows(self.arguments.questions, self.arguments.split):
            if self.layout == "auto":
                self.layout = layout_of(placed.value)
            for item in _translated(placed, self.layout):
                try:
                    self._add(item, placed.place)
                except BadRow as bad:
                    self._bad(bad, placed.place)
        if not self.found.questions:
            raise self._nothing()
        return self.found

    def _add(self, item: PlainRow | LeftOut | BadRow, place: str) -> None:
        if isinstance(item, BadRow):
            raise item
        foreign = self.layout in FOREIGN
        if not isinstance(item, LeftOut) and foreign and not item["options"] and not self.arguments.open_questions:
            item = LeftOut("questions without options")
        if isinstance(item, LeftOut):
            self.found.left_out[item.reason] += 1
            return
        question = checked(item)
        question = dataclasses.replace(question, video=_video(question.video, item.get("folder"), self.roots))
        self.found.questions.append(_with_unique_id(question, foreign, self.taken, place))

    def _bad(self, bad: BadRow, place: str) -> None:
        if self.arguments.bad_rows == "stop":
            raise ConfigError(f"{place}: {bad} (bad_rows=skip goes on without such rows)") from bad
        self.found.bad.append(f"{place}: {bad}")

    def _nothing(self) -> ConfigError:
        reasons = [f"{count} {reason}" for reason, count in self.found.left_out.items()]
        reasons += [f"{len(self.found.bad)} bad rows, the first: {self.found.bad[0]}"] if self.found.bad else []
        return ConfigError(
            f"{self.arguments.questions}: no question to train on ({'; '.join(reasons) or 'it holds no row'}). "
            "Name another file or split" + (", or set open_questions=true" if self.found.left_out else "")
        )


def _translated(placed: PlacedRow, layout: str) -> Iterator[PlainRow | LeftOut | BadRow]:
    if not isinstance(placed.value, dict):
        yield BadRow(f"the row is {placed.value!r:.80}", "A row is one JSON object")
        return
    try:
        yield from LAYOUTS[layout](placed.value)
    except BadRow as bad:
        yield bad


def _media_roots(source: str | os.PathLike[str], media_root: str) -> tuple[Path, ...]:
    """The folder that videos are looked for in; none for a dataset of the hub without ``media_root``."""
    if media_root:
        root = Path(media_root).expanduser().absolute()
        if not root.is_dir():
            raise ConfigError(f"media_root={media_root}: no such folder. Name the one that videos' paths start from")
        return (root,)
    path = Path(source).expanduser().absolute()
    return (path if path.is_dir() else path.parent,) if is_file_name(os.fspath(source)) else ()


def _video(name: str, folder: str | None, roots: tuple[Path, ...]) -> str:
    """The path of the video file.

    Args:
        name: As the row has it.
        folder: Below a root, one more place to look: LLaVA-Video-178K unpacks by ``data_source``.
        roots: Where relative names start.
    """
    path = Path(name).expanduser()
    if not path.is_absolute() and not roots:
        raise BadRow(
            f"video {name} is a relative path, and a dataset of the hub has no folder",
            "Set media_root to the folder that it starts from",
        )
    tried = [path] if path.is_absolute() else [root / part / path for root in roots for part in ("", folder or "")]
    for candidate in tried:
        if candidate.is_file():
            return os.path.normpath(candidate)
    raise BadRow(
        f"video {name} is not at {os.path.normpath(tried[0])}",
        "Set media_root to the folder that the paths start from, or fetch the video",
    )


def _with_unique_id(question: TrainingQuestion, foreign: bool, taken: dict[str, str], place: str) -> TrainingQuestion:
    """``question`` itself; where its id is taken: of a foreign layout with a number at the end, else ``BadRow``."""
    if question.id in taken and not foreign:
        raise BadRow(
            f"id {question.id!r} stands at {taken[question.id]} already",
            "Trees are compared within one id: give every question its own, or none",
        )
    number, id = 2, question.id
    while id in taken:
        id, number = f"{question.id}~{number}", number + 1
    taken[id] = place
    return question if id == question.id else dataclasses.replace(question, id=id)


def as_dataset(questions: Iterable[TrainingQuestion]) -> Dataset:
    """Rows of the layout ``plain``, with fixed types: empty lists would leave them open."""
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
    """Write questions as JSONL of the layout ``plain``, at once; folders that lack are made."""
    with written(path) as part, open(part, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(question.row(), ensure_ascii=False) + "\n" for question in questions)
