"""What can be said of a result: which option the answer chose, and which windows of the evidence were seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmms_videominer.types import KeyFrame, Selection, Span

# "B", "(B)", "B. a star", "b)": the letter stands first and alone
_LEADING_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[).:,]|\s*$)")
# "the answer is B", not "the answer is a star": the letter must be a capital
_NAMED_LETTER = re.compile(r"(?i:answer|option)\s*(?:is|:)?\s*\(?([A-Z])\b")


def option_letter(index: int) -> str:
    """``"A"`` for 0, as the answer prompt letters them."""
    return chr(ord("A") + index)


def chosen_option(answer: str | None, options: Sequence[str]) -> int | None:
    """Index of the option that ``answer`` names by letter or in full; ``None`` where it names none."""
    if not answer or not options:
        return None
    for index, option in enumerate(options):
        if answer.strip().casefold() == option.strip().casefold():
            return index
    match = _LEADING_LETTER.match(answer) or _NAMED_LETTER.search(answer)
    index = ord(match[1].upper()) - ord("A") if match else -1
    return index if 0 <= index < len(options) else None


def in_evidence(frame: KeyFrame, evidence: Sequence[Span]) -> bool:
    """Whether the frame lies in one of the half-open windows."""
    return any(window.start_s <= frame.time_s < window.end_s for window in evidence)


def windows_hit(selection: Selection) -> int:
    """How many windows of the question's evidence hold at least one key frame."""
    frames = selection.key_frames
    return sum(any(in_evidence(frame, [window]) for frame in frames) for window in selection.question.evidence)
