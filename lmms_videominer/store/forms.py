"""The form of every kind of value in the cache: what a stored value must look like before it is used.

Forms are what can be told from the value alone. What depends on the case (how many scores, which spans) is checked by
the reader, who tells the cache with ``Cache.refuse``.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

IMAGE_FEATURES = "image_features"  # the kind with thousands of values that are cheap to compute
_TOKEN_IDS = range(2**31)


def parse(kind: str, text: bytes) -> Any:
    """The value of ``kind`` that is stored as ``text``, JSON in UTF-8.

    Raises:
        ValueError: It is not JSON, or does not have the form of its kind.
    """
    try:
        value = json.loads(text.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not FORMS[kind](value):
        raise ValueError(f"not the form of {kind!r}")
    return value


def _is_text(value: Any) -> bool:
    """Text that a tokenizer, a file and a terminal can take: lone surrogates cannot be encoded."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_vector(value: Any) -> bool:
    """Finite float32, as ``cache.pack`` gives them."""
    if not isinstance(value, str):
        return False
    try:
        return bool(np.isfinite(np.frombuffer(base64.b64decode(value, validate=True), "<f4")).all())
    except ValueError:
        return False


def _are_features(value: Any) -> bool:
    return _is_vector(value) and value != ""


def _is_completion(value: Any) -> bool:
    """The text and the token ids of a prompt and of a completion."""
    if not isinstance(value, dict) or value.keys() != {"text", "prompt", "completion"}:
        return False
    ids = (value["prompt"], value["completion"])
    return _is_text(value["text"]) and all(isinstance(part, list) and all(map(_is_token_id, part)) for part in ids)


def _is_token_id(value: Any) -> bool:
    return type(value) is int and value in _TOKEN_IDS


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _are_frame_indices(value: Any) -> bool:
    """Ascending, each once."""
    if not isinstance(value, list) or not all(type(index) is int and index >= 0 for index in value):
        return False
    return all(before < after for before, after in pairwise(value))


def _are_spans(value: Any) -> bool:
    """At least one ``[start_s, end_s]``, in order and disjoint."""
    if not isinstance(value, list) or not value or not all(map(_is_span, value)):
        return False
    return all(before[1] <= after[0] for before, after in pairwise(value))


def _is_span(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not all(type(time_s) in (int, float) for time_s in value):
        return False
    return all(map(_is_finite, value)) and 0 <= value[0] <= value[1]


def _are_probabilities(value: Any) -> bool:
    """Of at least two options, with a sum of 1."""
    if not isinstance(value, list) or len(value) < 2 or not all(type(part) in (int, float) for part in value):
        return False
    return all(0 <= part <= 1 for part in value) and abs(sum(value) - 1) < 1e-6


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


# One line per kind of value. The contract suite in tests/store/test_contract.py has a sample of each.
FORMS: dict[str, Callable[[Any], bool]] = {
    "answer": _is_text,
    "caption": _is_text,
    "coarse_scan": _is_truth,
    "completion": _is_completion,
    "damage": _are_frame_indices,
    "embedding": _are_features,
    IMAGE_FEATURES: _are_features,
    "option_probabilities": _are_probabilities,
    "score": _is_vector,
    "segmentation": _are_spans,
}
