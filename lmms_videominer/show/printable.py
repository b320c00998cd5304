"""Shown text is text: what a terminal, a font or a table would obey is written out instead."""

from __future__ import annotations

import logging
import unicodedata

# marks that turn the order of text round
_TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WRITTEN_OUT = {"Cc", "Cs", "Zl", "Zp"}  # controls, lone surrogates, ends of lines and paragraphs


def printable(text: object, keep: str = "\n\t") -> str:
    r"""``text`` with control characters as ``\x1b``, lone surrogates and marks of direction as ``\u202e``.

    Args:
        text: Any text from outside: of a video, a model, a file, a name.
        keep: Control characters that stay.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(_written(c) if _obeyed(c) and c not in keep else c for c in text)


def _obeyed(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _WRITTEN_OUT


def _written(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class PrintableFormatter(logging.Formatter):
    """Formats records as printable text."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
