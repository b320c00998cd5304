"""All errors that a user can cause or see. Each message names the object, the reason and the remedy."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class VideoMinerError(Exception):
    """Base of all errors raised on purpose by this package."""


class VideoError(VideoMinerError):
    """A video cannot be used: it is missing, empty, truncated, damaged, or without pictures.

    Args:
        path: The file, as given by the caller.
        reason: What is wrong with it, in a few words.
        remedy: What the user can do about it.
    """

    def __init__(self, path: object, reason: str, remedy: str):
        self.path, self.reason, self.remedy = str(path), reason, remedy
        super().__init__(f"{path}: {reason}. {remedy}")

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.remedy)


class SubtitleError(VideoError):
    """The subtitles of a video, which were asked for, cannot be used; the path is that of their file."""


class ConfigError(VideoMinerError, ValueError):
    """A setting or an argument is invalid; the message quotes the value and says what would be valid."""


class ModelError(VideoMinerError):
    """A model cannot be found or loaded, or no longer replies; the message names it and the remedy."""


class CallError(ModelError):
    """A call of a model failed by an exception of its own, or a service gave no reply: it costs what was asked."""


class CacheError(VideoMinerError):
    """The cache folder cannot be used, although the user asked for it explicitly."""


class SchemaError(VideoMinerError, ValueError):
    """A stored tree or table does not have the format that this version reads."""


class TrainingError(VideoMinerError):
    """Training cannot continue: a reward or a loss is not finite; the message names the question, tree and node."""


@contextmanager
def foreign(error_of: Callable[[str], VideoMinerError], *also: type[BaseException]) -> Iterator[None]:
    """Within the block, which calls foreign code, raise ``error_of(reason)`` for any exception but this package's own.

    Args:
        error_of: Makes the error from the kind of the exception and its message (``told``).
        also: Further exceptions that the foreign code may end with, besides every ``Exception``.
    """
    caught: tuple[type[BaseException], ...] = (Exception, *also)
    try:
        yield
    except VideoMinerError:
        raise
    except caught as error:
        traceback.clear_frames(error.__traceback__)  # their tensors fill the memory that the next call needs
        raise error_of(told(error)) from error


def told(error: BaseException) -> str:
    """The kind of an exception and the beginning of its message, in one line.

    What no text has (lone surrogates, as in names of files) is written out as ``\\udcff``.
    """
    message = " ".join(str(error).split()).encode(errors="backslashreplace").decode()
    return f"{type(error).__name__}: {message[:300]}" if message else type(error).__name__
