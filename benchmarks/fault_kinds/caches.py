"""Damaged and foreign caches: the same questions mined from a cache that something has happened to."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fault_kinds import mining
from fault_kinds.running import LOST, SURVIVED, Fault, Result, isolated, killed, started, told
from lmms_videominer.errors import VideoMinerError

CANARY = "canary"  # a file beside the cache folder, which no cache may touch
LARGE = 2**20 + 10_000  # characters: values of this size lay in files of their own
DAMAGED_SHARE = 0.7  # of the rows, where rows are damaged one by one
ODD = (
    "null",
    "[]",
    "{}",
    '""',
    '"x"',
    "0",
    "-1",
    "1e999",
    "NaN",
    "[[0, 1]]",
    "[[5, 1], [1, 2]]",
    '{"text": 5}',
    "[",
    "",
)


class DamagedCaches(Fault):
    """A populated cache, damaged by ``DAMAGES``: the result of mining without a cache, or an error that names it."""

    name, count, limit_s = "damaged caches", 80, 150.0

    def prepare(self, folder: Path) -> None:
        mining.import_all()
        self.questions = mining.world(folder / "world", questions=2)[:1]
        self.sound, self.expected = folder / "sound", folder / "expected.json"
        made = isolated(self._populate, self.limit_s, folder / "populating")
        if made.outcome != SURVIVED:
            raise RuntimeError(f"the undisturbed run: {made}")

    def _populate(self) -> Result:
        alone = self._mined("off")
        for again in (self._mined(str(self.sound)), self._mined(str(self.sound))):  # filled, then read
            if differs := mining.difference(alone, again):
                return Result(LOST, differs)
        self.expected.write_text(json.dumps(alone), encoding="utf-8")
        return Result(SURVIVED)

    def _mined(self, cache_dir: str) -> list[dict[str, Any]]:
        """Results with captions, decisions, answers and segmentations in the cache, and with features and scores."""
        results = mining.mine(self.questions, cache_dir, events=8, max_depth=2)
        results += mining.mine(self.questions, cache_dir, selector="topk", scan_frames=64)
        for result in results:
            if isinstance(result, VideoMinerError):
                raise result
        self.fallbacks = [name for result in results for name in result.fallbacks if name.startswith("cache_")]
        return [mining.result_of(result) for result in results]

    def title(self, number: int) -> str:
        return list(DAMAGES)[number % len(DAMAGES)]

    def run(self, number: int, folder: Path) -> Result:
        cache, canary = folder / "cache", folder / CANARY
        shutil.copytree(self.sound, cache)
        canary.write_text("untouched")
        damage = DAMAGES[self.title(number)]
        undo = damage(cache, np.random.default_rng([self.seed, number]))
        try:
            found = self._mined(str(cache))
        except VideoMinerError as error:
            result = told(error, cache)
        else:
            differs = mining.difference(json.loads(self.expected.read_text(encoding="utf-8")), found)
            result = Result(LOST if differs else SURVIVED, differs, {"counted": sorted(set(self.fallbacks))})
        finally:
            if undo:
                undo()
        if not canary.exists() or canary.read_text() != "untouched":
            return Result(LOST, "a file outside the cache folder was removed or changed")
        return result


# --- damages: of the folder, with a generator; what must be undone afterwards is returned -------------------------

Damage = Callable[[Path, np.random.Generator], "Callable[[], object] | None"]


def _databases(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/cache.db"))


def _any_file(cache: Path, rng: np.random.Generator) -> Path:
    """The database of the results, mostly."""
    databases = _databases(cache)
    return databases[-1] if rng.random() < 0.7 else databases[0]


def flipped(cache: Path, rng: np.random.Generator) -> None:
    for path in _databases(cache):
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        places = rng.integers(0, len(data), rng.integers(1, 400))
        data[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
        path.write_bytes(data.tobytes())


def flipped_text(cache: Path, rng: np.random.Generator) -> None:
    """Bytes changed within values alone, where the database stays whole."""
    for path in _databases(cache):
        data = bytearray(path.read_bytes())
        letters = [i for i in range(4096, len(data)) if data[i : i + 1].isalpha() and data[i - 1 : i + 2].isalnum()]
        for place in rng.choice(letters, min(len(letters), int(rng.integers(20, 600)))):
            data[place] = data[place] ^ 1
        path.write_bytes(bytes(data))


def zeroed(cache: Path, rng: np.random.Generator) -> None:
    path = _any_file(cache, rng)
    data = bytearray(path.read_bytes())
    start = int(rng.integers(0, len(data)))
    length = int(rng.integers(1, 40_000))
    data[start : start + length] = bytes(len(data[start : start + length]))
    path.write_bytes(bytes(data))


def cut_off(cache: Path, rng: np.random.Generator) -> None:
    path = _any_file(cache, rng)
    path.write_bytes(path.read_bytes()[: rng.integers(0, path.stat().st_size)])


def emptied(cache: Path, rng: np.random.Generator) -> None:
    _any_file(cache, rng).write_bytes(b"")


def no_database(cache: Path, rng: np.random.Generator) -> None:
    _any_file(cache, rng).write_bytes(rng.bytes(20_000))


def a_folder_instead(cache: Path, rng: np.random.Generator) -> None:
    path = _any_file(cache, rng)
    path.unlink()
    path.mkdir()


def a_link_outside(cache: Path, rng: np.random.Generator) -> None:
    path = _any_file(cache, rng)
    path.unlink()
    path.symlink_to(cache.parent / CANARY)


def foreign_wal(cache: Path, rng: np.random.Generator) -> None:
    """The write-ahead log of another database, or noise, beside a sound one."""
    path = _any_file(cache, rng)
    other = cache.parent / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE Cache (key, value)")
        database.executemany("INSERT INTO Cache VALUES (?, ?)", [(i, "x" * 900) for i in range(200)])
        database.commit()
        log = Path(f"{other}-wal").read_bytes()
    Path(f"{path}-wal").write_bytes(log if rng.random() < 0.6 else rng.bytes(30_000))
    Path(f"{path}-shm").write_bytes(rng.bytes(32_768))


def foreign_journal(cache: Path, rng: np.random.Generator) -> None:
    """A rollback journal that ends with the name of a file outside, as SQLite's own do for several databases."""
    path = _any_file(cache, rng)
    name = str(cache.parent / CANARY).encode()
    tail = (1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big")
    Path(f"{path}-journal").write_bytes(rng.bytes(512) + tail + bytes.fromhex("d9d505f920a163d7"))


def another_schema(cache: Path, rng: np.random.Generator) -> None:
    path = _any_file(cache, rng)
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE Cache (key TEXT, value TEXT)")
        database.execute("CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)")
        database.execute("INSERT INTO Cache VALUES ('caption:x', 'y')")
        database.commit()


def foreign_settings(cache: Path, rng: np.random.Generator) -> None:
    """Settings that an older cache obeyed: its limits, its pragmas, the folder and the kind of its values."""
    odd = [
        ("size_limit", -1),
        ("size_limit", "x"),
        ("cull_limit", 10**9),
        ("eviction_policy", "none of them"),
        ("disk_min_file_size", 0),
        ("disk_pickle_protocol", 99),
        ("sqlite_mmap_size", -5),
        ("sqlite_journal_mode", "off; drop table Cache"),
        ("count", "many"),
        ("statistics", "on"),
    ]
    for path in _databases(cache):
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE IF NOT EXISTS Settings (key TEXT NOT NULL UNIQUE, value)")
            for i in rng.permutation(len(odd))[: rng.integers(1, 5)]:
                database.execute("INSERT OR REPLACE INTO Settings VALUES (?, ?)", odd[i])
            database.commit()


def a_trigger(cache: Path, rng: np.random.Generator) -> None:
    """A trigger that replaces or removes what is stored."""
    path = _databases(cache)[-1]
    do = ["DELETE FROM Cache", "UPDATE Cache SET value = '\"forged\"'", "SELECT RAISE(ABORT, 'no')"][rng.integers(0, 3)]
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"CREATE TRIGGER foreign_one AFTER INSERT ON Cache BEGIN {do}; END")
        database.execute("DELETE FROM Cache WHERE rowid % 2")
        database.commit()


