"""Files of JSON lines that grow as results come: a killed process leaves at most one line unfinished, at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast


def line_of(value: Any) -> bytes:
    """``value`` as one line of JSON in UTF-8; what no text has (lone surrogates) is written as escapes of JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"


def append_lines(path: str | os.PathLike[str], lines: Iterable[bytes]) -> None:
    """Append ``lines`` in one write, on lines of their own even if the file ends in an unfinished one.

    Missing folders are created. Only one process at a time may append.

    Raises:
        OSError: The file cannot be written.
    """
    text = b"".join(lines)
    if not text:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        if file.tell() and not _ends_a_line(cast(BinaryIO, file)):
            text = b"\n" + text  # a process was killed while writing
        file.write(text)


def read_lines(path: str | os.PathLike[str]) -> tuple[list[Any], int]:
    """The values of the lines, and how many lines are no JSON; a file that is absent has none.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    values, damaged = [], 0
    for line in filter(bytes.strip, lines):
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError):
            damaged += 1
    return values, damaged


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
