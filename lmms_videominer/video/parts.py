"""Cutting work into parts that fit into memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

MAX_BYTES = 4 * 2**30  # decoded frames held at once for one call of the video LLM

T = TypeVar("T")


def fitting(
    items: Iterable[T], bytes_of: Callable[[T], int], max_bytes: int = MAX_BYTES, most: int = sys.maxsize
) -> Iterator[list[T]]:
    """``items`` in order, in parts of at most ``most`` that hold at most ``max_bytes`` together, or are one item."""
    part: list[T] = []
    held = 0
    for item in items:
        size = bytes_of(item)
        if part and (held + size > max_bytes or len(part) == most):
            yield part
            part, held = [], 0
        part.append(item)
        held += size
    if part:
        yield part
