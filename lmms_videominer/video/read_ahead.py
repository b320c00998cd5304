"""Reads what is used next while what is used now is worked on: decoders and models leave each other the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(read: Callable[[T], R], parts: Sequence[T]) -> Generator[R, None, None]:
    """``read`` of each part, in order: the next one is read in a thread while the caller works on the one before.

    No more than one part is read ahead, and one after the other; a single part is read without a thread. What ``read``
    raises is raised where its result is due. Closing the generator waits for the part that is being read.

    Args:
        read: Is called in one thread only, with a copy of the caller's context.
        parts: What to read.
    """
    if len(parts) < 2:
        yield from map(read, parts)
        return
    thread = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        results = (thread.submit(copy_context().run, read, part) for part in parts)
        waiting = next(results)
        for following in results:
            yield waiting.result()
            waiting = following
        yield waiting.result()
    finally:
        thread.shutdown(cancel_futures=True)
