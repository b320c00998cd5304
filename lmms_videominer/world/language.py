"""The words of the world: what its small models are taught to say.

Used to make training targets alone. At inference nothing here is read: captions, decisions and answers
are what the models make of pixels and text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lmms_videominer.types import Action
from lmms_videominer.world.questions import WorldQuestion, where
from lmms_videominer.world.script import ACTIONS, FrameState, Scene

ANSWER_SUFFIX = "Answer with the text of the right option."
NO_BOARD = "nothing up"
_VERBS = {states: name for name, states in ACTIONS.items()}


def describe(state: FrameState) -> str:
    """One frame in words: place, actor, and the board if one is up."""
    board = f", {state.board}" if state.board else ""
    return f"{state.place}: {state.actor.body} robot with the {state.actor.hat} hat{board}"


def caption(states: Iterable[FrameState]) -> str:
    """Frames in temporal order in words; a frame that looks like the one before it is not told again."""
    return "; ".join(describe(state) for state in told_states(states))


def told_states(states: Iterable[FrameState]) -> list[FrameState]:
    """The frames that a caption tells: all but those that look like the one before them."""
    told: list[FrameState] = []
    for state in states:
        if not told or told[-1] != state:
            told.append(state)
    return told


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
    """The option's text, after what is seen where it follows from that (``"1 heart, 2 moon: 2"``)."""
    right = question.options["ABCD".index(question.answer)]
    if question.kind == "action":
        return f"{' then '.join(boards)}: {right}"
    if question.kind == "count":
        return f"{', '.join(f'{i} {board}' for i, board in enumerate(boards, 1))}: {right}"
    return right


def is_answerable(question: WorldQuestion, boards: list[str]) -> bool:
    """Whether frames that show ``boards`` settle the question."""
    if question.kind == "action":
        return tuple(boards) in _VERBS
    return len(boards) == len(question.evidence)


def decide(
    question: WorldQuestion, events: Sequence[Sequence[FrameState]], depth: int, max_depth: int
) -> tuple[Action, str]:
    """A sound action for a node whose events' captions tell these lines, and the reasoning that leads to it.

    The reasoning goes through the captions line by line, for each scene that is asked about, and stops in a line
    at the first thing that differs: every step is a copy or a comparison of two words. Then: a part that shows a
    board of that scene and nothing else is accepted, at the last depth one that shows others too; a part that
    shows the scene is looked at closer; so is, at depth 1, where few of its scenes can have been sampled, one
    that shows the place.
    """
    lines = [line for event in events for line in event]
    # in the question's own words and order, so that it can be copied
    clauses = question.text.rstrip("?").split(" while ")[1:]
    steps = []
    for clause in (c.removesuffix(" and") for c in clauses):
        scene = next(s for s in question.scenes if clause == where(s))
        steps += [f"Sought: {clause}.", *(_compare(scene, line) for line in lines)]
    action, verdict = _verdict(question, lines, depth, max_depth)
    return action, " ".join([*steps, verdict])


def _compare(scene: Scene, line: FrameState) -> str:
    """One line of a caption held against one scene word by word (``"sea sea, red blue: no."``)."""
    told = (line.place, line.actor.body, line.actor.hat)
    sought = (scene.place, scene.actor.body, scene.actor.hat)
    same = next((i for i in range(3) if told[i] != sought[i]), 3)
    pairs = ", ".join(f"{told[i]} {sought[i]}" for i in range(min(same + 1, 3)))
    return f"{pairs}: {f'seen, {line.board or NO_BOARD}' if same == 3 else 'no'}."


def _verdict(question: WorldQuestion, lines: list[FrameState], depth: int, max_depth: int) -> tuple[Action, str]:
    pairs = wanted_pairs(question)
    hits = [s for s in lines if (s.place, s.actor) in pairs]
    boards = [s for s in hits if s.board]
    if boards and len(boards) == len(lines):
        return Action.ACCEPT, "Seen, and nothing else."
    if boards:
        return (Action.ACCEPT if depth == max_depth else Action.CONTINUE), "Seen, among others."
    if hits:
        return Action.CONTINUE, "Seen, with nothing up."
    if depth == 1 and any(s.place in {scene.place for scene in question.scenes} for s in lines):
        return Action.CONTINUE, "The place is seen."
    return Action.DELETE, "Not seen."
