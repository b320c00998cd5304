"""What can be said of a result: which option the answer chose, and which windows of the evidence were seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmms_videominer.types import KeyFrame, Span

# "B", "(B)", "B. a star", "b)": the letter stands first and alone
_LEADING_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[).:,]|\s*$)")
# "a star (B)"
_TRAILING_LETTER = re.compile(r"\(([A-Z])\)[\s.]*$")
# "the answer is B", not "the answer is a star": the letter must be a capital
_NAMED_LETTER = re.compile(r"(?i:answer|option)\s*(?:is|:)?\s*\(?([A-Z])\b")


def option_letter(index: int) -> str:
    """``"A"`` for 0, as the answer prompt letters them."""
    return chr(ord("A") + index)


def chosen_option(answer: str | None, options: Sequence[str]) -> int | None:
    """Index of the option that ``answer`` names by letter or in full; ``None`` where it names none.

    In full is the whole answer, or what follows its last colon (``"heart, moon: 2"``).
    """
    if not answer or not options:
        return None
    match = _LEADING_LETTER.match(answer) or _TRAILING_LETTER.search(answer) or _NAMED_LETTER.search(answer)
    letter = ord(match[1].upper()) - ord("A") if match else -1
    readings = (_index_of(answer, options), letter, _index_of(answer.rpartition(":")[2], options))
    return next((index for index in readings if 0 <= index < len(options)), None)


def _index_of(text: str, options: Sequence[str]) -> int:
    """Index of the option that is ``text``, case and surrounding space aside; -1 where none is."""
    wanted = text.strip().rstrip(".").casefold()
    return next((i for i, option in enumerate(options) if option.strip().casefold() == wanted), -1)


def in_evidence(frame: KeyFrame, evidence: Sequence[Span]) -> bool:
    """Whether the frame lies in one of the half-open windows."""
    return any(window.start_s <= frame.time_s < window.end_s for window in evidence)


def windows_hit(frames: Sequence[KeyFrame], evidence: Sequence[Span]) -> int:
    """How many windows of ``evidence`` hold at least one of ``frames``."""
    return sum(any(in_evidence(frame, [window]) for frame in frames) for window in evidence)


def frames_hitting(frames: Sequence[KeyFrame], evidence: Sequence[Span]) -> int:
    """How many of ``frames`` lie in ``evidence``."""
    return sum(in_evidence(frame, evidence) for frame in frames)
