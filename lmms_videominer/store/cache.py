"""Caches expensive results on disk: captions, scores, decisions, answers. Stores JSON in SQLite, never pickle."""

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

IMAGE_FEATURES = "image_features"  # the kind with thousands of values that are cheap to compute
CACHE_SCHEMA = 1  # part of every key: increment it when the meaning of a stored value changes
SIZE_LIMIT_BYTES = 10 * 2**30
_INLINE_BYTES = 2**20  # values below this size are stored in the database, larger ones in files next to it

logger = logging.getLogger(__name__)


class JSONTextDisk(diskcache.Disk):
    """Stores values as JSON text under text keys.

    Anything else in a database, pickles above all, is never read and counts as absent
    (diskcache treats an ``OSError`` here as a value whose file is gone).
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
    """Stores values by kind and key.

    Attributes:
        fallback: What went wrong, empty if nothing: ``"cache_unwritable"`` (results are kept in memory or
            not at all) or ``"cache_corrupt"`` (the database was moved aside and a new one was started).
    """

    fallback: str = ""

    @abstractmethod
    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        """The value of each key, or ``None`` if there is none."""

    @abstractmethod
    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        """Store JSON values by key; ``None`` does not count as a value."""

    def close(self) -> None:  # noqa: B027 - memory has nothing to close
        """Close the cache's database."""

    @staticmethod
    def key(**parts: Any) -> str:
        """sha256 of the canonical JSON of ``parts`` and of the schema version.

        Raises:
            TypeError: A part has no JSON form (NumPy arrays and numbers are converted).
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
    """A cache in memory, for the lifetime of the process."""

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
    """A SQLite database in ``folder``, shared by any number of processes. Evicts the oldest values at 10 GiB.

    Raises:
        OSError, sqlite3.OperationalError: The folder cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            self._replace_corrupt(error)

    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        try:
            return [self._db.get(f"{kind}:{key}", retry=True) for key in keys]
        except sqlite3.OperationalError as error:  # the disk is gone or full; the database is not damaged
            self._log_unusable(error)
        except sqlite3.DatabaseError as error:
            self._replace_corrupt(error)
        return [None] * len(keys)

    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        try:
            self._put(kind, values)
        except (sqlite3.OperationalError, OSError) as error:
            self._log_unusable(error)
        except sqlite3.DatabaseError as error:
            self._replace_corrupt(error)
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

    def _replace_corrupt(self, error: sqlite3.DatabaseError) -> None:
        """Move a corrupt database aside and open a new one. The first process does so, the others open its database."""
        if isinstance(error, sqlite3.OperationalError):
            raise error
        from filelock import FileLock

        with FileLock(f"{self.folder}.lock"):
            if not _intact(self.folder):
                backup = self.folder.with_name(f"{self.folder.name}.corrupt-{time.time_ns()}")
                self.folder.rename(backup)
                logger.warning(
                    "The cache %s is corrupt (%s): moved it to %s and started a new one; the old one can be deleted",
                    self.folder,
                    error,
                    backup,
                )
            self._db = self._open()
        self.fallback = "cache_corrupt"

    def _log_unusable(self, error: Exception) -> None:
        if self.fallback != "cache_unwritable":
            logger.warning("The cache %s can no longer be used (%s): results are not cached", self.folder, error)
        self.fallback = "cache_unwritable"


class CacheByKind(Cache):
    """Stores some kinds of values in caches of their own, so that many cheap values do not evict expensive ones."""

    def __init__(self, default: Cache, by_kind: Mapping[str, Cache]):
        self._default, self._by_kind = default, dict(by_kind)

    @property
    def fallback(self) -> str:  # type: ignore[override]
        """The first fallback that one of the caches reports."""
        return next((cache.fallback for cache in (self._default, *self._by_kind.values()) if cache.fallback), "")

    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        return self._by_kind.get(kind, self._default).get_many(kind, keys)

    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        self._by_kind.get(kind, self._default).put_many(kind, values)

    def close(self) -> None:
        for cache in (self._default, *self._by_kind.values()):
            cache.close()


def _intact(folder: Path) -> bool:
    """Whether the database in ``folder`` passes SQLite's integrity check."""
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
            If the default folder cannot be written, a warning is logged and the cache is kept in memory.
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
                "Choose another one with cache_dir or $VIDEOMINER_CACHE, or set cache_dir=off"
            ) from error
        logger.warning("The cache folder %s cannot be written (%s): results are cached for this run only", root, error)
        return MemoryCache(fallback="cache_unwritable")


def pack(vector: np.ndarray) -> str:
    """``vector``, float32 [n], as base64 of its little-endian bytes: exact, and a third of the size of decimals."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """The vector that ``pack`` encoded as ``text``."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


def _plain(value: Any) -> Any:
    """NumPy arrays and scalars as plain Python values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a cache key cannot hold {type(value).__name__}")
