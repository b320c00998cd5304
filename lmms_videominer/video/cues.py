"""From subtitles as files state them to cues: each line once, in order of time, none beside another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lmms_videominer.types import Cue, Span

MOST_CUES = 100_000  # of one film
MOST_CHARACTERS = 2_000  # of one cue
ROLL_S = 0.5  # a cue that begins this soon after another may repeat its lines
TOGETHER_S = 0.25  # cues that begin this close to each other are one: two speakers, or two lines of one
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")  # ASS, to which FFmpeg translates all others; {this} is text
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")


@dataclass(frozen=True)
class Stated:
    """One entry of a subtitle file or track: times in seconds from the first frame, the text line by line."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Tidied:
    """The cues of a film, and how many entries were left out, by reason."""

    cues: tuple[Cue, ...]
    beyond: int = 0
    without_length: int = 0


def lines_of(dialogue: str) -> tuple[str, ...]:
    """The lines of the text of an ASS event, without its markup and its drawings."""
    if _DRAWING.search(dialogue):
        return ()
    text = _OVERRIDE.sub("", dialogue).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    lines = (" ".join(line.split()) for line in text[:MOST_CHARACTERS].split("\n"))
    return tuple(line for line in lines if line)


def tidied(stated: Iterable[Stated], duration_s: float) -> Tidied:
    """Cues in order of time that do not overlap, each within a film of ``duration_s`` seconds.

    Lines that roll up from one entry to the next, or grow word by word, as in captions made live, count once. Equal
    entries that follow each other are one. So are those that begin together; another one that begins before the one
    before it ends, ends it.
    """
    cues: list[Cue] = []
    before: tuple[str, ...] = ()
    beyond = without_length = 0
    for entry in sorted(stated, key=lambda each: (each.start_s, each.end_s)):
        start_s, end_s = max(entry.start_s, 0.0), min(entry.end_s, duration_s)
        if entry.end_s <= entry.start_s:
            without_length += 1
        elif start_s >= duration_s or end_s <= 0:
            beyond += 1
        elif entry.lines:
            follows = bool(cues) and start_s - cues[-1].span.end_s <= ROLL_S
            text = " ".join(_new(before, entry.lines) if follows else entry.lines)
            before = entry.lines
            _add(cues, Cue(Span(start_s, end_s), text), follows)
    return Tidied(tuple(cues), beyond, without_length)


def _new(before: tuple[str, ...], lines: tuple[str, ...]) -> tuple[str, ...]:
    """``lines`` without the first ones, if those are the last ones ``before``."""
    shared = next((k for k in range(len(lines), 0, -1) if before[-k:] == lines[:k]), 0)
    return lines[shared:]


def _add(cues: list[Cue], cue: Cue, follows: bool) -> None:
    """Add ``cue`` to those before it, which may begin with it; ``follows``: at once after the last one."""
    if not follows:
        cues.append(cue)
        return
    last = cues[-1]
    longer = Span(last.span.start_s, max(last.span.end_s, cue.span.end_s))
    if not cue.text or cue.text == last.text:
        cues[-1] = Cue(longer, last.text)
    elif cue.text.startswith(f"{last.text} "):
        cues[-1] = Cue(longer, cue.text)
    elif cue.span.start_s - last.span.start_s <= TOGETHER_S:
        cues[-1] = Cue(longer, f"{last.text} {cue.text}"[:MOST_CHARACTERS])
    else:
        cues[-1] = Cue(Span(last.span.start_s, min(last.span.end_s, cue.span.start_s)), last.text)
        cues.append(cue)
