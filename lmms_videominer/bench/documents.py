"""The documents of a task, with the length of each video and the evidence, if known; written by ``load_tasks``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms_videominer.bench.files import file_part, read_json, write_json
from lmms_videominer.errors import SchemaError
from lmms_videominer.types import Span


@dataclass(frozen=True)
class Document:
    """One question of a task.

    Attributes:
        doc_id: lmms-eval's id of the document.
        question: The text of the question, without the options.
        target: The correct answer as written by the task.
        kind: The task's own category; empty if it has none.
        video: The video file; empty if the document does not show a single video.
        duration_s: Length of the video by the file's header, in seconds; ``None`` if it cannot be read.
        evidence: Spans that answer the question, if known.
        problem: Why the task does not find the document's visuals; empty if it does.
    """

    doc_id: int
    question: str
    target: str
    kind: str = ""
    video: str = ""
    duration_s: float | None = None
    evidence: tuple[Span, ...] = ()
    problem: str = ""


def table_path(out: Path, task: str, source: dict[str, Any]) -> Path:
    """The file for the documents of a task; ``source`` is ``Settings.source``."""
    text = json.dumps([task, source], sort_keys=True)
    return out / "tasks" / f"{file_part(task)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


def table_of(out: Path, cell: Mapping[str, Any]) -> Path:
    """The ``table_path`` of a cell, given the contents of its file."""
    return table_path(out, cell["task"], {name: cell[name] for name in ("limit", "include_path", "world")})


def write_table(path: Path, documents: Sequence[Document]) -> None:
    """Write the ``documents`` of one task, in their order."""
    write_json(path, [dataclasses.asdict(document) for document in documents])


def is_whole(path: Path) -> bool:
    """Whether ``path`` has the documents of a task and the visuals of each were found."""
    return path.is_file() and not any(document.problem for document in read_table(path))


def read_table(path: Path) -> list[Document]:
    """The documents that ``write_table`` wrote.

    Raises:
        SchemaError: The file cannot be read.
    """
    rows = read_json(path)
    try:
        return [Document(**{**row, "evidence": tuple(Span(**span) for span in row["evidence"])}) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{path}: does not hold documents ({error!r}). Delete it to create it again.") from error
