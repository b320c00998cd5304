"""Questions to train on: read from files and hub datasets, and checked before any model is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.reading import QuestionSet, Source
from lmms_videominer.store.atomic import written

if TYPE_CHECKING:
    from datasets import Dataset


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
        _ = self.source

    @property
    def source(self) -> Source:
        return Source(self.questions, self.split, self.layout, self.media_root, self.open_questions, self.bad_rows)

    def read(self) -> QuestionSet:
        """See ``read_questions``."""
        return self.source.read()

    def load(self) -> Dataset:
        """See ``load_questions``."""
        question_set = self.read()
        question_set.log(self.questions)
        return as_dataset(question_set.questions)


def load_questions(source: str | os.PathLike[str], split: str = "train", **arguments: Any) -> Dataset:
    """Questions for ``TGRPOTrainer``: the columns ``id``, ``video``, ``question``, ``options``, ``answer``,
    ``evidence``, ``start_s`` and ``end_s``.

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


def as_dataset(questions: Iterable[QuestionRow]) -> Dataset:
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
            "start_s": Value("float64"),
            "end_s": Value("float64"),
        }
    )
    return Dataset.from_list([question.row() for question in questions], features=features)


def save_questions(questions: Iterable[QuestionRow], path: str | os.PathLike[str]) -> None:
    """Write questions as JSONL of the layout ``plain``, atomically; missing folders are created."""
    with written(path) as part, open(part, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(question.row(), ensure_ascii=False) + "\n" for question in questions)
