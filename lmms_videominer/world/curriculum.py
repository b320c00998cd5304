"""Training samples for the small models: frames of ``train`` worlds with captions, answers and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompt import (
    bare_completion,
    judge_prompt,
    numbered_completion,
    policy_completion,
    policy_prompt,
)
from lmms_videominer.search.context import accepted_line, budget_line, length_line, place_line
from lmms_videominer.search.questions import with_options
from lmms_videominer.search.speech import unsought
from lmms_videominer.types import Action, Event, Question, Span, merge_spans
from lmms_videominer.video.timing import uniform_times
from lmms_videominer.vlm.prompts import ANSWER_SUFFIX, PLAIN_TOPIC, caption_prompt
from lmms_videominer.world import language
from lmms_videominer.world.narration import narrate
from lmms_videominer.world.questions import DRAWERS, WHOLE_VIDEO, WRITERS, WorldQuestion, draw_spoken, write_questions
from lmms_videominer.world.render import render_times
from lmms_videominer.world.script import COLOURS, PLACES, SIGNS, STATES, Actor, FrameState, Scene, Script, write_script

MAX_DEPTH = 3
CAPTIONS = 200  # limit of the searches in the prompts
BARE = 0.15  # share of decisions without reasoning
NAMED_SHARES = {"places": 0.3, "never": 0.3, "last": 0.1, "which": 0.3}  # "last" is learnt before the others


@dataclass(frozen=True)
class Lesson:
    """Frames (uint8 [T, SIZE, SIZE, 3], or ``None`` for text only) and turns of (prompt, target reply).

    Attributes:
        pieces: Of a lesson of one turn: the pieces of its reply, of which every other one, from the first on, is given
            and not to be learnt. Empty: all is to be learnt.
    """

    frames: np.ndarray | None
    turns: tuple[tuple[str, str], ...]
    kind: str = ""
    pieces: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def _script(seed: int, index: int, minutes: float, nuisances: tuple[str, ...]) -> Script:
    return write_script(seed, index, minutes, nuisances)


def draw_script(rng: np.random.Generator, seed: int) -> Script:
    """One of a few hundred scripts with moments from world ``seed``; some have changing light, fades or pans."""
    nuisances = ((), (), (), ("light", "pans"), ("fades", "static"), ("light", "cuts"))[int(rng.integers(6))]
    minutes = (1, 5, 15, 60)[int(rng.integers(4))]
    script = _script(seed, int(rng.integers(200)), minutes, nuisances)
    return script if any(scene.moments for scene in script.scenes) else draw_script(rng, seed)


def caption_lesson(rng: np.random.Generator, script: Script, frames: int) -> Lesson:
    """Frames of one span, from half a second to five minutes long, and their caption."""
    scene = script.scenes[int(rng.integers(len(script.scenes)))]
    length_s = float(np.exp(rng.uniform(np.log(0.5), np.log(min(300.0, script.duration_s)))))
    if scene.moments and rng.random() < 0.6:
        moment = scene.moments[int(rng.integers(len(scene.moments)))]
        centre_s = rng.uniform(moment.span.start_s, moment.span.end_s)
    else:
        centre_s = rng.uniform(0, script.duration_s)
    start_s = float(np.clip(centre_s - rng.random() * length_s, 0, script.duration_s - length_s))
    times = uniform_times([Span(start_s, start_s + length_s)], frames)
    states = [script.state_at(t) for t in times]
    topic = draw_question(rng, scene).text if rng.random() < 0.8 else PLAIN_TOPIC
    return Lesson(render_times(script, times), ((caption_prompt(topic), language.caption(states)),), "caption")


def draw_question(rng: np.random.Generator, scene: Scene) -> WorldQuestion:
    """A question about this scene. For a scene without moments it is a ``sign`` question without a correct answer."""
    kind = "count" if len(scene.signs) > 1 else "action" if scene.actions else "sign"
    if kind == "sign" and not scene.signs:
        place = f"the {scene.actor} is in the {scene.place}"
        options = tuple(SIGNS[i] for i in rng.permutation(len(SIGNS))[:4])
        return WorldQuestion("sign", f"Which sign appears while {place}?", options, "A", (scene,), ())
    return WRITERS[kind](rng, (scene,), int(rng.integers(4)))


def question_lesson(rng: np.random.Generator, script: Script, frames: int, turns: int, alone: bool = False) -> Lesson:
    """Frames that answer one or more questions, often mixed with frames of the same actors or places.

    Args:
        alone: Show frames of one scene only.

    Raises:
        ValueError: No answerable question was found; this does not happen for scripts from ``draw_script``.
    """
    for _ in range(50):
        scenes = _some_scenes(rng, script)[: 1 if alone else None]
        times = uniform_times(merge_spans([span for s in scenes for span in _moment_spans(rng, s)]), frames)
        states = [script.state_at(t) for t in times]
        candidates = _questions_on(rng, scenes)
        questions = [q for q in candidates if language.is_answerable(q, language.boards_seen(q, states))]
        if questions:
            break
    else:
        raise ValueError("no answerable question was found in 50 draws")
    questions = [questions[i] for i in rng.permutation(len(questions))[:turns]]
    dialogue = [_turn(rng, q, language.boards_seen(q, states)) for q in questions]
    if turns > 1 and rng.random() < 0.5:
        caption_turn = (caption_prompt(questions[0].text), language.caption(states))
        dialogue.insert(int(rng.integers(len(dialogue) + 1)), caption_turn)
    return Lesson(render_times(script, times), tuple(dialogue), questions[0].kind)


def _turn(rng: np.random.Generator, question: WorldQuestion, boards: list[str]) -> tuple[str, str]:
    """A prompt and its reply, always the option's text: a model of this size cannot map options to letters."""
    return language.question_prompt(question, _suffix(rng)), language.answer_text(question, boards)


