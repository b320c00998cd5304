"""Reads and writes the files of a comparison, atomically, with errors that say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.store import atomic


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """See ``atomic.written``.

    Raises:
        ConfigError: The file or its folder cannot be written.
    """
    try:
        with atomic.written(path) as part:
            yield part
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error}). Choose another --out.") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to a file. Raises ``ConfigError`` like ``written``."""
    with written(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to a JSON file. Raises ``ConfigError`` like ``written``."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        SchemaError: The file cannot be read.
    """
    with _reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[Any]:
    """The values of a JSON Lines file. Raises ``SchemaError`` like ``read_json``."""
    with _reading(path), open(path, encoding="utf-8", newline="\n") as file:  # texts may contain other line ends
        return [json.loads(line) for line in file]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: cannot be read ({error}). Delete its folder to create it again.") from error


def file_part(text: str) -> str:
    """``text`` as part of a file name: letters, digits, dots, dashes and underscores, at most 100 characters."""
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("_")[:100]