def _rows(cache: Path, rng: np.random.Generator, change: Callable[[sqlite3.Connection, int, str], None]) -> None:
    """Apply ``change`` to a share of the rows, by row id and kind."""
    for path in _databases(cache):
        with closing(sqlite3.connect(path)) as database:
            rows = database.execute("SELECT rowid, key FROM Cache").fetchall()
            for rowid, key in rows:
                if rng.random() < DAMAGED_SHARE:
                    change(database, rowid, key.partition(":")[0])
            database.commit()


def _set(**columns: Any) -> Callable[[sqlite3.Connection, int, str], None]:
    names = ", ".join(f"{name} = ?" for name in columns)

    def change(database: sqlite3.Connection, rowid: int, kind: str) -> None:
        database.execute(f"UPDATE Cache SET {names} WHERE rowid = ?", (*columns.values(), rowid))

    return change


def other_json(cache: Path, rng: np.random.Generator) -> None:
    _rows(cache, rng, lambda database, rowid, kind: _set(value=str(rng.choice(ODD)))(database, rowid, kind))


def other_words(cache: Path, rng: np.random.Generator) -> None:
    """Values of the right form that nothing has computed."""
    _rows(cache, rng, lambda database, rowid, kind: _set(value=_forged(kind))(database, rowid, kind))


