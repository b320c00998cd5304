"""What is expensive to compute is kept on disk: captions, scores, decisions, answers. JSON in SQLite, never pickle."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import diskcache
import numpy as np
from diskcache.core import MODE_RAW, MODE_TEXT

from lmms_videominer.errors import CacheError

IMAGE_FEATURES = "image_features"  # the kind that comes by the thousand, and costs little
CACHE_SCHEMA = 1  # part of every key: raise it when the meaning of a stored value changes
SIZE_LIMIT_BYTES = 10 * 2**30
_INLINE_BYTES = 2**20  # values below this stay in the database instead of files beside it

logger = logging.getLogger(__name__)


class JSONTextDisk(diskcache.Disk):
    """Stores values as JSON text under text keys.

    Anything else found in a database, pickles above all, is not read: it counts as absent
    (diskcache takes an ``OSError`` here for a value whose file is gone).
    """

    def put(self, key: Any) -> tuple[Any, bool]:
        if not isinstance(key, str):
            raise TypeError(f"cache keys are text, got {type(key).__name__}")
        return super().put(key)

    def get(self, key: Any, raw: bool) -> Any:
        if not raw:
            raise OSError("a cache key is not text")
        return super().get(key, raw)

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> Any:
        return super().store(json.dumps(value, allow_nan=False), read, key=key)

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> Any:
        if mode not in (MODE_RAW, MODE_TEXT):
            raise OSError("a cached value is not JSON text")
        try:
            return json.loads(super().fetch(mode, filename, value, read))
        except (ValueError, TypeError) as error:
            raise OSError("a cached value is not JSON text") from error


class Cache(ABC):
    """Values by kind and key.

    Attributes:
        fallback: Name of what did not go as planned, empty when nothing: ``"cache_unwritable"``
            (memory serves instead) or ``"cache_corrupt"`` (moved aside and started anew).
    """

    fallback: str = ""

    @abstractmethod
    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        """The value of each key, ``None`` where there is none."""

    @abstractmethod
    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        """Store JSON values by key; ``None`` is no value."""

    def close(self) -> None:  # noqa: B027 - memory has nothing to close
        """Release what the cache holds open."""

    @staticmethod
    def key(**parts: Any) -> str:
        """sha256 of the canonical JSON of ``parts`` and of the schema version.

        Raises:
            TypeError: A part is not JSON (NumPy arrays and numbers are taken too).
        """
        text = json.dumps(
            {"schema": CACHE_SCHEMA, "parts": parts},
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
            default=_plain,
        )
        return hashlib.sha256(text.encode()).hexdigest()


class MemoryCache(Cache):
    """Lives as long as the process."""

    def __init__(self, fallback: str = ""):
        self.fallback = fallback
        self._values: dict[tuple[str, str], str] = {}

    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        texts = [self._values.get((kind, key)) for key in keys]
        return [None if text is None else json.loads(text) for text in texts]

    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self._values[kind, key] = json.dumps(value, allow_nan=False)


class DiskCache(Cache):
    """A SQLite database in ``folder``, shared by any number of processes; the oldest values go at 10 GiB.

    Raises:
        OSError, sqlite3.OperationalError: The folder cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            self._start_anew(error)

    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        try:
            return [self._db.get(f"{kind}:{key}", retry=True) for key in keys]
        except sqlite3.OperationalError as error:  # the disk is gone or full, not the database damaged
            self._log_unusable(error)
        except sqlite3.DatabaseError as error:
            self._start_anew(error)
        return [None] * len(keys)

    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        try:
            self._put(kind, values)
        except (sqlite3.OperationalError, OSError) as error:
            self._log_unusable(error)
        except sqlite3.DatabaseError as error:
            self._start_anew(error)
            self._put(kind, values)

    def close(self) -> None:
        self._db.close()

    def _put(self, kind: str, values: Mapping[str, Any]) -> None:
        with self._db.transact(retry=True):
            for key, value in values.items():
                self._db.set(f"{kind}:{key}", value, retry=True)

    def _open(self) -> diskcache.Cache:
        return diskcache.Cache(
            str(self.folder),
            disk=JSONTextDisk,
            disk_min_file_size=_INLINE_BYTES,
            size_limit=SIZE_LIMIT_BYTES,
            eviction_policy="least-recently-stored",
        )

    def _start_anew(self, error: sqlite3.DatabaseError) -> None:
        """Move a corrupt database aside; the process that comes first does, the others open what it has made."""
        if isinstance(error, sqlite3.OperationalError):
            raise error
        from filelock import FileLock

        with FileLock(f"{self.folder}.lock"):
            if not _intact(self.folder):
                aside = self.folder.with_name(f"{self.folder.name}.corrupt-{time.time_ns()}")
                self.folder.rename(aside)
                logger.warning(
                    "The cache %s is corrupt (%s): moved to %s and started anew; delete that when you like",
                    self.folder,
                    error,
                    aside,
                )
            self._db = self._open()
        self.fallback = "cache_corrupt"

    def _log_unusable(self, error: Exception) -> None:
        if self.fallback != "cache_unwritable":
            logger.warning("The cache %s cannot be used any more (%s): results are not kept", self.folder, error)
        self.fallback = "cache_unwritable"


