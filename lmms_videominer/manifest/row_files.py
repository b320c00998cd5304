"""Reads rows of a file or a dataset, each with its position, so that a bad row can be located."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms_videominer.errors import ConfigError


@dataclass(frozen=True)
class PlacedRow:
    """One row, unchecked.

    Attributes:
        place: ``"file:line"``, or ``"dataset[split] row n"`` with n counted from 0.
        value: The value of the row; a dict if the row is well-formed.
    """

    place: str
    value: Any


def is_file_name(source: str) -> bool:
    """Whether ``source`` names a file or a folder rather than a hub dataset."""
    return Path(source).suffix in (".json", ".jsonl", ".parquet") or Path(source).expanduser().exists()


def read_rows(source: str | os.PathLike[str], split: str = "train") -> Iterator[PlacedRow]:
    """The rows of ``source``, in order.

    Args:
        source: ``.jsonl``, ``.json`` (an array), ``.parquet``; a folder with a ``qa.jsonl``, or one written by
            ``Dataset.save_to_disk``; else a hub dataset, ``"owner/name"`` or ``"owner/name:config"``.
        split: Split of a dataset; files have no splits.

    Raises:
        ConfigError: The source cannot be read; the message names it, the line if there is one, and the way out.
    """
    name = os.fspath(source)
    path = Path(name).expanduser()
    if path.is_dir() and (path / "qa.jsonl").is_file():
        path = path / "qa.jsonl"
    if path.suffix == ".jsonl":
        return _lines(path)
    if path.suffix == ".json":
        return _array(path)
    return _dataset(name, path, split)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Pass a .jsonl, .json or .parquet file, "
            "a folder with qa.jsonl, or a hub dataset"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8 JSON"
        ) from error


def _lines(path: Path) -> Iterator[PlacedRow]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            try:
                yield PlacedRow(f"{path}:{number}", json.loads(line))
            except (ValueError, RecursionError) as error:  # also of numbers and nesting that Python refuses
                where = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
                raise ConfigError(
                    f"{path}:{number}: not JSON ({where}). A .jsonl file must hold one JSON object per line; is the "
                    "line cut off? Write it again; name an array of objects .json"
                ) from error


def _array(path: Path) -> Iterator[PlacedRow]:
    """Decode an array one element at a time, to know the line where each begins."""
    text, decoder = _text(path), json.JSONDecoder()
    at = _skip_space(text, 0)
    if not text.startswith("[", at):
        raise ConfigError(
            f"{path}: not an array of rows. A .json file must hold [row, row, ...]; name a file of one object per "
            "line .jsonl"
        )
    at, counted, line = _skip_space(text, at + 1), 0, 1
    while not text.startswith("]", at):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _not_json(path, error.lineno, error.msg) from error
        except (ValueError, RecursionError) as error:  # numbers and nesting that Python refuses
            raise _not_json(path, line, str(error)) from error
        yield PlacedRow(f"{path}:{line}", value)
        at = _skip_space(text, at)
        if text.startswith(",", at):
            at = _skip_space(text, at + 1)
        elif not text.startswith("]", at):
            raise _not_json(path, line + text.count("\n", counted, at), "a comma or the end of the array is missing")


def _not_json(path: Path, line: int, reason: str) -> ConfigError:
    return ConfigError(f"{path}:{line}: not JSON ({reason}). Is the file cut off? Write or download it again")


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _dataset(name: str, path: Path, split: str) -> Iterator[PlacedRow]:
    for number, row in enumerate(_load(name, path, split)):
        yield PlacedRow(f"{name}[{split}] row {number}", row)


def _load(name: str, path: Path, split: str) -> Any:
    import datasets

    try:
        if (path / "state.json").is_file():
            return datasets.load_from_disk(str(path))
        if (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))[split]
        if path.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files=str(path), split="train")
        hub_name, _, config = name.partition(":")
        return datasets.load_dataset(hub_name, config or None, split=split)
    except Exception as error:  # anything that the hub, the network or the dataset's files may raise
        reason = (str(error).splitlines() or [""])[0][:300] or type(error).__name__
        raise ConfigError(
            f"{name}: the dataset cannot be loaded, split {split!r} ({reason}). Pass an existing file or "
            "folder, or a hub dataset as owner/name or owner/name:config"
        ) from error
