"""Named texts with checksums in one SQLite database that any number of processes share.

The table is that of diskcache, which earlier versions used, so their values are found; the checksum is in its column
``tag``. Nothing else of that library is used: no value lies in a file of its own, and no setting, trigger, time or
file name that stands in the database has a meaning here.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lmms_videominer.errors import CacheError

SIZE_LIMIT_BYTES = 10 * 2**30
LOCK_MESSAGE_S, LOCK_ERROR_S = 5.0, 60.0  # how long another process holds the database until it is told, until it fails
LAYOUT = 1  # SQLite's user_version; 0 in databases of earlier versions, whose values have no checksums

_FILE = "cache.db"
_SCHEMA = {
    "Cache": "CREATE TABLE Cache ( rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL, expire_time REAL,"
    " access_time REAL, access_count INTEGER DEFAULT 0, tag BLOB, size INTEGER DEFAULT 0, mode INTEGER DEFAULT 0,"
    " filename TEXT, value BLOB)",
    "Cache_key_raw": "CREATE UNIQUE INDEX Cache_key_raw ON Cache(key, raw)",
    "Cache_store_time": "CREATE INDEX Cache_store_time ON Cache (store_time)",
}
_EARLIER = {"Cache_expire_time": "CREATE INDEX Cache_expire_time ON Cache (expire_time)"}
_HEADER = b"SQLite format 3\0"
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # ends a rollback journal that names a further file
_NOT_DAMAGE = ("unable to open", "disk I/O error", "is full", "out of memory", "interrupted")

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Database:
    """The database in ``folder``. Evicts the oldest texts at 10 GiB; one that is damaged is moved aside.

    Args:
        folder: Created if it does not exist.
        checksum: The checksum for a text of an earlier version, by name and text; ``None`` if it cannot be used.

    Attributes:
        fallback: What went wrong, empty if nothing: ``"cache_unwritable"`` (texts are no longer kept) or
            ``"cache_corrupt"`` (the database was moved aside and a new one was started).

    Raises:
        OSError, sqlite3.Error: The folder cannot be written.
        CacheError: Here and in every method: another process holds a lock for ``LOCK_ERROR_S``.
    """

    def __init__(self, folder: Path, checksum: Callable[[str, bytes], bytes | None]):
        self.folder, self.fallback = folder, ""
        self._checksum = checksum
        self._local = threading.local()  # SQLite's connections are neither for other threads nor for forked processes
        if not os.path.lexists(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._use(lambda connection: None)

    def read(self, names: Sequence[str]) -> list[tuple[bytes, bytes] | None]:
        """Text and checksum of each name as they are stored, or ``None`` if there is none, or none with a checksum."""
        query = "SELECT value, tag FROM Cache WHERE key = ? AND raw = 1 AND tag IS NOT NULL"
        try:
            rows = self._use(lambda connection: [connection.execute(query, (name,)).fetchone() for name in names])
        except (sqlite3.Error, OSError) as error:  # the disk is gone or full
            self._log_unusable(error)
            return [None] * len(names)
        return [None if row is None else (_bytes(row[0]), _bytes(row[1])) for row in rows]

    def write(self, texts: Mapping[str, tuple[bytes, bytes]]) -> None:
        """Store text and checksum by name, all or none."""
        columns = "key, raw, store_time, access_time, tag, mode, value"
        insert = f"INSERT OR REPLACE INTO Cache({columns}) VALUES (?, 1, ?, ?, ?, 1, ?)"
        now = time.time()
        rows = [(name, now, now, checksum, text.decode()) for name, (text, checksum) in texts.items()]

        def store(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.executemany(insert, rows)
                if _size_bytes(connection) > SIZE_LIMIT_BYTES:
                    oldest = "SELECT rowid FROM Cache ORDER BY store_time LIMIT ?"
                    connection.execute(f"DELETE FROM Cache WHERE rowid IN ({oldest})", (len(rows) + 10,))

        try:
            self._use(store)
        except (sqlite3.Error, OSError) as error:
            self._log_unusable(error)

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if connection := self._local.__dict__.pop("connection", None):
            connection.close()

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``work`` on the database; one that proves damaged is replaced, once, by a new one."""
        try:
            return self._patiently(lambda: work(self._connection()))
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter: a message that quotes damaged bytes
            if not self._is_damage(error):
                raise
            self._start_anew(error)
        return self._patiently(lambda: work(self._connection()))

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """``attempt`` until no other process holds the lock that it needs."""
        started, told = time.monotonic(), False
        while True:
            try:
                return attempt()
            except (sqlite3.OperationalError, TimeoutError) as error:
                if not isinstance(error, TimeoutError) and not _is_lock(error):
                    raise
                waited_s = time.monotonic() - started
                if waited_s >= LOCK_ERROR_S:
                    raise CacheError(
                        f"{self.folder}: the cache is locked: another process has held it for {waited_s:.0f} s. End "
                        "that process, choose another folder with cache_dir or $VIDEOMINER_CACHE, or set cache_dir=off"
                    ) from error
                if waited_s >= LOCK_MESSAGE_S and not told:
                    logger.warning(
                        "The cache %s is locked by another process: waiting up to %.0f s for it",
                        self.folder,
                        LOCK_ERROR_S,
                    )
                    told = True
            time.sleep(0.02)

    def _connection(self) -> sqlite3.Connection:
        local = self._local
        if getattr(local, "connection", None) is None or local.process != os.getpid():
            local.process, local.connection = os.getpid(), None
            local.opened = _identity(self.folder)
            local.connection = _connect(self.folder, self._checksum)
        return local.connection

    def _is_damage(self, error: Exception) -> bool:
        """Whether ``error`` comes from what is in the files, not from the disk or the rights."""
        if not isinstance(error, sqlite3.OperationalError):
            return type(error) in (sqlite3.DatabaseError, UnicodeDecodeError)
        if "readonly" in str(error):  # a damaged header says so, too
            return os.access(self.folder, os.W_OK) and os.access(self.folder / _FILE, os.W_OK)
        return not any(reason in str(error) for reason in _NOT_DAMAGE)

    def _start_anew(self, error: Exception) -> None:
        """Move the database aside and open a new one. The first process does so, the others open its database."""
        self.close()
        with self._sole():
            if _identity(self.folder) == self._local.opened:
                backup = self.folder.with_name(f"{self.folder.name}.corrupt-{time.time_ns()}")
                self.folder.rename(backup)
                logger.warning(
                    "The cache %s is corrupt (%s): moved it to %s and started a new one; the old one can be deleted",
                    self.folder,
                    error,
                    backup,
                )
                self.folder.mkdir()
        self.fallback = "cache_corrupt"

    @contextmanager
    def _sole(self) -> Iterator[None]:
        """No other process is in this block."""
        from filelock import FileLock

        path = Path(f"{self.folder}.lock")
        if path.is_symlink():  # the lock would empty the file that it points to
            path.unlink()
        lock = FileLock(path)
        self._patiently(lambda: lock.acquire(timeout=0.5))
        try:
            yield
        finally:
            lock.release()

    def _log_unusable(self, error: Exception) -> None:
        if self.fallback != "cache_unwritable":
            logger.warning("The cache %s can no longer be used (%s): results are not cached", self.folder, error)
        self.fallback = "cache_unwritable"


