"""Parses the replies of language models: strictly, else leniently, else with a counted default. No text raises."""

from __future__ import annotations

import ast
import contextlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from lmms_videominer.types import Action, Reading

NOT_SURE, SURE = 1, 3  # confidence and relevance are rated 1, 2 or 3
RATINGS = {Action.DELETE: 1, Action.CONTINUE: 2, Action.ACCEPT: 3}
ACTIONS = {rating: action for action, rating in RATINGS.items()}

_VALUES_TRIED = 64  # opening braces of a text at which a value is tried
_LONGEST_VALUE = 10_000  # characters of a Python literal
_NO_VALUE = (ValueError, SyntaxError, RecursionError, MemoryError, TypeError)
_MARKS = r"[\s*_`\"':=>]*"  # white space, markdown, quotes and signs between a label and its value
# a label followed by all choices, "confidence: 1, 2 or 3", repeats the prompt and chooses nothing
_OTHER_CHOICE = r"\s*(?:,|/|-|or\b)\s*(?:or\s+)?[1-3]\b"
_CONFIDENCE = re.compile(rf"confidence(?:\s+level)?(?:\s+is)?{_MARKS}([1-3])\b(?!{_OTHER_CHOICE})", re.IGNORECASE)
_RELEVANCE = re.compile(rf"relevance{_MARKS}\[([\d\s,]*)", re.IGNORECASE)
_LONE_RATING = re.compile(r"[\s*_`\"'.]*([1-3])[\s*_`\"'.]*")
_CLIPS = re.compile(rf"\bclips?{_MARKS}\[?((?:[\s,;&]|and\b|to\b|\d{{1,6}}|-|–)+)", re.IGNORECASE)
_NUMBERS = re.compile(r"(\d{1,6})(?:\s*(?:-|–|to)\s*(\d{1,6}))?")


@dataclass(frozen=True)
class Ratings:
    """The relevance of several parts, 1 to 3 each, and how it was read."""

    scores: tuple[int, ...]
    reading: Reading


def read_relevance(text: str, count: int) -> Ratings:
    """The ``count`` ratings of a reply ``{"answer": ..., "confidence": ..., "relevance": [1, 3, ...]}``.

    Strict: the whole text is that object, with exactly ``count`` ratings. Lenient: a list under that name with at least
    one rating is somewhere in the text; surplus entries are ignored, and missing or invalid ones are 1. Anything else:
    all are 1.
    """
    whole = _whole_object(text)
    relevance = whole.get("relevance") if whole else None
    if _are_ratings(relevance) and len(relevance) == count:
        return Ratings(tuple(relevance), Reading.STRICT)
    for value in (*(part.get("relevance") for part in _objects(text)), *_labelled_ratings(text)):
        ratings = [_as_int(entry) for entry in value] if isinstance(value, list) else []
        if any(_is_rating(rating) for rating in ratings):
            scores = [rating if _is_rating(rating) else NOT_SURE for rating in ratings] + [NOT_SURE] * count
            return Ratings(tuple(scores[:count]), Reading.LENIENT)
    return Ratings((NOT_SURE,) * count, Reading.DEFAULT)


def read_confidence(text: str) -> tuple[int, Reading]:
    """The rating of a reply ``{"confidence": 1}``, 1 to 3.

    Lenient: a rating follows the word ``confidence``, and no other rating follows it elsewhere in the text; or the text
    is a single rating. Anything else: 1.
    """
    whole = _whole_object(text)
    if whole and _is_rating(whole.get("confidence")):
        return whole["confidence"], Reading.STRICT
    ratings = set(_CONFIDENCE.findall(text))
    if not ratings and (alone := _LONE_RATING.fullmatch(text)):
        ratings = {alone[1]}
    return (int(ratings.pop()), Reading.LENIENT) if len(ratings) == 1 else (NOT_SURE, Reading.DEFAULT)


