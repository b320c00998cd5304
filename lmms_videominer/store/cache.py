"""Caches expensive results on disk or on a server: captions, scores, decisions, answers. Stores JSON, never pickle."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmms_videominer.errors import CacheError
from lmms_videominer.profiling import stage
from lmms_videominer.store.database import Database
from lmms_videominer.store.forms import FORMS, IMAGE_FEATURES, parse
from lmms_videominer.store.redis_texts import RedisTexts, is_server, shown
from lmms_videominer.store.texts import Texts

CACHE_SCHEMA = 1  # part of every key and checksum: increment it when the meaning of a stored value changes

_HOME = "~/.cache/videominer"

logger = logging.getLogger(__name__)


class Cache(ABC):
    """Stores values by kind and key. The kinds, and the form that a value of each has, are those of ``store.forms``."""

    def __init__(self, name: str):
        self._name = name  # for messages
        self._damaged = False

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """What went wrong: ``"cache_unwritable"`` (results are kept in memory or not at all), ``"cache_corrupt"`` (the
        database was moved aside and a new one was started), ``"cache_unreachable"`` (the server was gone for a while,
        whose results are not kept), ``"cache_damaged"`` (a value could not be used)."""
        return ("cache_damaged",) if self._damaged else ()

    def get_many(self, kind: str, keys: Sequence[str]) -> list[Any]:
        """The value of each key, or ``None`` if there is none, or none in the form of ``kind``.

        Raises:
            CacheError: Another process holds the cache's lock.
        """
        _check(kind)
        with stage("cache", len(keys)):
            return [None if text is None else self._parsed(kind, text) for text in self._read(kind, keys)]

    def put_many(self, kind: str, values: Mapping[str, Any]) -> None:
        """Store JSON values by key; ``None`` does not count as a value.

        Raises:
            CacheError: Another process holds the cache's lock.
        """
        _check(kind)
        with stage("cache", len(values)):
            texts = {
                key: json.dumps(value, allow_nan=False).encode() for key, value in values.items() if value is not None
            }
            self._write(kind, texts)

    def refuse(self, kind: str) -> None:
        """Count a value of ``kind`` that cannot be used; it is made again."""
        if not self._damaged:
            logger.warning(
                "The cache %s holds values that are damaged or foreign (the first is of kind %r): they are made anew. "
                "If the next run says so, too, empty it",
                self._name,
                kind,
            )
        self._damaged = True

    def close(self) -> None:  # noqa: B027 - memory has nothing to close
        """Close the cache's database, or its connections."""

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

    def _parsed(self, kind: str, text: bytes) -> Any:
        try:
            return parse(kind, text)
        except ValueError:
            self.refuse(kind)
            return None

    @abstractmethod
    def _read(self, kind: str, keys: Sequence[str]) -> list[bytes | None]:
        """The text of each key, or ``None`` if there is none."""

    @abstractmethod
    def _write(self, kind: str, texts: Mapping[str, bytes]) -> None:
        """Store texts by key."""


class MemoryCache(Cache):
    """A cache in memory, for the lifetime of the process.

    Args:
        fallback: The fallback that it is, if any.
    """

    def __init__(self, fallback: str = ""):
        super().__init__("in memory")
        self._fallback = fallback
        self._texts: dict[tuple[str, str], bytes] = {}

    @property
    def fallbacks(self) -> tuple[str, ...]:
        return (*filter(None, [self._fallback]), *super().fallbacks)

    def _read(self, kind: str, keys: Sequence[str]) -> list[bytes | None]:
        return [self._texts.get((kind, key)) for key in keys]

    def _write(self, kind: str, texts: Mapping[str, bytes]) -> None:
        self._texts.update(((kind, key), text) for key, text in texts.items())


class StoredCache(Cache):
    """A cache that outlives the process and is shared by any number of them.

    A value counts only with its checksum, which covers kind, key and value.

    Args:
        name: Where it is, for messages.
        results: Keeps the values of all kinds but image features.
        image_features: Keeps these; they are many and cheap, and must not push out the others.
    """

    def __init__(self, name: str, results: Texts, image_features: Texts):
        super().__init__(name)
        self._results, self._image_features = results, image_features

    @property
    def fallbacks(self) -> tuple[str, ...]:
        names = (self._results.fallback, self._image_features.fallback, *super().fallbacks)
        return tuple(dict.fromkeys(filter(None, names)))

    def close(self) -> None:
        self._results.close()
        self._image_features.close()

    def _read(self, kind: str, keys: Sequence[str]) -> list[bytes | None]:
        names = [f"{kind}:{key}" for key in keys]
        found = zip(names, self._texts(kind).read(names))
        return [None if row is None else self._checked(kind, name, *row) for name, row in found]

    def _checked(self, kind: str, name: str, text: bytes, checksum: bytes) -> bytes | None:
        if checksum == _checksum(name, text):
            return text
        self.refuse(kind)
        return None

    def _write(self, kind: str, texts: Mapping[str, bytes]) -> None:
        named = ((f"{kind}:{key}", text) for key, text in texts.items())
        self._texts(kind).write({name: (text, _checksum(name, text)) for name, text in named})

    def _texts(self, kind: str) -> Texts:
        return self._image_features if kind == IMAGE_FEATURES else self._results