def _suffix(rng: np.random.Generator) -> str:
    """The suffix of the world's tasks, or, in a fifth of the prompts, that of others."""
    return ANSWER_SUFFIX if rng.random() < 0.2 else language.ANSWER_SUFFIX


def named_lesson(rng: np.random.Generator, seed: int, frames: int, turns: int) -> Lesson:
    """Questions of a kind that is asked only if named, on frames that answer them: uniform ones, or of the evidence."""
    kind = _named_kind(rng)
    while True:  # a third of the scripts, or more, has questions of each kind
        script = draw_script(rng, seed)
        drawn = [DRAWERS[kind](rng, script, int(rng.integers(4))) for _ in range(turns)]
        questions = [question for question in drawn if question]
        if not questions:
            continue
        times = _named_times(rng, script, questions[0], frames)
        states = [script.state_at(t) for t in times]
        replies = [(q, language.answer_from(q, states)) for q in dict.fromkeys(questions)]
        dialogue = tuple((language.question_prompt(q, _suffix(rng)), reply) for q, reply in replies if reply)
        if dialogue:
            return Lesson(render_times(script, times), dialogue, kind)


def reading_lesson(rng: np.random.Generator, seed: int, frames: int) -> Lesson:
    """A question of a named kind without frames: what they show is given, and what follows from it is to be learnt.

    Such lessons cost a third of those with frames.
    """
    while True:
        kind = _named_kind(rng)
        script = draw_script(rng, seed)
        question = DRAWERS[kind](rng, script, int(rng.integers(4)))
        if not question:
            continue
        states = [script.state_at(t) for t in _named_times(rng, script, question, frames)]
        if pieces := language.read_from(question, states):
            turn = (language.question_prompt(question, _suffix(rng)), "".join(pieces))
            return Lesson(None, (turn,), kind, pieces)


def _named_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(list(NAMED_SHARES), p=list(NAMED_SHARES.values())))


def _named_times(rng: np.random.Generator, script: Script, question: WorldQuestion, frames: int) -> np.ndarray:
    """Times of frames that may answer a question of a named kind: uniform ones, or of the evidence."""
    spans = list(question.evidence)
    if question.kind == "which":
        spans += [span for scene in _some_scenes(rng, script) for span in _moment_spans(rng, scene)]
    elif rng.random() < 0.6:
        spans = [Span(0, script.duration_s)]
    return uniform_times(merge_spans(spans), frames)


def blind_lesson(rng: np.random.Generator, script: Script, turns: int) -> Lesson:
    """Questions without frames: the target reply is a random option."""
    questions = write_questions(script, 10) + write_questions(script, 4, tuple(DRAWERS))
    dialogue = []
    for i in rng.permutation(len(questions))[:turns]:
        dialogue.append((language.question_prompt(questions[i]), questions[i].options[int(rng.integers(4))]))
    return Lesson(None, tuple(dialogue), "blind")


