"""What a task asks: its documents, with each video's length and the evidence, where known; made by ``load_tasks``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms_videominer.bench.files import file_part, read_json, write_json
from lmms_videominer.types import Span


@dataclass(frozen=True)
class Document:
    """One question of a task.

    Attributes:
        doc_id: lmms-eval's.
        question: Its text, without the options.
        target: The right answer as the task writes it.
        kind: The task's own category; empty where it has none.
        video: The file; empty where the document shows no single video.
        duration_s: Its length by the file's header; ``None`` where it cannot be read.
        evidence: Spans that answer it, where known.
        problem: Why the task does not find what it shows; empty where it does.
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
    """Where the documents of a task are kept; ``source`` is ``Settings.source``."""
    text = json.dumps([task, source], sort_keys=True)
    return out / "tasks" / f"{file_part(task)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


def table_of(out: Path, cell: Mapping[str, Any]) -> Path:
    """The ``table_path`` of a cell, as its file describes it."""
    return table_path(out, cell["task"], {name: cell[name] for name in ("limit", "include_path", "world")})


def write_table(path: Path, documents: Sequence[Document]) -> None:
    """Keep ``documents``, one task's, in their order."""
    write_json(path, [dataclasses.asdict(document) for document in documents])


def is_whole(path: Path) -> bool:
    """Whether the documents of a task are kept in ``path``, and what each shows was there."""
    return path.is_file() and not any(document.problem for document in read_table(path))


def read_table(path: Path) -> list[Document]:
    """What ``write_table`` kept.

    Raises:
        SchemaError: It cannot be read.
    """
    rows = read_json(path)
    return [Document(**{**row, "evidence": tuple(Span(**span) for span in row["evidence"])}) for row in rows]
