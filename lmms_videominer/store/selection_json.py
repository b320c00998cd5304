"""Converts selections, trees included, to and from JSON text with a schema version."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

from lmms_videominer.errors import SchemaError
from lmms_videominer.store.atomic import written
from lmms_videominer.store.records import REMEDY, read_record
from lmms_videominer.types import SCHEMA_VERSION, WHOLE, Selection

_USAGE_FIELDS_SINCE = {  # by schema version
    2: ("scores", "scores_cached"),
    3: ("policy_calls_cached",),
    4: ("frames_substituted", "captions_missing"),
    5: ("decisions_unread",),
}


def to_json(selection: Selection, indent: int | None = None) -> str:
    """``selection`` as one JSON object: ``schema_version``, then the fields of ``Selection``.

    Raises:
        SchemaError: A number is not finite, or a setting has no JSON form.
    """
    document = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(selection)}
    try:
        return json.dumps(document, indent=indent, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"the selection of {selection.question.video} has no JSON form: {error}") from error


def from_json(text: str) -> Selection:
    """The selection that ``to_json`` wrote, in this version or an earlier one.

    Raises:
        SchemaError: The text is not JSON, has an unknown schema version, or has a missing, unknown or
            wrongly typed field; the message names it.
    """
    try:
        return _from_document(json.loads(text, parse_constant=_finite, parse_float=_finite))
    except SchemaError:
        raise
    except (ValueError, RecursionError) as error:  # no JSON, a number of thousands of digits, or nested too deeply
        raise SchemaError(f"not JSON that can be read ({error}): {REMEDY}") from error


def _from_document(document: Any) -> Selection:
    if not isinstance(document, dict):
        raise SchemaError(f"expected an object, got {type(document).__name__}: {REMEDY}")
    version = document.pop("schema_version", None)
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        raise SchemaError(f"schema_version is {version!r}, this version reads 1 to {SCHEMA_VERSION}: {REMEDY}")
    _upgrade(document, version)
    return read_record(Selection, document, "selection")


def _upgrade(document: dict[str, Any], version: int) -> None:
    """Add the fields introduced after ``version``.

    No scores, counts of 0, nothing said, a video whose identity is unknown, and questions about whole videos.
    """
    if version < 2:
        document.setdefault("scores", None)
    if version < 4 and isinstance(document.get("video"), dict):
        document["video"] = {"identity": "", **document["video"]}
    if version < 6:
        document.setdefault("said", [])
        if isinstance(document.get("question"), dict):
            document["question"] = {**WHOLE, "subtitles": "", **document["question"]}
        nodes = document.get("nodes")
        for node in nodes if isinstance(nodes, list) else ():
            if isinstance(node, dict) and isinstance(node.get("events"), list):
                node["events"] = [{"said": "", **e} if isinstance(e, dict) else e for e in node["events"]]
    if isinstance(document.get("usage"), dict):
        added = [name for since, names in _USAGE_FIELDS_SINCE.items() if version < since for name in names]
        document["usage"] = {**dict.fromkeys(added, 0), **document["usage"]}


def save(selection: Selection, path: str | os.PathLike[str]) -> None:
    """Write ``to_json`` to ``path`` atomically; missing folders are created.

    Raises:
        SchemaError: See ``to_json``.
        OSError: The file cannot be written.
    """
    text = to_json(selection, indent=1)
    with written(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> Selection:
    """Read what ``save`` wrote.

    Raises:
        SchemaError: See ``from_json``; the message names the file.
        OSError: The file cannot be read.
    """
    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except (SchemaError, UnicodeDecodeError) as error:
        raise SchemaError(f"{os.fspath(path)}: {error}") from error


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise SchemaError(f"{number} is not a finite number: {REMEDY}")
    return value