def read_wishes(text: str, count: int) -> tuple[tuple[tuple[int, str], ...], Reading]:
    """The requests of a reply ``{"frames": [{"segment": 2, "description": "..."}]}``, as (position, description).

    Segments are numbered from 1 to ``count`` in the text, from 0 in the result. Strict: the whole text is that object
    and every entry is valid. Lenient: the valid entries of a list of such objects, or of an object somewhere in the
    text. Anything else: no requests.
    """
    whole = _whole_object(text)
    if whole and isinstance(whole.get("frames"), list):
        entries = whole["frames"]
        wishes = [_wish(entry, count) for entry in entries]
        if wishes and all(type(entry.get("segment")) is int for entry in entries if isinstance(entry, dict)):
            kept = [wish for wish in wishes if wish]
            if len(kept) == len(wishes):
                return tuple(kept), Reading.STRICT
    for entries in (*(part.get("frames") for part in _objects(text)), list(_objects(text))):
        kept = [wish for entry in entries if (wish := _wish(entry, count))] if isinstance(entries, list) else []
        if kept:
            return tuple(dict.fromkeys(kept)), Reading.LENIENT
    return (), Reading.DEFAULT


def read_clips(text: str, count: int) -> tuple[tuple[int, ...], Reading]:
    """The clips of a reply ``{"answer": ..., "clips": [3, 4]}``, numbered from 1 in the text, from 0 in the result.

    Strict: the whole text is that object and every number is that of a clip. Lenient: numbers or ranges (``3-5``)
    follow that name; those that are not of a clip are ignored. Anything else: no clips.
    """
    whole = _whole_object(text)
    numbers = whole.get("clips") if whole else None
    if isinstance(numbers, list) and numbers and all(type(n) is int and 1 <= n <= count for n in numbers):
        return tuple(sorted({n - 1 for n in numbers})), Reading.STRICT
    for numbers in (*(_as_text(part.get("clips")) for part in _objects(text)), *_CLIPS.findall(text)):
        if clips := {n - 1 for n in _numbers(numbers, count)}:
            return tuple(sorted(clips)), Reading.LENIENT
    return (), Reading.DEFAULT


def _wish(entry: Any, count: int) -> tuple[int, str] | None:
    if not isinstance(entry, dict):
        return None
    segment = _as_int(entry.get("segment", entry.get("segment_id")))
    description = entry.get("description")
    if segment is None or not 1 <= segment <= count or not isinstance(description, str) or not description.strip():
        return None
    return segment - 1, description.strip()


def _whole_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects in the text, as JSON or Python literals."""
    return (value for value in _values(text) if isinstance(value, dict))


def _values(text: str) -> Iterator[Any]:
    """The values that start at one of the first ``_VALUES_TRIED`` opening braces."""
    decoder, start = json.JSONDecoder(), -1
    for _ in range(_VALUES_TRIED):
        start = text.find("{", start + 1)
        if start < 0:
            return
        try:
            yield decoder.raw_decode(text, start)[0]
            continue
        except (ValueError, RecursionError):
            pass
        stop = text.find("}", start) + 1
        with contextlib.suppress(*_NO_VALUE):
            yield _python_literal(text[start : min(stop, start + _LONGEST_VALUE)])


def _python_literal(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escapes; their category depends on Python's version
        return ast.literal_eval(text)


def _labelled_ratings(text: str) -> list[list[str]]:
    """Numbers in brackets after that word, as in ``relevance: [1, 2]``."""
    return [numbers.replace(",", " ").split() for numbers in _RELEVANCE.findall(text)]


def _numbers(text: str, most: int) -> Iterator[int]:
    """The numbers from 1 to ``most`` in the text; ``3-5`` is 3, 4 and 5."""
    for first, last in _NUMBERS.findall(text):
        yield from range(max(int(first), 1), min(int(last or first), most) + 1)


def _as_text(value: Any) -> str:
    """The value as Python writes it; empty if it is nested too deep for that, or holds thousands of digits."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return ""


def _as_int(value: Any) -> int | None:
    """3 for ``3``, ``"3"`` and ``" 3 "``; ``None`` for anything that is not an integer."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*\d{1,6}\s*", value) else None


def _are_ratings(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(_is_rating(value) for value in values)


def _is_rating(value: Any) -> TypeGuard[int]:
    return type(value) is int and NOT_SURE <= value <= SURE


def worst(readings: Sequence[Reading]) -> Reading:
    """The weakest of several readings."""
    order = list(Reading)
    return max(readings, key=order.index, default=Reading.STRICT)
