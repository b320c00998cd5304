"""Splits work into parts that fit into memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

MAX_BYTES = 4 * 2**30  # limit on the decoded frames in memory for one call of the video LLM

T = TypeVar("T")


def fitting(
    items: Iterable[T], bytes_of: Callable[[T], int], max_bytes: int = MAX_BYTES, most: int = sys.maxsize
) -> Iterator[list[T]]:
    """Split ``items``, in order, into parts of at most ``most`` items and ``max_bytes`` in total.

    An item larger than ``max_bytes`` is a part of its own.
    """
    part: list[T] = []
    part_bytes = 0
    for item in items:
        size = bytes_of(item)
        if part and (part_bytes + size > max_bytes or len(part) == most):
            yield part
            part, part_bytes = [], 0
        part.append(item)
        part_bytes += size
    if part:
        yield part
