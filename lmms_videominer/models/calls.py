"""Calls of models, whose exceptions are their own: they cost what was asked, not the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from lmms_videominer.errors import CallError, foreign
from lmms_videominer.profiling import model as models_work

P = ParamSpec("P")
T = TypeVar("T")


def called(model: str, call: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """``call(*arguments)``, a method of ``model``: its name in the message.

    Raises:
        CallError: The call raised an exception that is not this package's.
        VideoMinerError: As the call raised it.
    """
    with models_work(model), foreign(lambda reason: CallError(f"the {model} failed ({reason})")):
        return call(*arguments, **keywords)


def replied(
    model: str, call: Callable[P, Iterable[T]], count: int, /, *arguments: P.args, **keywords: P.kwargs
) -> list[T]:
    """What ``called`` gives, which must be ``count`` replies.

    Raises:
        CallError: As by ``called``, or there are more or fewer, or none.
    """
    made = called(model, lambda: list(call(*arguments, **keywords)))
    if len(made) != count:
        raise CallError(f"the {model} gave {len(made)} replies to {count} requests; it must give one for each")
    return made


def computed(model: str, call: Callable[..., Any], shape: Sequence[int], /, *arguments: Any) -> np.ndarray:
    """What ``called`` gives, as float32 of ``shape``, in which -1 stands for any number.

    Raises:
        CallError: As by ``called``, or it is no array of that shape.
    """
    array = called(model, lambda: np.asarray(call(*arguments), np.float32))
    if array.ndim != len(shape) or any(-1 != n != found for n, found in zip(shape, array.shape)):
        wanted = " x ".join("any" if n == -1 else str(n) for n in shape)
        raise CallError(f"the {model} gave numbers of shape {array.shape} instead of {wanted}")
    return array
