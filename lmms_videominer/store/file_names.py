"""File names from ids, tasks and labels: unique, bounded, and of the folder that they are meant for."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}(?<!\.)", re.ASCII)
_HASHED = re.compile(r".*-[0-9a-f]{12}")  # like a name made here
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices of Windows
_MOST_READABLE = 80  # characters


def file_name(text: str, folds_case: bool = False) -> str:
    """A file name for ``text``: another one for every other text, of ASCII, without a suffix.

    Plain texts, as ``12`` or ``fFjv93ACGo8-1``, are their own names. Others keep what is readable of them, and 12
    hexadecimal digits of their sha256 tell them apart: ``a/b``, ``..``, names of 300 characters.

    Args:
        folds_case: Whether ``a`` and ``A`` would be one file; see ``is_case_folded``.
    """
    is_plain = _PLAIN.fullmatch(text) and not _HASHED.fullmatch(text) and not _RESERVED.fullmatch(text)
    if is_plain and not (folds_case and text != text.lower()):
        return text
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", text[: 2 * _MOST_READABLE]).strip("_-")[:_MOST_READABLE]
    digits = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{readable}-{digits}".lstrip("-")


def is_case_folded(folder: Path) -> bool:
    """Whether the file system of ``folder``, which exists, takes ``a`` and ``A`` for one file."""
    swapped = folder.with_name(folder.name.swapcase())
    return swapped != folder and swapped.exists() and os.path.samefile(swapped, folder)
