"""Caches that are foreign or damaged as a whole are moved aside or cost misses, and nothing outside is touched."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from lmms_videominer.store.cache import open_cache

COUNT = 200
TEXTS = {f"k{i}": f"caption {i} " * 20 for i in range(COUNT)}
# The database of the versions that used diskcache, as it made it.
EARLIER = """
CREATE TABLE Settings ( key TEXT NOT NULL UNIQUE, value);
CREATE TABLE Cache ( rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, store_time REAL, expire_time REAL,
 access_time REAL, access_count INTEGER DEFAULT 0, tag BLOB, size INTEGER DEFAULT 0, mode INTEGER DEFAULT 0,
 filename TEXT, value BLOB);
CREATE UNIQUE INDEX Cache_key_raw ON Cache(key, raw);
CREATE INDEX Cache_expire_time ON Cache (expire_time);
CREATE INDEX Cache_store_time ON Cache (store_time);
CREATE TRIGGER Settings_count_insert AFTER INSERT ON Cache FOR EACH ROW BEGIN
 UPDATE Settings SET value = value + 1 WHERE key = "count"; END;
CREATE TRIGGER Settings_size_delete AFTER DELETE ON Cache FOR EACH ROW BEGIN
 UPDATE Settings SET value = value - OLD.size WHERE key = "size"; END;
INSERT INTO Settings VALUES ('count', 0), ('size', 0), ('eviction_policy', 'least-recently-stored');
PRAGMA journal_mode=WAL;
"""


@pytest.fixture
def root(tmp_path):
    """A folder with a cache of captions, closed."""
    with closing(open_cache(str(tmp_path / "cache"))) as cache:
        cache.put_many("caption", TEXTS)
    return tmp_path / "cache"


@pytest.fixture
def precious(tmp_path):
    """A file of the user's, outside the cache."""
    path = tmp_path / "precious.txt"
    path.write_text("precious " * 1000)
    return path


def database(root: Path) -> Path:
    return root / "results" / "cache.db"


def change(root: Path, script: str) -> None:
    with closing(sqlite3.connect(database(root))) as planted:
        planted.executescript(script)


def sound(found: list[str | None]) -> bool:
    """Whether each caption is the one that was stored, or missing."""
    return all(text in (None, TEXTS[key]) for key, text in zip(TEXTS, found, strict=True))


def used(root: Path) -> tuple[list[str | None], tuple[str, ...]]:
    """What the cache has for all keys, and its fallbacks; whatever it lacks is stored, and found then."""
    with closing(open_cache(str(root))) as cache:
        found = cache.get_many("caption", list(TEXTS))
        cache.put_many("caption", TEXTS)
        again = cache.get_many("caption", list(TEXTS))
        fallbacks = cache.fallbacks
    assert sound(found) and again == list(TEXTS.values())
    with closing(open_cache(str(root))) as cache:
        assert cache.get_many("caption", list(TEXTS)) == list(TEXTS.values()) and cache.fallbacks == ()
    return found, fallbacks


def files_outside(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file() and root not in path.parents}


# rows


@pytest.mark.parametrize("name", ["../../precious.txt", "{precious}", "link.val", "../../folder/x/y.val"])
@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_a_row_that_names_a_file_touches_no_file(name, mode, root, precious):
    (root.parent / "folder" / "x").mkdir(parents=True)
    (root.parent / "folder" / "x" / "y.val").write_text('"a caption"')
    (root / "results" / "link.val").symlink_to(precious)
    before = files_outside(root)
    with closing(sqlite3.connect(database(root))) as planted, planted:
        row = (name.format(precious=precious), mode)
        planted.execute("UPDATE Cache SET filename = ?, mode = ?, value = NULL, size = -5, expire_time = 1", row)
    found, fallbacks = used(root)
    assert found == [None] * COUNT and fallbacks == ("cache_damaged",)
    assert files_outside(root) == before and (root / "results" / "link.val").is_symlink()


def test_eviction_touches_no_file(root, precious, monkeypatch):
    change(
        root, f"UPDATE Cache SET filename = '../../precious.txt', store_time = 0; DELETE FROM Cache WHERE rowid > {20}"
    )
    monkeypatch.setattr("lmms_videominer.store.database.SIZE_LIMIT_BYTES", 2**15)
    with closing(open_cache(str(root))) as cache:
        cache.put_many("caption", {f"new{i}": "x" * 1000 for i in range(50)})
        assert cache.get_many("caption", ["k0"]) == [None]
    assert precious.read_text() == "precious " * 1000


