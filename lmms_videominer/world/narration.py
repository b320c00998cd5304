"""What a narrator says in a world video, drawn from the seed of its script: the pictures know nothing of it.

Each word, one of the signs, is said once, in a scene of its own; in other scenes the narrator says something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lmms_videominer.store.atomic import written
from lmms_videominer.types import Cue, Span
from lmms_videominer.world.script import SIGNS, Script

WORD = "the word is {word}"
OTHERS = (
    "and on we go",
    "nothing new here",
    "let us wait and see",
    "so far so good",
    "what a day",
    "here we are again",
)
LENGTH_S = 2.0
_SHARE = 0.7  # of the scenes without a word, those in which something else is said


def narrate(script: Script) -> tuple[Cue, ...]:
    """The cues of ``script``, in order of time: at most one a scene, of two seconds, within it."""
    rng = np.random.default_rng([script.seed, script.index, round(script.minutes * 60), 2])
    order = rng.permutation(len(script.scenes)).tolist()
    words = [SIGNS[i] for i in rng.permutation(len(SIGNS))]
    texts = {at: WORD.format(word=word) for at, word in zip(order, words)}
    for at in order[len(words) :]:
        if rng.random() < _SHARE:
            texts[at] = OTHERS[int(rng.integers(len(OTHERS)))]
    cues = []
    for at in sorted(texts):
        scene = script.scenes[at].span
        start_s = scene.start_s + 0.5 + float(rng.integers(0, int(2 * (scene.duration_s - LENGTH_S - 1)) + 1)) / 2
        cues.append(Cue(Span(start_s, start_s + LENGTH_S), texts[at]))
    return tuple(cues)


def words_said(script: Script) -> dict[str, Cue]:
    """By word, the cue that says it."""
    cues = {cue.text: cue for cue in narrate(script)}
    return {word: cues[text] for word in SIGNS if (text := WORD.format(word=word)) in cues}


def write_srt(cues: Sequence[Cue], path: Path) -> None:
    """Write ``cues`` as SRT, atomically."""
    blocks = [f"{i}\n{_time(c.span.start_s)} --> {_time(c.span.end_s)}\n{c.text}\n" for i, c in enumerate(cues, 1)]
    with written(path) as part:
        part.write_text("\n".join(blocks), encoding="utf-8")


def _time(time_s: float) -> str:
    seconds, ms = divmod(round(1000 * time_s), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},{ms:03d}"