def _some_scenes(rng: np.random.Generator, script: Script) -> list[Scene]:
    """One to four scenes with moments; the later ones often share the first one's place or actor."""
    eventful = [s for s in script.scenes if s.moments]
    many_signs = [s for s in eventful if len(s.signs) > 1] if rng.random() < 0.5 else []
    first = (many_signs or eventful)[int(rng.integers(len(many_signs or eventful)))]
    scenes = [first]
    for _ in range(int(rng.choice([0, 0, 1, 1, 1, 2, 3]))):
        similar = [s for s in eventful if (s.place == first.place) != (s.actor == first.actor)]
        pool = similar if similar and rng.random() < 0.5 else eventful
        scenes.append(pool[int(rng.integers(len(pool)))])
    return list(dict.fromkeys(scenes))


def _moment_spans(rng: np.random.Generator, scene: Scene) -> list[Span]:
    """Spans of the scene's moments, exact or with a margin, or one span over all of them."""
    margin_s = rng.uniform(0, 4) if rng.random() < 0.5 else 0.0
    spans = [
        Span(max(m.span.start_s - margin_s, scene.span.start_s), min(m.span.end_s + margin_s, scene.span.end_s))
        for m in scene.moments
    ]
    if rng.random() < 0.3:
        return [Span(spans[0].start_s, spans[-1].end_s)]
    return spans


def _questions_on(rng: np.random.Generator, scenes: Sequence[Scene]) -> list[WorldQuestion]:
    questions = []
    for scene in scenes:
        if scene.actions:
            questions.append(WRITERS["action"](rng, (scene,), int(rng.integers(4))))
        else:
            # single-sign scenes seldom get a count question, so that the counts are evenly distributed
            kinds = ["count"] if len(scene.signs) > 1 else ["sign", "count"] if rng.random() < 0.25 else ["sign"]
            questions += [WRITERS[kind](rng, (scene,), int(rng.integers(4))) for kind in kinds]
    single = sorted((s for s in scenes if len(s.signs) == 1), key=lambda s: s.span.start_s)
    questions += [
        WRITERS["order"](rng, (a, b), int(rng.integers(4)))
        for i, a in enumerate(single)
        for b in single[i + 1 :]
        if a.signs != b.signs
    ]
    return questions


@dataclass(frozen=True)
class Flaws:
    """Deliberate errors of the teacher, so that training has something to correct.

    Attributes:
        slips: Share of replies that end after the reasoning, without an action: the format reward corrects this.
        haste: Share of nodes worth a closer look that are deleted: only the tree's reward shows that this costs
            answers.
    """

    slips: float = 0.0
    haste: float = 0.0

    def reply(self, rng: np.random.Generator, reasoning: str | None, action: Action) -> str:
        """The target completion for a sound decision, with flaws.

        Args:
            reasoning: ``None``: the reply is an action alone, from which nothing can slip.
        """
        if self.haste and action is Action.CONTINUE and rng.random() < self.haste:
            action = Action.DELETE
        if reasoning is None:
            return bare_completion(action)
        completion = policy_completion(reasoning, action)
        return completion.partition("<action>")[0] if self.slips and rng.random() < self.slips else completion


SOUND = Flaws()


def policy_lesson(
    rng: np.random.Generator, script: Script, noise: float = 0.0, flaws: Flaws = SOUND, bare: float = BARE
) -> Lesson:
    """A node's captions and a decision, sound except for ``flaws``.

    Args:
        rng: Draws the lesson.
        script: The video.
        noise: Share of frames misread in the captions.
        flaws: Deliberate errors.
        bare: Share of lessons without reasoning.
    """
    question = _searched(rng, script)
    context = _context(rng, script, question) if rng.random() < 0.5 else []
    part, action, reasoning = _part(rng, script, question, noise, context, rng.random() >= bare)
    return Lesson(None, ((part.prompt, _reply(rng, part, action, reasoning, flaws)),), action.value)


def several_lesson(rng: np.random.Generator, script: Script, noise: float = 0.0) -> Lesson:
    """The captions of two to four nodes, and one reply that decides about all of them soundly."""
    question = _searched(rng, script)
    shared = (
        [line for line in _context(rng, script, question) if not line.startswith("Part: ")]
        if rng.random() < 0.3
        else []
    )
    reasoned, placed = rng.random() >= BARE, rng.random() < 0.2
    drawn = []
    for number in range(int(rng.choice([2, 2, 2, 3, 4]))):
        context = [*shared, _place(rng, script)] if placed else shared
        drawn.append(_part(rng, script, question, noise, context, reasoned, most_events=1 if number > 1 else 2))
    first, *others = (part for part, *_ in drawn)
    replies = [_reply(rng, part, action, reasoning, SOUND) for part, action, reasoning in drawn]
    prompt = replace(first, beside=tuple(others)).prompt
    return Lesson(None, ((prompt, numbered_completion(replies)),), "several")


