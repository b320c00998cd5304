"""The language of the world: what its small models learn to say.

Used only to create training targets. Nothing here is used at inference: the models produce captions,
decisions and answers from pixels and text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lmms_videominer.types import Action
from lmms_videominer.world.narration import WORD
from lmms_videominer.world.questions import DRAWERS, SPOKEN, WorldQuestion, where
from lmms_videominer.world.script import ACTIONS, PLACES, FrameState, Scene

ANSWER_SUFFIX = "Answer with the text of the right option."
NO_BOARD = "nothing up"
NOT_SEEN = "Not seen."
NOTHING_SAID = "nothing said"
_VERBS = {states: name for name, states in ACTIONS.items()}


def describe(state: FrameState) -> str:
    """Description of one frame: place, actor, and the board if one is up."""
    board = f", {state.board}" if state.board else ""
    return f"{state.place}: {state.actor.body} robot with the {state.actor.hat} hat{board}"


def caption(states: Iterable[FrameState]) -> str:
    """Caption of frames in temporal order; a frame that looks like the one before it is not repeated."""
    return "; ".join(describe(state) for state in collapse_repeats(states))


def collapse_repeats(states: Iterable[FrameState]) -> list[FrameState]:
    """The frames that a caption describes: all except those that look like the one before them."""
    distinct: list[FrameState] = []
    for state in states:
        if not distinct or distinct[-1] != state:
            distinct.append(state)
    return distinct


def question_prompt(question: WorldQuestion, suffix: str = ANSWER_SUFFIX) -> str:
    """The question with its lettered options, as in the task ``videominer_world``."""
    options = [f"{letter}. {option}" for letter, option in zip("ABCD", question.options)]
    return "\n".join([question.text, *options, suffix])


def wanted_pairs(question: WorldQuestion) -> set[tuple[str, object]]:
    return {(scene.place, scene.actor) for scene in question.scenes}


def boards_seen(question: WorldQuestion, states: Iterable[FrameState]) -> list[str]:
    """The distinct boards in frames of the question's scenes, in order of first appearance."""
    pairs = wanted_pairs(question)
    boards = [s.board for s in states if s.board and (s.place, s.actor) in pairs]
    return list(dict.fromkeys(boards))


def answer_text(question: WorldQuestion, boards: list[str]) -> str:
    """The correct option's text, for actions and counts after the boards it follows from (``"1 heart, 2 moon: 2"``)."""
    right = question.right
    if question.kind == "action":
        return f"{' then '.join(boards)}: {right}"
    if question.kind == "count":
        return f"{', '.join(f'{i} {board}' for i, board in enumerate(boards, 1))}: {right}"
    return right


def answer_from(question: WorldQuestion, states: Sequence[FrameState]) -> str | None:
    """The reply to ``question`` from frames in temporal order; ``None`` if they do not suffice to answer it.

    What is seen comes before the option that follows from it. Which place comes last or first: the place of each frame
    (``"desert, desert, cave: cave"``). How many are shown, or which one is not: these, then the places in question that
    are among them, in the order of ``PLACES`` (``"desert, cave; desert, cave: 2"``, ``"sea, sea; none: 0"``). At which
    moment a sign appears: the frames with boards, up to the one that shows it (``"cave: red robot with the blue hat,
    moon: while the red robot ..."``).
    """
    if question.kind in DRAWERS:
        pieces = read_from(question, states)
        return "".join(pieces) if pieces else None
    boards = boards_seen(question, states)
    return answer_text(question, boards) if is_answerable(question, boards) else None


def read_from(question: WorldQuestion, states: Sequence[FrameState]) -> tuple[str, ...] | None:
    """The reply to a question of a named kind in pieces: what frames show, and what follows from it, alternately."""
    if question.kind == "which":
        return _sign_read(question, states)
    places = [state.place for state in states]
    seen = ", ".join(places)
    if question.kind == "last":
        last = places[-1 if " last" in question.text else 0]
        return (seen, f": {last}") if last == question.right else None
    if len(set(places)) < len(question.evidence):
        return None
    asked = question.options if question.kind == "never" else re.findall(r"the (\w+)", question.text.partition(":")[2])
    shown = [name for name in PLACES if name in asked and name in places]
    return seen, f"; {', '.join(shown) or 'none'}: {question.right}"


def _sign_read(question: WorldQuestion, states: Sequence[FrameState]) -> tuple[str, ...] | None:
    pairs, boards = wanted_pairs(question), boards_seen(question, states)
    if not is_answerable(question, boards):
        return None
    boarded = collapse_repeats(state for state in states if state.board)
    shown = next(i for i, s in enumerate(boarded) if (s.place, s.actor) in pairs and s.board == boards[0])
    first, *others = map(describe, boarded[: shown + 1])
    between = [piece for text in others for piece in (";", f" {text}")]
    return (first, *between, f": {question.right}")


def is_answerable(question: WorldQuestion, boards: list[str]) -> bool:
    """Whether frames that show ``boards`` suffice to answer the question."""
    if question.kind == "action":
        return tuple(boards) in _VERBS
    return len(boards) == len(question.evidence)


