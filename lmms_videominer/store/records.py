"""Reads the package's frozen records from what JSON gives, strictly: no field more, no field less, each of its type."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any

from lmms_videominer.errors import SchemaError

REMEDY = "it was not written by this version, or was modified since; mine the video again"


def read_record(kind: Any, value: Any, where: str) -> Any:
    """``value``, read from JSON, as ``kind``: a dataclass, or a type that a field of one may have.

    Args:
        where: Path of the value, for messages.

    Raises:
        SchemaError: A field is missing, unknown or of another type; the message names it.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):  # X | None
        return None if value is None else read_record(arguments[0], value, where)
    if origin is tuple:  # tuple[X, ...]
        items = _expect(list, value, where)
        return tuple(read_record(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items))
    if origin is dict:  # dict[str, X]
        pairs = _expect(dict, value, where)
        return {name: read_record(arguments[1], item, f"{where}.{name}") for name, item in pairs.items()}
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, _expect(dict, value, where), where)
    if issubclass(kind, enum.Enum):
        return _convert(kind, _expect(str, value, where), where)
    if kind is float:
        return _convert(float, _expect((int, float), value, where), where)
    return _expect(kind, value, where)


def _read_fields(kind: Any, fields: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for name in names:
        if name not in fields:
            raise SchemaError(f"{where}.{name} is missing: {REMEDY}")
    for name in fields:
        if name not in names:
            raise SchemaError(f"{where}.{name} is unknown: {REMEDY}")
    arguments = {name: read_record(hints[name], fields[name], f"{where}.{name}") for name in names}
    return _convert(lambda values: kind(**values), arguments, where)


def _expect(kind: type | tuple[type, ...], value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise SchemaError(f"{where}: expected {names}, got {value!r:.80}: {REMEDY}")
    if isinstance(value, str):
        _convert(lambda text: text.encode(errors="surrogateescape"), value, where)  # other lone surrogates are no text
    return value


def _convert(make: Any, value: Any, where: str) -> Any:
    try:
        return make(value)
    except (ValueError, OverflowError) as error:
        raise SchemaError(f"{where}: {error}: {REMEDY}") from error