@pytest.mark.parametrize(
    "columns",
    [
        "tag = 'foreign'",
        "expire_time = 1",
        "size = -1000000000000, access_count = 'x'",
        "store_time = NULL, access_time = 'now'",
        "raw = 0",
        "key = CAST(key AS BLOB)",
        "mode = 4",
    ],
)
def test_odd_columns_cost_misses_at_worst(columns, root):
    change(root, f"UPDATE Cache SET {columns}")
    used(root)


# the database


SCRIPTS = {
    "no tables": "DROP TABLE Cache",
    "a table of another shape": "DROP TABLE Cache; CREATE TABLE Cache (key TEXT, value TEXT)",
    "a view": "ALTER TABLE Cache RENAME TO Other; CREATE VIEW Cache AS SELECT * FROM Other",
    "a table with a check": "DROP TABLE Cache; CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER,"
    " store_time REAL, access_time REAL, tag BLOB, mode INTEGER, value BLOB CHECK (value IS NULL))",
    "a foreign index": "CREATE UNIQUE INDEX one ON Cache(raw) WHERE rowid = 0",
    "an index of that name": "DROP INDEX Cache_key_raw; CREATE TABLE t (x); CREATE INDEX Cache_key_raw ON t (x)",
    "a trigger that deletes": "CREATE TRIGGER t AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END",
    "a trigger that fails": "CREATE TRIGGER t BEFORE INSERT ON Cache BEGIN SELECT RAISE(ABORT, 'no'); END",
    "a trigger that changes": 'CREATE TRIGGER "t "" t" AFTER INSERT ON Cache BEGIN UPDATE Cache SET value = \'1\'; END',
    "settings of diskcache": "CREATE TABLE Settings (key, value); INSERT INTO Settings VALUES ('disk_x', 1),"
    " ('eviction_policy', 'foreign'), ('statistics', 1), ('get', 5), (7, 7), ('sqlite_journal_mode', 'delete'),"
    " ('size_limit', -1)",
    "another version": "PRAGMA user_version = 7",
    "no write-ahead log": "PRAGMA journal_mode = DELETE",
    "an exclusive mode": "PRAGMA journal_mode = TRUNCATE; PRAGMA application_id = 5; PRAGMA auto_vacuum = 2; VACUUM",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_foreign_database_is_moved_aside_or_serves(script, root):
    change(root, script)
    found, fallbacks = used(root)
    if fallbacks == ("cache_corrupt",):
        assert found == [None] * COUNT and len(list(root.glob("results.corrupt-*"))) == 1
    else:
        assert fallbacks == () and (found == list(TEXTS.values()) or script == SCRIPTS["no tables"])


def replaced(path: Path, content: bytes) -> None:
    path.write_bytes(content)


FILES = {
    "zero bytes": lambda root, precious: replaced(database(root), b""),
    "random bytes": lambda root, precious: replaced(database(root), random.Random(1).randbytes(50_000)),
    "cut to half": lambda root, precious: os.truncate(database(root), database(root).stat().st_size // 2),
    "cut to a page": lambda root, precious: os.truncate(database(root), 4096),
    "cut to a few bytes": lambda root, precious: os.truncate(database(root), 50),
    "random after the header": lambda root, precious: replaced(
        database(root), database(root).read_bytes()[:100] + random.Random(1).randbytes(60_000)
    ),
    "a log of random bytes": lambda root, precious: replaced(
        root / "results" / "cache.db-wal", random.Random(1).randbytes(9000)
    ),
    "an index of random bytes": lambda root, precious: replaced(
        root / "results" / "cache.db-shm", random.Random(1).randbytes(40_000)
    ),
    "a journal of random bytes": lambda root, precious: replaced(
        root / "results" / "cache.db-journal", random.Random(1).randbytes(9000)
    ),
    "a folder in place of the file": lambda root, precious: (database(root).unlink(), database(root).mkdir()),
    "a pipe in place of the file": lambda root, precious: (database(root).unlink(), os.mkfifo(database(root))),
    "a link in place of the file": lambda root, precious: (
        database(root).unlink(),
        database(root).symlink_to(precious),
    ),
    "a link in place of the log": lambda root, precious: Path(f"{database(root)}-wal").symlink_to(precious),
    "a link in place of the journal": lambda root, precious: Path(f"{database(root)}-journal").symlink_to(precious),
    "a file in place of the folder": lambda root, precious: (
        shutil.rmtree(root / "results"),
        replaced(root / "results", b"text"),
    ),
    "a link to nowhere": lambda root, precious: (
        shutil.rmtree(root / "results"),
        (root / "results").symlink_to("/nowhere"),
    ),
    "a link in place of the lock": lambda root, precious: (
        replaced(database(root), b"no database" * 999),
        (root / "results.lock").symlink_to(precious),
    ),
}


@pytest.mark.parametrize("damage", FILES.values(), ids=FILES)
def test_damaged_or_foreign_files_are_moved_aside_or_cost_misses(damage, root, precious):
    before = files_outside(root)
    damage(root, precious)
    used(root)
    assert files_outside(root) == before


def test_a_journal_that_names_a_file_to_delete_deletes_nothing(root, precious):
    # SQLite rolls back a journal that it finds and deletes the "super-journal" whose name stands at its end.
    magic, name = bytes.fromhex("d9d505f920a163d7"), str(precious).encode()
    head = (magic + struct.pack(">IIIII", 0, 0, database(root).stat().st_size // 4096, 512, 4096)).ljust(512, b"\0")
    tail = struct.pack(">I", 2**30 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    Path(f"{database(root)}-journal").write_bytes(head + tail)
    assert used(root)[1] == ("cache_corrupt",)
    assert precious.read_text() == "precious " * 1000


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_never_change_a_value(seed, root):
    chance = random.Random(seed)
    content = bytearray(database(root).read_bytes())
    reach = len(content) if seed % 2 else 600  # half of them in the header and the schema
    for _ in range(chance.choice([1, 10, 1000])):
        content[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    database(root).write_bytes(content)
    for _ in range(2):
        with closing(open_cache(str(root))) as cache:
            for _ in range(2):
                assert sound(cache.get_many("caption", list(TEXTS)))
                cache.put_many("caption", TEXTS)
            assert set(cache.fallbacks) <= {"cache_corrupt", "cache_damaged"}


def test_damage_while_the_cache_is_open_is_moved_aside(root):
    with closing(open_cache(str(root))) as cache:
        cache.get_many("caption", ["k0"])
        change(root, "DROP TABLE Cache")
        assert cache.get_many("caption", ["k0"]) == [None]
        cache.put_many("caption", {"k0": "again"})
        assert cache.get_many("caption", ["k0"]) == ["again"]
        assert cache.fallbacks == ("cache_corrupt",)


# caches of earlier versions


@pytest.fixture
def earlier(tmp_path):
    root = tmp_path / "cache"
    (root / "results").mkdir(parents=True)
    change(root, EARLIER)
    with closing(sqlite3.connect(database(root))) as planted, planted:
        row = "INSERT INTO Cache(key, raw, store_time, size, mode, filename, value) VALUES (?, 1, 1.0, 0, ?, ?, ?)"
        planted.execute(row, ("caption:k", 1, None, '"a caption that was paid for"'))
        planted.execute(row, ("segmentation:k", 1, None, "[[0.0, 1.5]]"))
        planted.execute(row, ("caption:foreign", 1, None, "[5]"))
        planted.execute(row, ("histogram:k", 1, None, "[5]"))
        planted.execute(row, ("caption:file", 3, "ab/cd/ef.val", None))
        planted.execute(row, ("caption:pickle", 4, None, b"\x80\x04N."))
        planted.execute(row, (b"\xff\xfe", 1, None, "7"))
    return root


def test_results_of_an_earlier_version_are_found(earlier):
    for _ in range(2):
        with closing(open_cache(str(earlier))) as cache:
            assert cache.get_many("caption", ["k"]) == ["a caption that was paid for"]
            assert cache.get_many("segmentation", ["k"]) == [[[0.0, 1.5]]]
            assert cache.get_many("caption", ["foreign", "file", "pickle"]) == [None] * 3
            cache.put_many("caption", {"new": "text"})
            assert cache.fallbacks == ()


def test_a_value_without_a_checksum_counts_only_before_this_version_has_opened_the_cache(earlier):
    open_cache(str(earlier)).close()
    change(
        earlier,
        "INSERT INTO Cache(key, raw, mode, value) VALUES ('caption:late', 1, 1, '\"planted\"')",
    )
    with closing(open_cache(str(earlier))) as cache:
        assert cache.get_many("caption", ["late", "k"]) == [None, "a caption that was paid for"]