def decide(
    question: WorldQuestion, events: Sequence[Sequence[FrameState]], depth: int, max_depth: int
) -> tuple[Action, str]:
    """A sound action for a node whose captions describe these events, and the reasoning that leads to it.

    For each scene of the question, the reasoning goes through the captions line by line and stops in a line at the
    first difference, so every step copies or compares two words. Then,

    - a node that shows a board of that scene and nothing else is accepted; at the last depth it may show more;
    - any other node that shows the scene is continued;
    - so is, at depth 1, a node that shows the place, since few of its scenes can have been sampled.

    A question of kind ``which`` names a sign, and its options the scenes: the sign alone is compared.
    """
    lines = [line for event in events for line in event]
    if question.kind == "which":
        return _decide_by_sign(question, lines, depth, max_depth)
    steps = []
    for clause in clauses(question):
        scene = next(s for s in question.scenes if clause == where(s))
        steps += [f"Sought: {clause}.", *(_compare(scene, line) for line in lines)]
    action, verdict = _verdict(question, lines, depth, max_depth)
    return action, " ".join([*steps, verdict])


def clauses(question: WorldQuestion) -> list[str]:
    """The clauses that identify its scenes, in its own words and order, so that a model can copy them."""
    parts = question.text.rstrip("?").split(" while ")[1:]
    return [part.removesuffix(" and") for part in parts]


def sought(question: WorldQuestion, told_options: bool = True) -> list[str]:
    """What would be seen at each moment that the question asks about, one line per scene.

    Args:
        told_options: Whether the options are known, in which the moments of a ``which`` question stand; if they are
            not, its sign is all that can be sought.
    """
    if question.kind == "which":
        named = [option.removeprefix("while ") for option in question.options] if told_options else [_sign(question)]
        return [f"{name}." for name in named]
    if question.kind == SPOKEN:
        return [f"the word {_word(question)} is said."]
    return [f"{clause}." for clause in clauses(question)]


def _word(question: WorldQuestion) -> str:
    """The word of a ``spoken`` question."""
    return question.text.partition(" the word ")[2].partition(" is said")[0]


def decide_by_words(question: WorldQuestion, said: Sequence[str], depth: int, max_depth: int) -> tuple[Action, str]:
    """A sound action on a node for a ``spoken`` question, and the reasoning that leads to it.

    The reasoning holds what is said in each event against the word. A node that says it and nothing else is accepted;
    at the last depth it may say more. Without the word it is deleted: the pictures tell nothing of it.

    Args:
        said: What is said in each event, as in the line ``Said: "..."`` of its caption; empty where nothing is.
    """
    word = _word(question)
    heard = [word in text.split() for text in said]
    steps = [
        f"{text or NOTHING_SAID} {word}: {'heard' if hit else 'no'}." for text, hit in zip(said, heard, strict=True)
    ]
    if not any(heard):
        action, verdict = Action.DELETE, "Not heard."
    elif all(text == WORD.format(word=word) for text in said):
        action, verdict = Action.ACCEPT, "Heard, and nothing else."
    else:
        action, verdict = (Action.ACCEPT if depth == max_depth else Action.CONTINUE), "Heard, among others."
    return action, " ".join([f"Sought: the word {word}.", *steps, verdict])


def _sign(question: WorldQuestion) -> str:
    """``"the moon"``: the sign of a ``which`` question, in its words."""
    return question.text.partition(" moments does ")[2].partition(" appear")[0]


def _decide_by_sign(
    question: WorldQuestion, lines: Sequence[FrameState], depth: int, max_depth: int
) -> tuple[Action, str]:
    sign = _sign(question).removeprefix("the ")
    steps = [f"{line.board or NO_BOARD} {sign}: {'seen' if line.board == sign else 'no'}." for line in lines]
    last = depth == max_depth
    seen = _seen(sum(line.board == sign for line in lines), len(lines), last)
    action, verdict = seen or ((Action.DELETE if last else Action.CONTINUE), NOT_SEEN)
    return action, " ".join([f"Sought: {_sign(question)}.", *steps, verdict])


def _compare(scene: Scene, line: FrameState) -> str:
    """A word-by-word comparison of one caption line with one scene (``"sea sea, red blue: place."``).

    Its outcome says what the verdict rests on, so that this need not compare again: ``no``, ``place``, another robot in
    the right place, or ``seen`` and the board.
    """
    described = (line.place, line.actor.body, line.actor.hat)
    sought = (scene.place, scene.actor.body, scene.actor.hat)
    matches = next((i for i in range(3) if described[i] != sought[i]), 3)
    pairs = ", ".join(f"{described[i]} {sought[i]}" for i in range(min(matches + 1, 3)))
    outcome = f"seen, {line.board or NO_BOARD}" if matches == 3 else "place" if matches else "no"
    return f"{pairs}: {outcome}."


def _verdict(question: WorldQuestion, lines: list[FrameState], depth: int, max_depth: int) -> tuple[Action, str]:
    pairs = wanted_pairs(question)
    hits = [s for s in lines if (s.place, s.actor) in pairs]
    boards = [s for s in hits if s.board]
    if seen := _seen(len(boards), len(lines), depth == max_depth):
        return seen
    if hits:
        return Action.CONTINUE, "Seen, with nothing up."
    if depth == 1 and any(s.place in {scene.place for scene in question.scenes} for s in lines):
        return Action.CONTINUE, "The place is seen."
    return Action.DELETE, NOT_SEEN


def _seen(shown: int, lines: int, last: bool) -> tuple[Action, str] | None:
    """The action and the verdict where ``shown`` of the caption's lines show what is sought; ``None`` if none does."""
    if not shown:
        return None
    if shown == lines:
        return Action.ACCEPT, "Seen, and nothing else."
    return (Action.ACCEPT if last else Action.CONTINUE), "Seen, among others."
