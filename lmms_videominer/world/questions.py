"""Multiple-choice questions about a script, with four options, balanced answer positions, and evidence spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lmms_videominer.types import Span
from lmms_videominer.world.script import ACTIONS, SIGNS, Scene, Script

KINDS = ("sign", "action", "order", "count")
LETTERS = "ABCD"
# of ten questions, four are on a sign, and two each on an action, an order and a count
_SHARE = ("sign", "action", "order", "sign", "count", "sign", "action", "order", "sign", "count")


@dataclass(frozen=True)
class WorldQuestion:
    """One question. ``scenes`` are the scenes it is about, ``evidence`` the moments in them that answer it."""

    kind: str
    text: str
    options: tuple[str, ...]
    answer: str
    scenes: tuple[Scene, ...]
    evidence: tuple[Span, ...]

    def row(self, script: Script, number: int, video: str) -> dict[str, Any]:
        """The question as a line of ``qa.jsonl``."""
        return {
            "id": f"{script.seed}-{script.index}-{script.minutes:g}min-{number}",
            "video": video,
            "question": self.text,
            "options": list(self.options),
            "answer": self.answer,
            "kind": self.kind,
            "minutes": script.minutes,
            "evidence": [[span.start_s, span.end_s] for span in self.evidence],
            "seed": script.seed,
        }


def write_questions(script: Script, count: int) -> list[WorldQuestion]:
    """Up to ``count`` distinct questions about ``script``, with fixed shares of kinds as far as its scenes allow.

    The position of the correct answer cycles through A, B, C, D across questions and videos.
    """
    rng = np.random.default_rng([script.seed, script.index, round(script.minutes * 60), 1])
    kinds = [_SHARE[i % len(_SHARE)] for i in range(count)]
    questions: list[WorldQuestion] = []
    used: set[tuple[str, tuple[Scene, ...]]] = set()
    for number, kind in enumerate(kinds):
        place = (script.index * count + number) % 4
        for choice in dict.fromkeys((kind, *KINDS)):
            scenes = _draw_scenes(rng, script, choice, used)
            if scenes:
                used.add((choice, scenes))
                questions.append(WRITERS[choice](rng, scenes, place))
                break
    return questions


def _draw_scenes(rng: np.random.Generator, script: Script, kind: str, used: set) -> tuple[Scene, ...]:
    """A scene for a question of ``kind``, or two of different chapters for an order; ``()`` if none is left."""
    if kind == "order":
        return _draw_pair(rng, script, used)
    fits = {
        "sign": lambda scene: len(scene.signs) == 1,
        "action": lambda scene: len(scene.actions) == 1,
        "count": lambda scene: len(scene.signs) >= 1,
    }[kind]
    scenes = [s for s in script.scenes if fits(s) and (kind, (s,)) not in used]
    if kind == "count" and scenes:
        # for an even distribution of counts, draw first the number, then the scene
        number = rng.choice(sorted({len(s.signs) for s in scenes}))
        scenes = [s for s in scenes if len(s.signs) == number]
    return (scenes[int(rng.integers(len(scenes)))],) if scenes else ()


def _draw_pair(rng: np.random.Generator, script: Script, used: set) -> tuple[Scene, ...]:
    single = [s for s in script.scenes if len(s.signs) == 1]
    pairs = [
        (a, b)
        for i, a in enumerate(single)
        for b in single[i + 1 :]
        if a.signs != b.signs
        and script.chapter_at(a.span.start_s) is not script.chapter_at(b.span.start_s)
        and ("order", (a, b)) not in used
    ]
    return pairs[int(rng.integers(len(pairs)))] if pairs else ()


def where(scene: Scene) -> str:
    """The clause of a question that identifies a scene."""
    return f"the {scene.actor} is in the {scene.place}"


def _place_answer(rng: np.random.Generator, right: str, wrong: list[str], place: int) -> tuple[tuple[str, ...], str]:
    options = [wrong[i] for i in rng.permutation(len(wrong))[:3]]
    options.insert(place, right)
    return tuple(options), LETTERS[place]


def _sign(rng: np.random.Generator, scenes: tuple[Scene, ...], place: int) -> WorldQuestion:
    (scene,) = scenes
    options, answer = _place_answer(rng, scene.signs[0], [s for s in SIGNS if s not in scene.signs], place)
    text = f"Which sign appears while {where(scene)}?"
    return WorldQuestion("sign", text, options, answer, scenes, tuple(m.span for m in scene.moments))


def _action(rng: np.random.Generator, scenes: tuple[Scene, ...], place: int) -> WorldQuestion:
    (scene,) = scenes
    right = scene.actions[0].action or ""
    options, answer = _place_answer(rng, right, [a for a in ACTIONS if a != right], place)
    text = f"What happens while {where(scene)}?"
    return WorldQuestion("action", text, options, answer, scenes, (scene.actions[0].span,))


def _order(rng: np.random.Generator, scenes: tuple[Scene, ...], place: int) -> WorldQuestion:
    first, second = (s.signs[0] for s in scenes)
    others = [s for s in SIGNS if s not in (first, second)]
    third = others[int(rng.integers(len(others)))]
    right, swapped = f"{first} then {second}", f"{second} then {first}"
    # the third sign occurs in both positions, so that the form of the options does not give the answer away
    fillers = (
        [f"{first} then {third}", f"{third} then {first}"]
        if rng.random() < 0.5
        else [f"{second} then {third}", f"{third} then {second}"]
    )
    options, answer = _place_answer(rng, right, [swapped, *fillers], place)
    clauses = [where(scene) for scene in (scenes if rng.random() < 0.5 else scenes[::-1])]
    text = f"Which two signs appear, in order of time, while {clauses[0]} and while {clauses[1]}?"
    evidence = tuple(m.span for s in scenes for m in s.moments)
    return WorldQuestion("order", text, options, answer, scenes, evidence)


def _count(rng: np.random.Generator, scenes: tuple[Scene, ...], place: int) -> WorldQuestion:
    (scene,) = scenes
    right = str(len(scene.signs))
    options, answer = _place_answer(rng, right, [n for n in "1234" if n != right], place)
    text = f"How many signs appear while {where(scene)}?"
    return WorldQuestion("count", text, options, answer, scenes, tuple(m.span for m in scene.moments))


WRITERS = {"sign": _sign, "action": _action, "order": _order, "count": _count}
