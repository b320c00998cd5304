"""Multiple-choice questions about a script, with four options, balanced answer positions, and evidence spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmms_videominer.config import check_names
from lmms_videominer.types import Span
from lmms_videominer.world.narration import words_said
from lmms_videominer.world.script import ACTIONS, PLACES, SIGNS, Scene, Script

KINDS = ("sign", "action", "order", "count")  # asked if no kinds are named
WHOLE_VIDEO = ("places", "never", "last")  # asked about the whole video, if named
SPOKEN = "spoken"  # asked about what the narrator says, if named
ALL_KINDS = (*KINDS, *WHOLE_VIDEO, "which", SPOKEN)
LETTERS = "ABCD"
DRAWS = 8  # tries to draw a question that has not been asked
# of ten questions, four are on a sign, and two each on an action, an order and a count
_SHARE = ("sign", "action", "order", "sign", "count", "sign", "action", "order", "sign", "count")


@dataclass(frozen=True)
class WorldQuestion:
    """One question.

    Attributes:
        scenes: The scenes that it is about; empty for one about the whole video.
        evidence: The moments in the scenes that answer it; of one about a word, when it is said. About the whole video:
            the chapter that comes last (or first), or for the other kinds the first chapter of every place that is
            shown.
    """

    kind: str
    text: str
    options: tuple[str, ...]
    answer: str
    scenes: tuple[Scene, ...]
    evidence: tuple[Span, ...]

    @property
    def right(self) -> str:
        """The text of the correct option."""
        return self.options[LETTERS.index(self.answer)]

    def row(self, script: Script, number: int | str, video: str) -> dict[str, Any]:
        """The question as a line of ``qa.jsonl``; ``number`` makes its id unique among those about ``script``."""
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


def write_questions(script: Script, count: int, kinds: Sequence[str] = ()) -> list[WorldQuestion]:
    """Up to ``count`` distinct questions about ``script``, with fixed shares of kinds as far as its scenes allow.

    The position of the correct answer cycles through A, B, C, D across questions and videos.

    Args:
        script: The video.
        count: Number of questions.
        kinds: Any of ``ALL_KINDS``, in equal shares; empty: ``KINDS``, with sign as often as two others. A film has no
            ``places`` and ``never`` if it shows too few places or all of them (1 minute; an hour).

    Raises:
        ConfigError: A kind is unknown.
    """
    check_names(kinds, ALL_KINDS, "kind")
    key = [script.seed, script.index, round(script.minutes * 60), 1]
    rng = np.random.default_rng([*key, *(ALL_KINDS.index(kind) for kind in kinds)])
    questions: list[WorldQuestion] = []
    used: set[Any] = set()
    for number in range(count):
        if kinds:
            turn, at = divmod(number, len(kinds))
            # whatever a film lacks, each kind goes through the positions from film to film
            choices, place = (kinds[at], *kinds), (script.index + turn + at) % 4
        else:
            choices, place = (_SHARE[number % len(_SHARE)], *KINDS), (script.index * count + number) % 4
        for choice in dict.fromkeys(choices):
            question = _write(rng, script, choice, place, used)
            if question:
                questions.append(question)
                break
    return questions


def _write(rng: np.random.Generator, script: Script, kind: str, place: int, used: set[Any]) -> WorldQuestion | None:
    """A question of ``kind`` that is not ``used`` yet; ``None`` if none is left."""
    if kind in WRITERS:
        scenes = _draw_scenes(rng, script, kind, used)
        if scenes:
            used.add((kind, scenes))
            return WRITERS[kind](rng, scenes, place)
        return None
    for _ in range(DRAWS):
        question = (draw_spoken if kind == SPOKEN else DRAWERS[kind])(rng, script, place)
        if question and (question.text, question.right) not in used:
            used.add((question.text, question.right))
            return question
    return None


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


# --- about the whole video, or with options that say what to look for; drawn so that all places, and all scenes, are
# alike to one who reads the text alone ---


def _firsts(script: Script) -> dict[str, Span]:
    """The first chapter of every place that is shown, in order of time."""
    firsts: dict[str, Span] = {}
    for chapter in script.chapters:
        firsts.setdefault(chapter.place, chapter.span)
    return firsts


def _shuffled(rng: np.random.Generator, names: Sequence[str]) -> list[str]:
    return [names[i] for i in rng.permutation(len(names))]


def _places(rng: np.random.Generator, script: Script, place: int) -> WorldQuestion | None:
    shown = _firsts(script)
    hidden = [name for name in PLACES if name not in shown]
    if len(shown) < 3 or len(hidden) < 3:
        return None  # not every number from 0 to 3 could be right
    count = int(rng.integers(4))
    listed = _shuffled(rng, [*_shuffled(rng, list(shown))[:count], *_shuffled(rng, hidden)[: 3 - count]])
    options, answer = _place_answer(rng, str(count), [n for n in "0123" if n != str(count)], place)
    text = f"In how many of these places does the film play: the {listed[0]}, the {listed[1]}, the {listed[2]}?"
    return WorldQuestion("places", text, options, answer, (), tuple(shown.values()))


def _never(rng: np.random.Generator, script: Script, place: int) -> WorldQuestion | None:
    shown = _firsts(script)
    hidden = [name for name in PLACES if name not in shown]
    if len(shown) < 3 or not hidden:
        return None
    options, answer = _place_answer(rng, _shuffled(rng, hidden)[0], list(shown), place)
    return WorldQuestion("never", "Which of these places is never shown?", options, answer, (), tuple(shown.values()))


def _last(rng: np.random.Generator, script: Script, place: int) -> WorldQuestion | None:
    which, chapter = ("last", script.chapters[-1]) if rng.random() < 0.5 else ("first", script.chapters[0])
    shown = [name for name in _firsts(script) if name != chapter.place]
    others = shown if len(shown) >= 3 else [name for name in PLACES if name != chapter.place]
    options, answer = _place_answer(rng, chapter.place, others, place)
    return WorldQuestion("last", f"Which place comes {which}?", options, answer, (), (chapter.span,))


def _which(rng: np.random.Generator, script: Script, place: int) -> WorldQuestion | None:
    single = [scene for scene in script.scenes if len(scene.signs) == 1]
    if not single:
        return None
    scene = single[int(rng.integers(len(single)))]
    (sign,) = scene.signs
    others = [where(s) for s in script.scenes if s.moments and sign not in s.signs]
    if len(others) < 3:
        return None
    options, answer = _place_answer(rng, f"while {where(scene)}", [f"while {other}" for other in others], place)
    text = f"At which of the following moments does the {sign} appear?"
    return WorldQuestion("which", text, options, answer, (scene,), tuple(m.span for m in scene.moments))


def draw_spoken(rng: np.random.Generator, script: Script, place: int) -> WorldQuestion:
    """A question about when one of the words is said, the right option at ``place``."""
    said = words_said(script)
    word = list(said)[int(rng.integers(len(said)))]
    scene = script.scene_at(said[word].span.start_s)
    shown = [name for name in _firsts(script) if name != scene.place]
    others = shown if len(shown) >= 3 else [name for name in PLACES if name != scene.place]
    options, answer = _place_answer(rng, scene.place, others, place)
    text = f"Where is the robot when the word {word} is said?"
    return WorldQuestion(SPOKEN, text, options, answer, (scene,), (said[word].span,))


# those that frames answer, which the models are taught
DRAWERS = {"places": _places, "never": _never, "last": _last, "which": _which}
