"""Fonts for the contact sheet: Pillow's own font, or a system font for characters that it lacks."""

from __future__ import annotations

import bisect
import functools
import unicodedata

from PIL import ImageFont

from lmms_videominer.show.printable import printable

# Pillow looks these names up in the system's font folders; the first that exists is used.
SYSTEM_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
MOST_LETTERS = 2000  # of one text: far more than a sheet has room for
_PLAIN = str.maketrans({"–": "-", "—": "-", "‘": "'", "’": "'", "×": "x"})


def _is_plain(text: str) -> bool:
    """Whether Pillow's font, which has hardly more than ASCII, can show ``text``."""
    return all(character.isascii() or character in "·…“”" for character in text)


@functools.cache
def _system_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@functools.cache
def _plain_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)  # type: ignore[return-value]


def fitting(text: str, size: int, like: str = "") -> tuple[str, ImageFont.FreeTypeFont]:
    """``text`` as it can be shown, and a font of ``size`` pixels that shows both it and ``like``.

    If no system font is found, accents are dropped and other characters beyond ASCII become ``?``.
    """
    text = printable(" ".join(text[:MOST_LETTERS].translate(_PLAIN).split()))
    if _is_plain(text) and _is_plain(like.translate(_PLAIN)):
        return text, _plain_font(size)
    font = _system_font(size)
    if font is not None:
        return text, font
    decomposed = unicodedata.normalize("NFKD", text)
    unaccented = "".join(c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if _is_plain(c) else "?" for c in unaccented), _plain_font(size)


def wrapped(text: str, size: int, width: float, most_lines: int) -> list[str]:
    """``text`` in at most ``most_lines`` lines of at most ``width`` pixels; cut text ends in an ellipsis."""
    text, font = fitting(text, size)
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
        if len(lines) > most_lines:
            lines = [*lines[: most_lines - 1], f"{lines[most_lines - 1]}…"]
            break
    return [_clipped(line, font, width) for line in lines]


def _clipped(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """``line``, cut to fit ``width`` with an ellipsis if needed; a single word may be longer than a line."""
    if font.getlength(line) <= width:
        return line
    stem = line.rstrip("…")
    count = bisect.bisect_right(range(len(stem) + 1), width, key=lambda n: font.getlength(f"{stem[:n]}…"))
    return f"{stem[: max(0, count - 1)].rstrip('…').rstrip()}…"