def _on_disk(folder: Path) -> StoredCache:
    """The cache in ``folder``: a database of each group. Results of earlier versions, which have no checksums, get
    theirs when their database is first opened, if they have the form of their kind.

    Raises:
        OSError, sqlite3.Error: The folder cannot be written.
        CacheError: Another process holds the cache's lock.
    """
    results = Database(folder / "results", _checksum_if_valid)
    image_features = Database(folder / IMAGE_FEATURES, lambda name, text: None)  # cheap to make again
    return StoredCache(str(folder), results, image_features)


def _on_server(address: str) -> StoredCache:
    """The cache on the server at ``address``.

    Raises:
        CacheError: See ``RedisTexts``.
    """
    texts = RedisTexts(address, expiring=f"{IMAGE_FEATURES}:")
    return StoredCache(shown(address), texts, texts)


def _check(kind: str) -> None:
    if kind not in FORMS:
        raise ValueError(f"the cache knows no values of kind {kind!r}: say in store/forms.py what form they have")


def _checksum(name: str, text: bytes) -> bytes:
    return hashlib.blake2b(b"%d %s %s" % (CACHE_SCHEMA, name.encode(), text), digest_size=16).digest()


def _checksum_if_valid(name: str, text: bytes) -> bytes | None:
    """The checksum of a value of an earlier version; ``None`` if it does not have the form of its kind."""
    kind = name.partition(":")[0]
    try:
        if kind in FORMS:
            parse(kind, text)
            return _checksum(name, text)
    except ValueError:
        pass
    return None


def cache_place(cache_dir: str = "") -> str:
    """Where the cache is: ``cache_dir``, else ``$VIDEOMINER_CACHE``, else ``~/.cache/videominer``. A folder as its
    absolute path; the address of a server as it is, with its login."""
    place = cache_dir or os.environ.get("VIDEOMINER_CACHE") or _HOME
    return place if is_server(place) else str(Path(place).expanduser().absolute())


def cache_root(cache_dir: str = "") -> Path:
    """The folder for what is kept beside the cache: the cache's own; of a server ``~/.cache/videominer``."""
    place = cache_place(cache_dir)
    return Path(_HOME).expanduser().absolute() if is_server(place) else Path(place)


def check_cache_folder(cache_dir: str = "") -> None:
    """Make the folder that ``open_cache`` will use, if the user named one: it is needed only once models are loaded.

    Raises:
        CacheError: It cannot be made or written.
    """
    if cache_dir == "off" or not _is_named(cache_dir):
        return
    root = cache_root(cache_dir)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(root, error) from error
    if not os.access(root, os.W_OK):
        raise _unwritable(root, "no permission")


def _is_named(cache_dir: str) -> bool:
    return bool(cache_dir or os.environ.get("VIDEOMINER_CACHE"))


def _unwritable(root: Path, reason: object) -> CacheError:
    return CacheError(
        f"{root}: the cache folder cannot be written ({reason}). Choose another one with cache_dir or "
        "$VIDEOMINER_CACHE, or set cache_dir=off"
    )


def open_cache(cache_dir: str = "") -> Cache:
    """Open the cache.

    Args:
        cache_dir: A folder, or the address of a Redis server (``RedisTexts``); empty: ``$VIDEOMINER_CACHE`` or
            ``~/.cache/videominer``; ``"off"``: memory only.

    Raises:
        CacheError: A folder that the user named, here or in ``$VIDEOMINER_CACHE``, cannot be written, or a server
            cannot be used.
            If the default folder cannot be written, a warning is logged and the cache is kept in memory.
            Another process holds the cache's lock.
    """
    if cache_dir == "off":
        return MemoryCache()
    place = cache_place(cache_dir)
    if is_server(place):
        return _on_server(place)
    root = Path(place)
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _on_disk(root)
    except (OSError, sqlite3.Error) as error:
        if _is_named(cache_dir):
            raise _unwritable(root, error) from error
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
