"""Caches that outlive a process, each with what changes its values behind its back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from lmms_videominer.store.forms import IMAGE_FEATURES


class DiskStore:
    """A cache in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.place = folder, str(folder)

    def execute(self, kind: str, sql: str, *values: Any) -> list[Any]:
        """Run ``sql``, which must change or find something, on the database of ``kind``."""
        database = self.folder / (IMAGE_FEATURES if kind == IMAGE_FEATURES else "results") / "cache.db"
        with closing(sqlite3.connect(database)) as planted, planted:
            cursor = planted.execute(sql, values)
            rows = cursor.fetchall()
            assert rows or cursor.rowcount > 0
        return rows

    def get(self, kind: str, key: str) -> tuple[bytes, bytes]:
        """Text and checksum."""
        [(text, checksum)] = self.execute(kind, "SELECT value, tag FROM Cache WHERE key = ?", f"{kind}:{key}")
        return text.encode(), checksum

    def put(self, kind: str, key: str, text: bytes, checksum: bytes) -> None:
        insert = "INSERT OR REPLACE INTO Cache(key, raw, tag, mode, value) VALUES (?, 1, ?, 1, ?)"
        self.execute(kind, insert, f"{kind}:{key}", checksum, text)

    def remove(self, kind: str, key: str) -> None:
        self.execute(kind, "DELETE FROM Cache WHERE key = ?", f"{kind}:{key}")

    def spoil(self, kind: str, key: str) -> None:
        change = "UPDATE Cache SET value = 'x', expire_time = 1, filename = 'f' WHERE key = ?"
        self.execute(kind, change, f"{kind}:{key}")


class RedisStore:
    """A cache on a server."""

    def __init__(self, address: str):
        from redis import Redis

        self.place, self.client = address, Redis.from_url(address)

    def get(self, kind: str, key: str) -> tuple[bytes, bytes]:
        value = self.client.get(f"videominer:{kind}:{key}")
        return value[16:], value[:16]

    def put(self, kind: str, key: str, text: bytes, checksum: bytes) -> None:
        self.client.set(f"videominer:{kind}:{key}", checksum + text)

    def remove(self, kind: str, key: str) -> None:
        assert self.client.delete(f"videominer:{kind}:{key}") == 1

    def spoil(self, kind: str, key: str) -> None:
        """Put a list in its place."""
        self.remove(kind, key)
        self.client.rpush(f"videominer:{kind}:{key}", "x")
