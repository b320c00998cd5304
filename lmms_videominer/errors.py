"""Every error that a user can cause or meet. Each message names the object, the reason and the way out."""

from __future__ import annotations


class VideoMinerError(Exception):
    """Base of all errors raised on purpose by this package."""


class VideoError(VideoMinerError):
    """A video cannot be used: missing, empty, cut off, damaged, or without pictures.

    Args:
        path: The file, as the caller named it.
        reason: What is wrong with it, in a few words.
        remedy: What the user can do about it.
    """

    def __init__(self, path: object, reason: str, remedy: str):
        self.path, self.reason, self.remedy = str(path), reason, remedy
        super().__init__(f"{path}: {reason}. {remedy}")

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.remedy)


class ConfigError(VideoMinerError, ValueError):
    """A setting or an argument cannot work; the message quotes the value and says what would."""


class ModelError(VideoMinerError):
    """A model cannot be found or loaded; the message names it and the way out."""


class CacheError(VideoMinerError):
    """The cache folder cannot be used, and the user asked for it explicitly."""


class SchemaError(VideoMinerError, ValueError):
    """A stored tree or table does not have the form this version reads."""


class TrainingError(VideoMinerError):
    """Training cannot go on: a reward or a loss is not a number; the message names the question, tree and node."""
