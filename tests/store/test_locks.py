"""A lock that another process holds: told after some seconds, an error after a minute, at any moment."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from lmms_videominer.errors import CacheError
from lmms_videominer.store import database as database_module
from lmms_videominer.store.cache import open_cache

HOLD_DATABASE = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("PRAGMA locking_mode=EXCLUSIVE")
held.execute("BEGIN EXCLUSIVE")
held.execute("PRAGMA user_version=1" if sys.argv[2] == "x" else "CREATE TABLE IF NOT EXISTS held (x)")
print("held", flush=True)
sys.stdin.readline()
held.execute("ROLLBACK")
"""
HOLD_FILE = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""

pytestmark = pytest.mark.launches


@contextmanager
def held(script, path, mode="y"):
    """Another process that holds a lock until ``release`` is called, or the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Seconds in place of a minute: a tenth of the way to the message, then to the error."""
    monkeypatch.setattr(database_module, "LOCK_MESSAGE_S", 0.5)
    monkeypatch.setattr(database_module, "LOCK_ERROR_S", 2.0)


@pytest.fixture
def root(tmp_path):
    with closing(open_cache(str(tmp_path))) as cache:
        cache.put_many("caption", {"k": "paid for"})
    return tmp_path


def fails_in_time(action, root, caplog):
    caplog.clear()
    started = time.monotonic()
    with pytest.raises(CacheError, match=rf"{root}/results: the cache is locked.*End that process.*cache_dir"):
        action()
    assert 2.0 <= time.monotonic() - started < 6.0
    assert len([record for record in caplog.records if "is locked by another process" in record.message]) == 1


def test_by_default_it_is_told_after_five_seconds_and_fails_after_a_minute(monkeypatch):
    monkeypatch.undo()
    assert (database_module.LOCK_MESSAGE_S, database_module.LOCK_ERROR_S) == (5.0, 60.0)


def test_on_opening(root, caplog):
    with held(HOLD_DATABASE, root / "results" / "cache.db"):
        fails_in_time(lambda: open_cache(str(root)), root, caplog)


def test_on_reading_and_writing_and_what_was_stored_stays(root, caplog):
    with closing(open_cache(str(root))) as cache:
        cache.close()  # the connection is opened again when it is used
        with held(HOLD_DATABASE, root / "results" / "cache.db"):
            fails_in_time(lambda: cache.get_many("caption", ["k"]), root, caplog)
            fails_in_time(lambda: cache.put_many("caption", {"new": "text"}), root, caplog)
        assert cache.get_many("caption", ["k", "new"]) == ["paid for", None]
        assert cache.fallbacks == ()


def test_on_writing_with_an_open_connection(root, caplog):
    hold = HOLD_DATABASE.replace('held.execute("PRAGMA locking_mode=EXCLUSIVE")', "").replace("EXCLUSIVE", "IMMEDIATE")
    with closing(open_cache(str(root))) as cache, held(hold, root / "results" / "cache.db"):
        fails_in_time(lambda: cache.put_many("caption", {"new": "text"}), root, caplog)
        assert cache.get_many("caption", ["k"]) == ["paid for"]  # a write-ahead log keeps no reader waiting


def test_on_moving_a_damaged_database_aside(root, caplog):
    (root / "results" / "cache.db").write_bytes(b"no database" * 1000)
    with held(HOLD_FILE, root / "results.lock"):
        fails_in_time(lambda: open_cache(str(root)), root, caplog)


def test_a_lock_that_is_let_go_in_time_costs_the_wait_alone(root, caplog):
    with closing(open_cache(str(root))) as cache:
        cache.close()
        with held(HOLD_DATABASE, root / "results" / "cache.db") as process:
            threading.Timer(1.0, lambda: (process.stdin.write("\n"), process.stdin.flush())).start()
            cache.put_many("caption", {"new": "text"})
            assert cache.get_many("caption", ["k", "new"]) == ["paid for", "text"]
    assert cache.fallbacks == () and "is locked by another process" in caplog.text
