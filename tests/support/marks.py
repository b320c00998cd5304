"""What a test does, held against what it is marked with: ``pytest`` by itself leaves marked tests out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

_of_the_running_test: frozenset[str] = frozenset()


def needs(*marks: str) -> None:
    """Fail the running test where it has none of ``marks``."""
    if not _of_the_running_test.intersection(marks):
        pytest.fail(f"mark this test with pytest.mark.{marks[0]}: setup.cfg says what for")


@contextmanager
def held_against(item: pytest.Item) -> Iterator[None]:
    """While ``item`` runs, its fixtures included, Python programs may be started only if it is marked so."""
    global _of_the_running_test
    _of_the_running_test = frozenset(mark.name for mark in item.iter_markers())
    start = subprocess.Popen.__init__

    def started(self: subprocess.Popen, args: Any, *rest: Any, **named: Any) -> None:
        program = Path(os.fsdecode(args if isinstance(args, str | bytes | os.PathLike) else args[0]))
        if program.parent == Path(sys.executable).parent:
            needs("launches", "evaluates")  # lmms-eval asks pip for the versions of everything
        start(self, args, *rest, **named)

    with mock.patch.object(subprocess.Popen, "__init__", started):
        yield
