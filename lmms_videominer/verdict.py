"""Judges a result: which option the answer chose, and which evidence windows have a key frame."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lmms_videominer.types import KeyFrame, Span

# what follows an article: "A man walks in" is no option A; "A The man walks in" is one
_NO_NOUN = r"(?:The|He|She|It|They|There|This|That|These|Those|Because|Since|His|Her|Its|In|On|At)\b"
# after a letter: a sign, a dash, the end of its line, or a sentence
_END = rf"(?:[).:,;](?!\w\.)|[ \t]+[-\u2013\u2014][ \t]|[ \t]*(?:\n|\Z)|[ \t]+(?={_NO_NOUN}))"
# "B", "(B)", "B. a star", "b)", "B - a star", "B The man opens the door": the letter comes first, on its own
_LEADING_LETTER = re.compile(rf"\s*\(?([A-Za-z]){_END}")
_LEADING_LETTERS = re.compile(r"\s*\(?([A-Za-z]{2,4})(?:[).:,]|\s*$)")
# "B Opens the door": only an article or a pronoun could stand there too
_LETTER_AND_TEXT = re.compile(r"\s*([B-HJ-Z])[ \t]+(?=[A-Z])")
# "a star (B)"
_TRAILING_LETTER = re.compile(r"\(([A-Z])\)[\s.]*$")
# "the answer is B", "Answer: (b)", not "the answer is a star": the letter must be a capital, or in brackets, or the end
_SAID = r"(?:\s*(?:is|was|would be|should be|must be|[:=]|option|choice|letter)){0,4}\s*"
_LETTER = rf"(?:\(([A-Za-z])\)|([B-HJ-Z])\b|([A-Z]){_END}|([a-z])\s*\.?\s*\Z)"
_ANSWER_LETTER = re.compile(rf"(?i:\b(?:answer|choose|pick|select){_SAID}){_LETTER}")
_NAMED_LETTER = re.compile(rf"(?i:\b(?:option|choice){_SAID})\(?([A-Z])\b")
_LISTED = re.compile(r"^[ \t]*\(?([A-Z])[).:]", re.MULTILINE)
_SEVERAL = re.compile(
    r"\s*\(?[A-Z]\)?\s*(?:,|/|&|and\b|or\b)\s*(?:and\b|or\b)?\s*\(?[A-Z](?:[).,/]|\s*$|\s+(?:and|or)\b)"
)

_THOUGHT_END = re.compile(r"</think>", re.IGNORECASE)
# "<answer>B</answer>", "\boxed{B}", "\boxed{\text{B}}", {"answer": "B"}
_ENCLOSED = (
    re.compile(r"<answer>([^<]*)", re.IGNORECASE),
    re.compile(r"\\boxed\{\s*(?:\\(?:text|mathrm|textbf)\{)?([^{}]*)"),
    re.compile(r"[\"']answer[\"']\s*:\s*[\"']([^\"'\n]*)[\"']", re.IGNORECASE),
)
_MARKS = re.compile(r"\*+|`+|(?<!\w)_+|_+(?!\w)")  # of markdown


def option_letter(index: int) -> str:
    """``"A"`` for 0, ``"Z"`` for 25, ``"AA"`` for 26: the letter of an option in the answer prompt."""
    before, last = divmod(index, 26)
    return (option_letter(before - 1) if before else "") + chr(ord("A") + last)


def chosen_option(answer: str | None, options: Sequence[str]) -> int | None:
    """Index of the option that ``answer`` names by letter or in full; ``None`` if it names none, or several.

    In full means the whole answer, or the text after its last colon (``"heart, moon: 2"``). What is enclosed as the
    answer counts alone (``<answer>B</answer>``, ``\\boxed{B}``, ``{"answer": "B"}``); marks of markdown and the text up
    to ``</think>`` do not count. A capital ``A`` or ``I`` before a word is a letter only if no noun can follow: "A man
    walks in" is no option A.
    """
    if not answer or not options:
        return None
    said = _THOUGHT_END.split(answer)[-1]
    for enclosed in _ENCLOSED:
        if found := enclosed.findall(said):
            said = found[-1]
    for text in dict.fromkeys((said, _MARKS.sub("", said))):
        readings = (_index_of(text, options), _letter_in(text, options), _index_of(text.rpartition(":")[2], options))
        if (index := next((index for index in readings if 0 <= index < len(options)), None)) is not None:
            return index
    return None


def _letter_in(text: str, options: Sequence[str]) -> int:
    """Index of the letter that ``text`` chooses, which need not be an option's; -1 if there is none."""
    named = _last_named(text)
    if named is None:
        if len(set(_LISTED.findall(text))) > 1 or _SEVERAL.match(text):  # a list of options, or more than one of them
            return -1
        match = _LEADING_LETTER.match(text) or _TRAILING_LETTER.search(text) or _LETTER_AND_TEXT.match(text)
        named = match[1] if match else _letter_before_its_option(text, options)
    return ord(named.upper()) - ord("A") if named else _letters_index(text, len(options))


def _last_named(text: str) -> str | None:
    """The letter that is called the answer, the last one if there are several; else the only one called an option."""
    if answers := [next(filter(None, found)) for found in _ANSWER_LETTER.findall(text)]:
        return answers[-1]
    letters = set(_NAMED_LETTER.findall(text))
    return letters.pop() if len(letters) == 1 else None


def _letter_before_its_option(text: str, options: Sequence[str]) -> str:
    """``"A"`` for "A man walks in. He ..." only if option A is "man walks in"; empty otherwise."""
    letter, _, rest = text.strip().partition(" ")
    index = ord(letter) - ord("A") if len(letter) == 1 and letter.isupper() else -1
    own = options[index].strip().rstrip(".").casefold() if 0 <= index < len(options) else ""
    return letter if own and rest.strip().casefold().startswith(own) else ""


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
