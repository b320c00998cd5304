"""The content identity of a file, used in cache keys instead of its name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lmms_videominer.video.faults import check_file

_BLOCK = 1 << 20


def video_identity(path: str | os.PathLike[str]) -> str:
    """sha256 (hex) of the size and the first, middle and last MiB. A renamed or copied file keeps its identity.

    Raises:
        VideoError: The file is missing, a folder, empty or unreadable.
    """
    check_file(os.fspath(path))
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        for start in (0, max(0, (size - _BLOCK) // 2), max(0, size - _BLOCK)):
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()
