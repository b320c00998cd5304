"""What is said in a video, as a search uses it: told of events, compared with what is sought, and near key frames.

Cues are short: a sentence has several. So they are compared in passages, of up to ``PASSAGE_WORDS`` words without a
pause between them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import groupby
from typing import Any

import numpy as np

from lmms_videominer.models.bundle import CHECKPOINTS
from lmms_videominer.models.identity import model_identity
from lmms_videominer.search.wishes import Case, Embed
from lmms_videominer.types import Cue, Span
from lmms_videominer.video.time_codes import clock
from lmms_videominer.vlm.vlm import VLM

PASSAGE_WORDS = 24
PAUSE_S = 2.0
MOST_TOLD = 80  # words of one event; a minute of speech has about 150
NEAR_S = 4.0  # on either side of a key frame: what is said there may be about it
MOST_NEAR = 600  # words of the prompt for an answer
LEFT_OUT = "…"
_STANDS_OUT = 1e-6  # standard deviation of the cosines below which no passage does


@dataclass(frozen=True)
class Speech:
    """The cues of a video, in passages, each with how well it fits what is sought.

    Attributes:
        cues: In order of time.
        passages: int64 [C]: the passage of each cue, from 0 upwards.
        fits: float64 [P, L]: the cosine of each passage and each line sought; [P, 0] if nothing is sought.
    """

    cues: tuple[Cue, ...] = ()
    passages: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    fits: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def said(self, span: Span, shared: bool = False) -> str:
        """What is said within ``span``, of more than ``MOST_TOLD`` words those that fit best.

        Args:
            shared: The same for every question: of too many words the first and the last.
        """
        own = self._cues_in([span]).tolist()
        order = sorted(own, key=lambda i: min(i - own[0], own[-1] - i))
        if not shared and self.fits.size:
            best = self.fits.max(axis=1).round(6)
            order = sorted(own, key=lambda i: (-best[self.passages[i]], i))
        chosen: set[int] = set()
        words = 0
        for i in order:
            words += len(self.cues[i].text.split())
            if words > MOST_TOLD and chosen:
                break
            chosen.add(i)
        parts: list[str] = []
        for i in own:
            if i in chosen:
                parts.append(_shortened(self.cues[i].text))
            elif parts[-1:] != [LEFT_OUT]:
                parts.append(LEFT_OUT)
        return " ".join(parts)

    def promise(self, spans: Sequence[Span]) -> np.ndarray | None:
        """float64 [L]: how far the best passage within ``spans`` is from the best of the video, at most 0.

        In standard deviations over the passages; ``None`` if nothing is said there, or no passage stands out.
        """
        own = self._within(spans)
        return None if own is None else self._standing[own].max(axis=0)

    def best(self, spans: Sequence[Span], line: int) -> Span | None:
        """When that is said within ``spans`` which fits the line best."""
        own = self._within(spans)
        if own is None:
            return None
        chosen = int(own[self.fits[own, line].round(6).argmax()])
        inside = [i for i in self._cues_in(spans) if self.passages[i] == chosen]
        return Span(self.cues[inside[0]].span.start_s, self.cues[inside[-1]].span.end_s)

    def _within(self, spans: Sequence[Span]) -> np.ndarray | None:
        """int64 [p]: the passages that have a cue in one of ``spans``; ``None`` for none."""
        if not self.fits.size or (len(self.fits) > 1 and self.fits.std(axis=0).max() < _STANDS_OUT):
            return None
        own = self._cues_in(spans)
        return np.unique(self.passages[own]) if len(own) else None

    def _cues_in(self, spans: Sequence[Span]) -> np.ndarray:
        """int64 [c], ascending: the cues of which at least half is said in one of ``spans``, or through half of it."""
        starts, ends = self._times
        inside = np.zeros(len(self.cues), bool)
        for span in spans:
            shared = np.minimum(ends, span.end_s) - np.maximum(starts, span.start_s)
            inside |= (shared > 0) & (2 * shared >= np.minimum(ends - starts, span.duration_s))
        return np.flatnonzero(inside)

    @cached_property
    def _times(self) -> np.ndarray:
        """float64 [2, C]: starts and ends of the cues."""
        return _times_of(self.cues)

    @cached_property
    def _standing(self) -> np.ndarray:
        """float64 [P, L]: of each passage and line, the distance from the best passage in standard deviations."""
        apart = self.fits - self.fits.max(axis=0)
        return apart / np.maximum(self.fits.std(axis=0), _STANDS_OUT)


SILENCE = Speech()


def heard(case: Case, lines: Sequence[str]) -> Generator[Embed, Any, Speech]:
    """What is said in the video of ``case``, compared with each of ``lines`` and with the question.

    Without lines, with the question alone.
    """
    if not case.cues:
        return SILENCE
    passages = passages_of(case.cues)
    count = int(passages[-1]) + 1
    grouped = groupby(zip(passages.tolist(), case.cues, strict=True), key=lambda pair: pair[0])
    spoken = [" ".join(cue.text for _, cue in members) for _, members in grouped]
    vectors = yield Embed((*spoken, *lines, case.question.text))
    said, sought = vectors[:count].astype(np.float64), vectors[count:].astype(np.float64)
    cosines = said @ sought.T  # [P, L + 1]
    return Speech(case.cues, passages, np.maximum(cosines[:, : max(1, len(lines))], cosines[:, -1:]))


def unsought(cues: tuple[Cue, ...]) -> Speech:
    """What is said in a video, while nothing is sought yet."""
    return Speech(cues, passages_of(cues))


def passages_of(cues: Sequence[Cue]) -> np.ndarray:
    """int64 [len(cues)]: the passage of each cue."""
    passages: list[int] = []
    words = 0
    for i, cue in enumerate(cues):
        count = len(cue.text.split())
        follows = i > 0 and cue.span.start_s - cues[i - 1].span.end_s <= PAUSE_S and words + count <= PASSAGE_WORDS
        passages.append(passages[-1] + (not follows) if passages else 0)
        words = words + count if follows else count
    return np.array(passages, np.int64)


def near(cues: Sequence[Cue], times_s: Iterable[float]) -> tuple[Cue, ...]:
    """Those of ``cues`` within ``NEAR_S`` of one of ``times_s``; beyond ``MOST_NEAR`` words, the nearest."""
    times = np.array(list(times_s))
    if not len(times) or not cues:
        return ()
    starts, ends = _times_of(cues)[..., None]  # [C, 1] each
    gaps = np.maximum(np.maximum(starts - times, times - ends), 0).min(axis=1)  # [C]
    chosen, words = [], 0
    for i in np.argsort(gaps.round(3), kind="stable").tolist():
        words += len(cues[i].text.split())
        if gaps[i] > NEAR_S or words > MOST_NEAR:
            break
        chosen.append(i)
    return tuple(cues[i] for i in sorted(chosen))


def told_lines(cues: Sequence[Cue]) -> list[str]:
    """A line for each cue: when it begins, and its text."""
    return [f'{clock(cue.span.start_s)} "{cue.text}"' for cue in cues]


def reads_speech(vlm: VLM | None) -> bool:
    """Whether a video LLM reads what is said in its prompts: any but the bundle's, which is not taught to."""
    return vlm is None or _untaught() not in vlm.identity


@cache
def _untaught() -> str:
    """The identity of the bundle's video LLM; that of a backbone of lmms-eval which runs it holds the same."""
    return model_identity(str(CHECKPOINTS / "vlm"))


def _times_of(cues: Sequence[Cue]) -> np.ndarray:
    return np.array([[cue.span.start_s, cue.span.end_s] for cue in cues], np.float64).reshape(-1, 2).T


def _shortened(text: str) -> str:
    """``text`` without its middle beyond ``MOST_TOLD`` words."""
    words = text.split()
    if len(words) <= MOST_TOLD:
        return text
    half = MOST_TOLD // 2
    return " ".join([*words[:half], LEFT_OUT, *words[-half:]])