def _forged(kind: str) -> str:
    vector = "AACAPwAAgD8AAIA/"  # three ones
    forms: dict[str, Any] = {
        "caption": "forest: green robot with the white hat",
        "answer": "B",
        "completion": {"text": "<think>so</think><action>delete</action>", "prompt": [1], "completion": [2, 3]},
        "segmentation": [[0.0, 30.0], [30.0, 60.0]],
    }
    return json.dumps(forms.get(kind, vector))


def values_of_others(cache: Path, rng: np.random.Generator) -> None:
    """The values of each kind, with all that belongs to them, under the keys of others of that kind."""
    for path in _databases(cache):
        with closing(sqlite3.connect(path)) as database:
            keys: dict[str, list[str]] = {}
            for (key,) in database.execute("SELECT key FROM Cache ORDER BY key").fetchall():
                keys.setdefault(key.partition(":")[0], []).append(key)
            database.execute("UPDATE Cache SET key = 'moved ' || key")
            for old in keys.values():
                for key, new in zip(old, np.roll(old, int(rng.integers(1, 4)))):
                    database.execute("UPDATE Cache SET key = ? WHERE key = ?", (str(new), f"moved {key}"))
            database.commit()


def other_shapes(cache: Path, rng: np.random.Generator) -> None:
    """Vectors cut short or lengthened, lists with one entry more or fewer, texts cut."""

    def change(database: sqlite3.Connection, rowid: int, kind: str) -> None:
        (text,) = database.execute("SELECT value FROM Cache WHERE rowid = ?", (rowid,)).fetchone()
        value = json.loads(text) if isinstance(text, str) else ""
        if isinstance(value, dict):
            value.popitem()
        elif isinstance(value, list):
            value = value[1:] if rng.random() < 0.5 else [*value, [0.0, 1.0]]
        else:
            value = value[: 4 * int(rng.integers(0, 6))] if rng.random() < 0.5 else value + value
        _set(value=json.dumps(value))(database, rowid, kind)

    _rows(cache, rng, change)


def blobs(cache: Path, rng: np.random.Generator) -> None:
    _rows(cache, rng, lambda database, rowid, kind: _set(value=rng.bytes(50))(database, rowid, kind))


def other_types(cache: Path, rng: np.random.Generator) -> None:
    odd = (None, 5, -1.5, 2**62, "\ud83d", "5" * 6000)

    def change(database: sqlite3.Connection, rowid: int, kind: str) -> None:
        value = odd[rng.integers(0, len(odd))]
        if value == "\ud83d":
            database.execute("UPDATE Cache SET value = CAST(X'22EDA0BD22' AS TEXT) WHERE rowid = ?", (rowid,))
        else:
            _set(value=value)(database, rowid, kind)

    _rows(cache, rng, change)


