"""The words of the world: what its small models are taught to say.

Used to make training targets alone. At inference nothing here is read: captions, decisions and answers
are what the models make of pixels and text.
"""

from __future__ import annotations

from collections.abc import Iterable

from lmms_videominer.types import Action
from lmms_videominer.world.questions import WorldQuestion
from lmms_videominer.world.script import ACTIONS, FrameState

ANSWER_SUFFIX = "Answer with the text of the right option."
_VERBS = {states: name for name, states in ACTIONS.items()}


def describe(state: FrameState) -> str:
    """One frame in words: place, actor, and the board if one is up."""
    board = f", {state.board}" if state.board else ""
    return f"{state.place}: {state.actor.body} robot with the {state.actor.hat} hat{board}"


def caption(states: Iterable[FrameState]) -> str:
    """Frames in temporal order in words; a frame that looks like the one before it is not told again."""
    told: list[str] = []
    for state in states:
        words = describe(state)
        if not told or told[-1] != words:
            told.append(words)
    return "; ".join(told)


def question_prompt(question: WorldQuestion, suffix: str = ANSWER_SUFFIX) -> str:
    """The question with its lettered options, as the task ``videominer_world`` asks it."""
    options = [f"{letter}. {option}" for letter, option in zip("ABCD", question.options)]
    return "\n".join([question.text, *options, suffix])


def wanted_pairs(question: WorldQuestion) -> set[tuple[str, object]]:
    return {(scene.place, scene.actor) for scene in question.scenes}


def boards_seen(question: WorldQuestion, states: Iterable[FrameState]) -> list[str]:
    """The boards that the frames show with the asked actor in the asked place, in order of first sight."""
    pairs = wanted_pairs(question)
    seen = [s.board for s in states if s.board and (s.place, s.actor) in pairs]
    return list(dict.fromkeys(seen))


def answer_text(question: WorldQuestion, boards: list[str]) -> str:
    """The option's text, after what is seen where it follows from that (``"heart moon: 2"``)."""
    right = question.options["ABCD".index(question.answer)]
    if question.kind == "action":
        return f"{' then '.join(boards)}: {right}"
    if question.kind == "count":
        return f"{' '.join(boards)}: {right}"
    return right


def is_answerable(question: WorldQuestion, boards: list[str]) -> bool:
    """Whether frames that show ``boards`` settle the question."""
    if question.kind == "action":
        return tuple(boards) in _VERBS
    return len(boards) == len(question.evidence)


def decide(question: WorldQuestion, lines: list[FrameState], depth: int) -> tuple[Action, str]:
    """A sound action for a node whose captions tell ``lines``, and the reasoning that leads to it.

    A matching board in a part that shows nothing else is accepted; a matching scene is looked at closer; the
    right place alone is looked at closer at depth 1, where few of its scenes can have been sampled.
    """
    pairs = wanted_pairs(question)
    places = {scene.place for scene in question.scenes}
    hits = [s for s in lines if (s.place, s.actor) in pairs]
    # in the question's own words and order, so that it can be copied
    clauses = question.text.split(" while ")[1:]
    start = f"Sought: {' while '.join(clauses).rstrip('?')}. "
    if any(s.board for s in hits):
        if len(hits) == len(lines) or depth > 2:
            return Action.ACCEPT, start + f"Seen, with {next(s.board for s in hits if s.board)}."
        return Action.CONTINUE, start + "Seen among others."
    if hits:
        return Action.CONTINUE, start + "Seen, with nothing up."
    if depth == 1 and any(s.place in places for s in lines):
        return Action.CONTINUE, start + "The place is seen."
    return Action.DELETE, start + "Not seen."