def _searched(rng: np.random.Generator, script: Script) -> WorldQuestion:
    """A question whose moments are searched for; one of twenty is of the kind ``which``."""
    if rng.random() < 0.05 and (question := DRAWERS["which"](rng, script, int(rng.integers(4)))):
        return question
    return _usual(rng, script)


def _usual(rng: np.random.Generator, script: Script) -> WorldQuestion:
    """A question of the kinds that are asked if none are named."""
    questions = write_questions(script, 10)
    return questions[int(rng.integers(len(questions)))]


def _asked(question: WorldQuestion, told: str) -> str:
    """The text of ``question`` in the prompts of a search; see ``with_options``."""
    return with_options(Question("", question.text, question.options), told).text


def _part(
    rng: np.random.Generator,
    script: Script,
    question: WorldQuestion,
    noise: float,
    context: Sequence[str],
    reasoned: bool,
    most_events: int = 3,
) -> tuple[Part, Action, str]:
    """A node of a search for ``question``, the sound action for it, and the reasoning."""
    depth = int(rng.integers(1, MAX_DEPTH + 1))
    events = []
    for _ in range(min(int(rng.choice([1, 1, 1, 1, 2, 3])), most_events)):
        times = _event_times(rng, script, question, depth)
        states = [_misread(rng, script.state_at(t), noise) for t in times]
        # a robot with almost the right colours, or the right one in another place: hard negatives
        swap = _near_miss(rng, question) if rng.random() < 0.3 else {}
        states = [replace(s, **swap) if (s.place, s.actor) in language.wanted_pairs(question) else s for s in states]
        event = language.collapse_repeats(states)
        if event not in events:
            events.append(event)
    captions = "\n".join(language.caption(event) for event in events)
    action, reasoning = language.decide(question, events, depth, MAX_DEPTH)
    text = _asked(question, "named" if rng.random() < 0.5 else "never")
    return Part(text, captions, depth, MAX_DEPTH, tuple(context), reasoned), action, reasoning


def _reply(rng: np.random.Generator, part: Part, action: Action, reasoning: str, flaws: Flaws) -> str:
    return flaws.reply(rng, reasoning if part.reasoning else None, action)


def spoken_lesson(rng: np.random.Generator, script: Script, noise: float = 0.0) -> Lesson:
    """A decision about what is said in a node, or what to look for, for a question about what is said."""
    question = draw_spoken(rng, script, int(rng.integers(4)))
    if rng.random() < 0.2:
        prompt = policy_prompt(question.text, "", 0, MAX_DEPTH, [length_line(script.duration_s)])
        reply = policy_completion("\n".join(language.sought(question)), Action.CONTINUE)
        return Lesson(None, ((prompt, reply),), "sought")
    depth, speech = int(rng.integers(1, MAX_DEPTH + 1)), unsought(narrate(script))
    events: dict[str, str] = {}  # by what is told of it, what is said
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        near = question.evidence[0] if rng.random() < 0.6 else Span(0, script.duration_s)
        length_s = _event_length_s(rng, script, depth)
        start_s = float(np.clip(rng.uniform(near.start_s, near.end_s) - length_s / 2, 0, script.duration_s - length_s))
        span = Span(start_s, start_s + length_s)
        states = [_misread(rng, script.state_at(t), noise) for t in uniform_times([span], 4)]
        event = Event(span, language.caption(states), said=speech.said(span))
        events[event.told] = event.said
    action, reasoning = language.decide_by_words(question, list(events.values()), depth, MAX_DEPTH)
    part = Part(question.text, "\n".join(events), depth, MAX_DEPTH, (), rng.random() >= BARE)
    return Lesson(None, ((part.prompt, _reply(rng, part, action, reasoning, SOUND)),), action.value)


def judge_lesson(rng: np.random.Generator, script: Script) -> Lesson:
    """Frames of an event, and its caption with a sound decision in one reply."""
    question = _usual(rng, script)
    depth = int(rng.integers(1, MAX_DEPTH + 1))
    times = _event_times(rng, script, question, depth)
    event = language.collapse_repeats(script.state_at(t) for t in times)
    action, _ = language.decide(question, [event], depth, MAX_DEPTH)
    reply = f"{language.caption(event)}<action>{action.value}</action>"
    turn = (judge_prompt(question.text, depth, MAX_DEPTH), reply)
    return Lesson(render_times(script, times), (turn,), action.value)