class _Touch:
    """Unpickled, it removes the canary."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.remove, (self.path,)


def pickled(cache: Path, rng: np.random.Generator) -> None:
    """Values, or keys, marked as pickles that would remove a file."""
    data = pickle.dumps(_Touch(cache.parent / CANARY))
    if rng.random() < 0.3:
        _rows(cache, rng, _set(raw=0))
    else:
        _rows(cache, rng, _set(mode=4, value=data))


def names_outside(cache: Path, rng: np.random.Generator) -> None:
    """Rows whose value is said to lie in a file outside the folder: to be read, and removed by the next write."""
    name = [f"../../{CANARY}", str(cache.parent / CANARY)][rng.integers(0, 2)]
    change = _set(mode=int(rng.integers(1, 5)), filename=name, value=None, expire_time=[None, 1.0][rng.integers(0, 2)])
    _rows(cache, rng, change)


def huge(cache: Path, rng: np.random.Generator) -> None:
    """Texts of a megabyte, and deeply nested ones."""
    odd = ['"' + "word " * (LARGE // 5) + '"', "[" * 100_000 + "]" * 100_000, "5" * 10_000]
    _rows(cache, rng, _set(value=odd[rng.integers(0, 3)]))


def odd_numbers(cache: Path, rng: np.random.Generator) -> None:
    """Sizes, times and counts that are none."""
    for column in ("size", "store_time", "access_time", "access_count", "expire_time"):
        odd = [-1, -(2**60), 2**62, "x", None, 0.0, 1e300]
        _rows(cache, rng, _set(**{column: odd[rng.integers(0, len(odd))]}))


def expired(cache: Path, rng: np.random.Generator) -> None:
    _rows(cache, rng, _set(expire_time=time.time() - 10))


def _locked(cache: Path, seconds: float, after_opening: bool = False) -> Callable[[], object]:
    """Lock the results by another process, for some seconds from now or from when this process has opened them."""
    path, ready, case = _databases(cache)[-1], cache.parent / "locked", os.getpid()

    def hold() -> int:
        if after_opening:
            ready.touch()
            while str(path) not in _open_files(case):
                time.sleep(0.01)
            time.sleep(0.5)  # whatever opening writes is written
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as database:
            database.execute("BEGIN EXCLUSIVE")
            database.execute("DELETE FROM Cache WHERE rowid % 3 = 0")  # never committed
            ready.touch()
            time.sleep(seconds)
        return 0

    pid = started(hold, cache.parent / "locking")
    while not ready.exists():
        time.sleep(0.01)

    def end() -> None:
        killed(pid)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)

    return end


def _open_files(pid: int) -> set[str]:
    files = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            files.add(str(link.readlink()))
    return files


def _drop_some(cache: Path, rng: np.random.Generator) -> None:
    """Without some values the cache must be written, too."""
    _rows(cache, rng, lambda database, rowid, kind: database.execute("DELETE FROM Cache WHERE rowid = ?", (rowid,)))


def locked_for_a_while(cache: Path, rng: np.random.Generator) -> Callable[[], object]:
    _drop_some(cache, rng)
    return _locked(cache, 3.0)


def locked_for_ever(cache: Path, rng: np.random.Generator) -> Callable[[], object]:
    _drop_some(cache, rng)
    return _locked(cache, 3600.0)


def locked_after_opening(cache: Path, rng: np.random.Generator) -> Callable[[], object]:
    _drop_some(cache, rng)
    return _locked(cache, 3600.0, after_opening=True)


def not_writable(cache: Path, rng: np.random.Generator) -> None:
    for path in (*_databases(cache), *(path.parent for path in _databases(cache))):
        path.chmod(0o500 if path.is_dir() else 0o400)  # no obstacle to root


_ALL = (
    *(flipped, flipped_text, zeroed, cut_off, emptied, no_database, a_folder_instead, a_link_outside, foreign_wal),
    *(foreign_journal, another_schema, foreign_settings, a_trigger, other_json, other_words, values_of_others),
    *(other_shapes, blobs, other_types, pickled, names_outside, huge, odd_numbers, expired, locked_for_a_while),
    *(not_writable, locked_for_ever, locked_after_opening),
)
DAMAGES: dict[str, Damage] = {damage.__name__: damage for damage in _ALL}  # 28: each nearly three times in 80 cases
