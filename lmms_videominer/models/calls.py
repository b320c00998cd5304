"""Calls of models, whose exceptions are their own: they cost what was asked, not the run."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from lmms_videominer.errors import CallError, VideoMinerError

P = ParamSpec("P")
T = TypeVar("T")


def called(model: str, call: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """``call(*arguments)``, a method of ``model``: its name in the message.

    Raises:
        CallError: The call raised an exception that is not this package's.
        VideoMinerError: As the call raised it.
    """
    try:
        return call(*arguments, **keywords)
    except VideoMinerError:
        raise
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # their tensors fill the memory that the next call needs
        raise CallError(f"the {model} failed ({told(error)})") from error


def told(error: BaseException) -> str:
    """The kind of an exception and the beginning of its message, in one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:300]}" if message else type(error).__name__
