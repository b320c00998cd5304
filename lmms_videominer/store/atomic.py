"""Atomic file writes: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty file next to ``path``. It becomes ``path`` if the block succeeds, and is removed if it fails.

    Its name ends in ``.part``, whatever the suffix of ``path``, so a writer must be given the format. Missing folders
    are created.

    Raises:
        OSError: The file cannot be written; its ``filename`` says which.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:64]}.", suffix=".part")
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())  # mkstemp and some writers give 0600
        os.replace(part, target)
    except OSError as error:
        if error.filename is None:  # a full disk does not say which file it has no space for
            error.filename = str(target)
        raise
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