def sought_lesson(rng: np.random.Generator, script: Script) -> Lesson:
    """A question, and what to look for, or that it is about the whole."""
    question, told = _usual(rng, script), "never"
    if rng.random() < 0.4:
        kind = list(DRAWERS)[int(rng.integers(len(DRAWERS)))]
        question = DRAWERS[kind](rng, script, int(rng.integers(4))) or question
        told = "named" if rng.random() < 0.7 else "never"
    whole = question.kind in WHOLE_VIDEO
    lines = ["The whole video."] if whole else language.sought(question, told != "never")
    prompt = policy_prompt(_asked(question, told), "", 0, MAX_DEPTH, [length_line(script.duration_s)])
    reply = policy_completion("\n".join(lines), Action.ACCEPT if whole else Action.CONTINUE)
    return Lesson(None, ((prompt, reply),), "whole" if whole else "sought")


def _context(rng: np.random.Generator, script: Script, question: WorldQuestion) -> list[str]:
    """Lines about the search, some or all of them; a decision about the part does not depend on them."""
    seen = [language.describe(script.state_at(m.span.start_s)) for s in question.scenes for m in s.moments]
    accepted = [seen[i] for i in rng.permutation(len(seen))[: int(rng.integers(len(seen) + 1))]]
    lines = [
        accepted_line(accepted),
        budget_line(int(rng.integers(CAPTIONS)), CAPTIONS),
        _place(rng, script),
    ]
    kept = rng.random(len(lines)) < 0.7
    return [line for line, keep in zip(lines, kept, strict=True) if keep]


def _place(rng: np.random.Generator, script: Script) -> str:
    """The line about the place of some part."""
    start_s, length_s = rng.uniform(0, script.duration_s), float(np.exp(rng.uniform(0, np.log(300))))
    return place_line([Span(start_s, min(start_s + length_s, script.duration_s))], script.duration_s)


def _near_miss(rng: np.random.Generator, question: WorldQuestion) -> dict[str, Any]:
    """Changed fields that turn a state of the question's scene into a state of another, similar scene."""
    actor = question.scenes[0].actor
    other = [c for c in COLOURS if c not in (actor.body, actor.hat)][int(rng.integers(len(COLOURS) - 2))]
    changes: list[dict[str, Any]] = [
        {"place": [p for p in PLACES if p != question.scenes[0].place][int(rng.integers(len(PLACES) - 1))]},
        {"actor": Actor(other, actor.hat)},
        {"actor": Actor(actor.body, other)},
        {"actor": Actor(actor.hat, actor.body)},
    ]
    return changes[int(rng.integers(4))]


def _event_times(rng: np.random.Generator, script: Script, question: WorldQuestion, depth: int) -> np.ndarray:
    """Times of four frames of a span as long as events at that depth, half of the time in the question's scene.

    float64 [4], in seconds.
    """
    length_s = _event_length_s(rng, script, depth)
    scene = question.scenes[int(rng.integers(len(question.scenes)))]
    similar = [s for s in script.scenes if s.place == scene.place or s.actor == scene.actor]
    draw = rng.random()
    if draw < 0.55:
        span = scene.moments[int(rng.integers(len(scene.moments)))].span if scene.moments and draw < 0.4 else scene.span
    elif draw < 0.8:
        span = similar[int(rng.integers(len(similar)))].span
    else:
        span = Span(0, script.duration_s)
    centre_s = rng.uniform(span.start_s, span.end_s)
    start_s = float(np.clip(centre_s - length_s / 2, 0, script.duration_s - length_s))
    return uniform_times([Span(start_s, start_s + length_s)], 4)


def _event_length_s(rng: np.random.Generator, script: Script, depth: int) -> float:
    """The length of an event at that depth."""
    return script.duration_s / 16 * float(np.exp(rng.uniform(-0.7, 0.7))) / (1, 8, 64)[depth - 1]


def _misread(rng: np.random.Generator, state: FrameState, noise: float) -> FrameState:
    if rng.random() >= noise:
        return state
    body, hat = (COLOURS[int(i)] for i in rng.permutation(len(COLOURS))[:2])
    board = (*SIGNS, *STATES, None)[int(rng.integers(len(SIGNS) + len(STATES) + 1))]
    return FrameState(PLACES[int(rng.integers(len(PLACES)))], Actor(body, hat), board)