def _connect(folder: Path, checksum: Callable[[str, bytes], bytes | None]) -> sqlite3.Connection:
    """An open connection to the database in ``folder``, which has the layout of this version afterwards."""
    _check_files(folder)
    connection = sqlite3.connect(folder / _FILE, timeout=0.5, isolation_level=None)
    try:
        connection.text_factory = bytes  # a damaged text need not be UTF-8
        for setting in ("trusted_schema=OFF", "cell_size_check=ON", "journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {setting}").fetchall()
        if not _is_ready(connection):
            with _transaction(connection):
                _prepare(connection, checksum)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_files(folder: Path) -> None:
    """
    Raises:
        sqlite3.DatabaseError: There is no database in the file (SQLite would not see this as long as its log has the
            first page), or a file is a link, a folder or a device, which SQLite would follow out of ``folder``, or a
            journal names a further file, which SQLite would delete.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise sqlite3.DatabaseError("it is not a folder")
    for name in (_FILE, f"{_FILE}-wal", f"{_FILE}-shm", f"{_FILE}-journal"):
        path = folder / name
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise sqlite3.DatabaseError(f"{name} is not a regular file")
    if _bytes_at(folder / _FILE, 0, 16) not in (b"", _HEADER):
        raise sqlite3.DatabaseError("file is not a database")
    if _bytes_at(folder / f"{_FILE}-journal", -8, 8) == _SUPER_JOURNAL:
        raise sqlite3.DatabaseError("its journal names a further file")


def _bytes_at(path: Path, start: int, count: int) -> bytes:
    """At most ``count`` bytes of a file from ``start``, negative from its end; none if the file is absent."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size + start) if start < 0 else start)
            return file.read(count)
    except FileNotFoundError:
        return b""


def _is_ready(connection: sqlite3.Connection) -> bool:
    """Whether the database has the layout of this version.

    Raises:
        sqlite3.DatabaseError: It has another table, view or index in place of one of the cache.
    """
    known, made = _SCHEMA | _EARLIER, set()
    for kind, name, table, sql in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if kind == b"trigger" or not (_text(table).lower() == "cache" or _text(name) in known):
            continue
        if known.get(_text(name)) != _text(sql):
            raise sqlite3.DatabaseError(f"it has a foreign {_text(kind)} {_text(name)!r}")
        made.add(_text(name))
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version == LAYOUT and made >= _SCHEMA.keys() and not _triggers(connection)


def _prepare(connection: sqlite3.Connection, checksum: Callable[[str, bytes], bytes | None]) -> None:
    """Make what the layout needs, drop triggers, and give the texts of earlier versions their checksums."""
    for name in _triggers(connection):
        quoted = name.replace('"', '""')
        connection.execute(f'DROP TRIGGER "{quoted}"')
    for sql in _SCHEMA.values():
        connection.execute(sql.replace("TABLE ", "TABLE IF NOT EXISTS ").replace("INDEX ", "INDEX IF NOT EXISTS "))
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != LAYOUT:
        earlier = "SELECT rowid, key, value FROM Cache WHERE tag IS NULL AND mode = 1 AND typeof(value) = 'text'"
        texts = connection.execute(earlier)
        checksums = ((checksum(_bytes(key).decode(errors="replace"), value), rowid) for rowid, key, value in texts)
        rows = [row for row in checksums if row[0] is not None]
        connection.executemany("UPDATE Cache SET tag = ? WHERE rowid = ?", rows)
        connection.execute(f"PRAGMA user_version = {LAYOUT}")


def _triggers(connection: sqlite3.Connection) -> list[str]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    return [_bytes(name).decode(errors="replace") for (name,) in names]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def _size_bytes(connection: sqlite3.Connection) -> int:
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes


def _identity(folder: Path) -> tuple[int, int] | None:
    """Tells a folder from one that has taken its name."""
    try:
        found = folder.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_lock(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "locking protocol" in str(error)


def _text(value: object) -> str:
    """The name or SQL text of an object in the schema, its white space as one space."""
    return " ".join(_bytes(value).decode(errors="replace").split())


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
