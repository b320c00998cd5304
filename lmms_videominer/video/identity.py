"""The content identity of a file, used in cache keys instead of its name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lmms_videominer.profiling import staged
from lmms_videominer.video.containers import playlist
from lmms_videominer.video.faults import check_file

_BLOCK = 1 << 20


@staged("index")
def video_identity(path: str | os.PathLike[str]) -> str:
    """sha256 (hex) of the size and the first, middle and last MiB. A renamed or copied file keeps its identity.

    That of a playlist depends on the files that it names, too.

    Raises:
        VideoError: The file is missing, a folder, empty or unreadable.
    """
    name = os.fsdecode(path)
    check_file(name)
    digest = _digest(name)
    for part in _parts_of(name):
        digest.update(_digest(part).digest())
    return digest.hexdigest()


def _digest(path: str) -> hashlib._Hash:
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        for start in (0, max(0, (size - _BLOCK) // 2), max(0, size - _BLOCK)):
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return digest


def _parts_of(path: str) -> list[str]:
    """The files that a playlist names, also those of the playlists in it; files that are missing are left out."""
    parts: list[str] = []
    waiting = [os.path.abspath(path)]
    while waiting:
        listing = waiting.pop()
        folder = os.path.dirname(listing)
        for line in playlist(listing).splitlines():
            named = os.fsdecode(line.strip())
            part = os.path.join(folder, named)
            if not named or named.startswith("#") or part in parts or not os.path.isfile(part):
                continue
            parts.append(part)
            waiting.append(part)
    return parts