class CacheByKind(Cache):
    """Values of some kinds in caches of their own: many cheap ones then push out none that cost more."""

    def __init__(self, rest: Cache, apart: Mapping[str, Cache]):
        self._rest, self._apart = rest, dict(apart)

    @property
    def fallback(self) -> str:  # type: ignore[override]
        """The first that one of the caches tells."""
        return next((cache.fallback for cache in (self._rest, *self._apart.values()) if cache.fallback), "")

    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        return self._apart.get(kind, self._rest).get_many(kind, keys)

    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        self._apart.get(kind, self._rest).put_many(kind, values)

    def close(self) -> None:
        for cache in (self._rest, *self._apart.values()):
            cache.close()


def _intact(folder: Path) -> bool:
    """Whether SQLite finds the database of ``folder`` whole."""
    try:
        with closing(sqlite3.connect(folder / "cache.db", timeout=60)) as database:
            return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False


def cache_root(cache_dir: str = "") -> Path:
    """The cache folder: ``cache_dir``, else ``$VIDEOMINER_CACHE``, else ``~/.cache/videominer``."""
    return Path(cache_dir or os.environ.get("VIDEOMINER_CACHE") or "~/.cache/videominer").expanduser().absolute()


def open_cache(cache_dir: str = "") -> Cache:
    """Open the cache.

    Args:
        cache_dir: A folder; empty: ``$VIDEOMINER_CACHE`` or ``~/.cache/videominer``; ``"off"``: memory only.

    Raises:
        CacheError: A folder that the user named, here or in ``$VIDEOMINER_CACHE``, cannot be written.
            Where the default folder cannot be, that is logged, and memory serves instead.
    """
    if cache_dir == "off":
        return MemoryCache()
    root = cache_root(cache_dir)
    try:
        root.mkdir(parents=True, exist_ok=True)
        return CacheByKind(DiskCache(root / "results"), {IMAGE_FEATURES: DiskCache(root / IMAGE_FEATURES)})
    except (OSError, sqlite3.OperationalError, diskcache.Timeout) as error:
        if cache_dir or os.environ.get("VIDEOMINER_CACHE"):
            raise CacheError(
                f"{root}: the cache folder cannot be written ({error}). "
                "Name another one with cache_dir or $VIDEOMINER_CACHE, or set cache_dir=off"
            ) from error
        logger.warning("The cache folder %s cannot be written (%s): nothing is kept after this run", root, error)
        return MemoryCache(fallback="cache_unwritable")


def pack(vector: np.ndarray) -> str:
    """A vector, float32 [n], as a JSON value: base64 of its little-endian bytes, exact, and a third of its numbers."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """The vector that ``pack`` made ``text`` of."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


def _plain(value: Any) -> Any:
    """NumPy arrays and scalars as plain Python values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a cache key cannot hold {type(value).__name__}")
