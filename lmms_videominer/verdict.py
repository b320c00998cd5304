"""Judges a result: which option the answer chose, and which evidence windows have a key frame."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmms_videominer.types import KeyFrame, Span

# "B", "(B)", "B. a star", "b)": the letter comes first, on its own
_LEADING_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[).:,]|\s*$)")
_LEADING_LETTERS = re.compile(r"\s*\(?([A-Za-z]{2,4})(?:[).:,]|\s*$)")
# "a star (B)"
_TRAILING_LETTER = re.compile(r"\(([A-Z])\)[\s.]*$")
# "the answer is B", not "the answer is a star": the letter must be a capital
_NAMED_LETTER = re.compile(r"(?i:answer|option)\s*(?:is|:)?\s*\(?([A-Z])\b")


def option_letter(index: int) -> str:
    """``"A"`` for 0, ``"Z"`` for 25, ``"AA"`` for 26: the letter of an option in the answer prompt."""
    before, last = divmod(index, 26)
    return (option_letter(before - 1) if before else "") + chr(ord("A") + last)


def chosen_option(answer: str | None, options: Sequence[str]) -> int | None:
    """Index of the option that ``answer`` names by letter or in full; ``None`` if it names none.

    In full means the whole answer, or the text after its last colon (``"heart, moon: 2"``).
    """
    if not answer or not options:
        return None
    match = _LEADING_LETTER.match(answer) or _TRAILING_LETTER.search(answer) or _NAMED_LETTER.search(answer)
    letter = ord(match[1].upper()) - ord("A") if match else _letters_index(answer, len(options))
    readings = (_index_of(answer, options), letter, _index_of(answer.rpartition(":")[2], options))
    return next((index for index in readings if 0 <= index < len(options)), None)


def _letters_index(answer: str, count: int) -> int:
    """Index of an option beyond the 26th by its letters, which come first; -1 if the answer has none."""
    match = _LEADING_LETTERS.match(answer) if count > 26 else None
    named = match[1].upper() if match else ""
    return next((i for i in range(26, count) if option_letter(i) == named), -1)


def _index_of(text: str, options: Sequence[str]) -> int:
    """Index of the option equal to ``text``, apart from case, outer white space and a final period; -1 if none is."""
    folded = text.strip().rstrip(".").casefold()
    return next((i for i, option in enumerate(options) if option.strip().casefold() == folded), -1)


def in_evidence(frame: KeyFrame, evidence: Sequence[Span]) -> bool:
    """Whether the frame lies in one of the half-open windows."""
    return any(window.start_s <= frame.time_s < window.end_s for window in evidence)


def windows_hit(frames: Sequence[KeyFrame], evidence: Sequence[Span]) -> int:
    """The number of windows of ``evidence`` that contain at least one of ``frames``."""
    return sum(any(in_evidence(frame, [window]) for frame in frames) for window in evidence)


def frames_hitting(frames: Sequence[KeyFrame], evidence: Sequence[Span]) -> int:
    """The number of ``frames`` that lie in ``evidence``."""
    return sum(in_evidence(frame, evidence) for frame in frames)
