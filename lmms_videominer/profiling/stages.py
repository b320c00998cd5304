"""Marks stages in the code: ``with stage("decode"):``. It costs a look-up, and nothing more, while no profile runs.

A stage is what is done within one call, never across the ``yield`` of a generator: the engine's searches take turns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, TypeVar

from lmms_videominer.profiling.profile import active

P = ParamSpec("P")
T = TypeVar("T")
_OFF = nullcontext()


def stage(name: str, items: int = 0) -> AbstractContextManager[None]:
    """What is done within the block is the stage ``name``, on ``items`` frames, captions, texts or decisions."""
    profile = active.get()
    return _OFF if profile is None else profile.opened(name, items)


def model(name: str) -> AbstractContextManager[None]:
    """What is done within the block is the work of a model, as part of the stage around it; ``name`` if there is none.

    Stages within, such as making frames into what the model takes, are not the model's.
    """
    profile = active.get()
    return _OFF if profile is None else profile.opened(name, of_model=True)


def staged(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make every call of a function the stage ``name``."""

    def of(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def timed(*arguments: P.args, **keywords: P.kwargs) -> T:
            with stage(name):
                return function(*arguments, **keywords)

        return timed

    return of
