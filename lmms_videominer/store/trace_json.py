"""Writes and reads the traces of profiles (``profiling.trace``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmms_videominer.errors import SchemaError
from lmms_videominer.store.atomic import written


def save(trace: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a trace atomically; missing folders are created.

    Raises:
        OSError: The file cannot be written.
    """
    with written(path) as part:
        part.write_text(json.dumps(trace, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what ``save`` wrote.

    Raises:
        SchemaError: The file holds something else.
        OSError: It cannot be read.
    """
    try:
        trace = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{os.fspath(path)}: no trace of a profile ({error})") from error
    if not isinstance(trace, dict) or not trace.keys() >= {"traceEvents", "figures"}:
        raise SchemaError(f"{os.fspath(path)}: no trace of a profile")
    return trace
