"""What keeps the texts of a cache: one protocol for a database in a folder and for a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Texts(Protocol):
    """Named texts with checksums, shared by any number of processes. Neither is understood or checked here.

    Attributes:
        fallback: What went wrong, as in ``Cache.fallbacks``; empty if nothing.
    """

    fallback: str

    def read(self, names: Sequence[str]) -> list[tuple[bytes, bytes] | None]:
        """Text and checksum of each name as they are stored, or ``None`` if there is none."""

    def write(self, texts: Mapping[str, tuple[bytes, bytes]]) -> None:
        """Store text and checksum by name, in place of what was there."""

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
