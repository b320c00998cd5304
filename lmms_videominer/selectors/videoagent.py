"""VideoAgent (Wang et al., arXiv 2403.10517): a few frames, and then those that the language model asks to see.

As published: 5 uniform frames of one per second, from the first to the last, are captioned; the model answers the
question from the captions, and then rates the information that it had, from 1 to 3. Below 3 it describes what it wants
to see in gaps between the frames seen, and the frame of the gap that is most similar to the description is captioned
too. There are at most 3 rounds of looking. A reply that cannot be parsed counts as confidence 1, or as no request.

What differs:

- ``features=captions``: similarity is the cosine between the embedding of the description and that of each frame's
  caption by the video LLM, not between EVA-CLIP features of the description and the frame. So the candidates are
  thinned evenly to ``max_vlm_calls``, the limit of a tree of VideoMiner; all frames of the requested gaps are
  captioned, and no others. ``features=scorer``: similarity is the score of the description and the frame, as published;
  candidates are thinned above 4096, and at most ``max_vlm_calls`` frames are captioned.
- The frames go to the video LLM. The language model's answer after the last look would have no effect, so it is not
  requested: the method takes 2 to 6 calls, not 2 to 7.
- As published, there is no budget: here the requested frames come first, the most similar to their descriptions if they
  do not all fit; then those of the first look; then the middles of the longest stretches without a frame.
- A reply without a readable request ends the search: the public code asks again with the same prompt, and a greedy
  model gives the same reply.
- If a confidence is out of range, the public code draws one at random; here it is 1.
- One captioner and one language model instead of LaViLa or CogAgent and GPT-4; the prompts are our own.
- With ``features=scorer`` the result's scores are those of all frames compared, each with its best over the
  descriptions.
- ``judge=policy``: the policy decides about each caption in its own format instead. If one is accepted, the confidence
  is 3; else if one continues, 2; else 1. The description is the question itself, for every gap next to a frame that the
  policy did not delete, or for every gap if there is none. For policy models that know no other format, such as the
  bundled one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import Candidates, Pick, within_budget
from lmms_videominer.search.stages import needed
from lmms_videominer.search.wishes import Ask, Case, Compare, Embed, Found, Search
from lmms_videominer.selectors.asking import (
    AskingSelector,
    Seen,
    judgements,
    lettered_question,
    llm_calls,
    most_candidates,
    pool_of,
)
from lmms_videominer.selectors.replies import NOT_SURE, RATINGS, SURE, read_confidence, read_wishes, worst
from lmms_videominer.selectors.scored import scores_of
from lmms_videominer.selectors.selector import Calls, by_level
from lmms_videominer.types import Action, Decision, Event, Node, Reading

CONTEXT = """\
A video of {duration:.0f} seconds is told by captions of some of its frames, in temporal order:
{captions}
Question: {question}
"""
ANSWER_PROMPT = CONTEXT + "Think step by step, then answer the question from the captions."
CONFIDENCE_PROMPT = """\
Assess how far the information in a question carries its answer.
The question was:
{asked}
The answer was:
{answer}
1 = the information is too little for a conclusion, 2 = it partly supports a guess, 3 = it fully supports the answer.
Reply as {{"confidence": 1}}"""
WISH_PROMPT = (
    CONTEXT
    + """\
The captions do not settle the question. The video between these frames falls into segments:
{segments}
Say for each segment that may hold what the question needs which frame you want to see, in one sentence about what is \
visible. A segment may be named more than once or not at all.
Reply as {{"frames": [{{"segment": 1, "description": "..."}}]}}"""
)


@dataclass(frozen=True)
class View:
    """A frame that was looked at.

    Attributes:
        position: Its position among the candidates.
        similarity: Similarity to the description that requested it; ``None`` in the first look.
        wish: The description, as a decision; ``None`` in the first look.
    """

    position: int
    similarity: float | None = None
    wish: Decision | None = None


@dataclass
class Looks:
    """The frames looked at in each round, and the model's verdict after each."""

    pool: Candidates
    captioned: Seen
    rounds: list[list[View]]
    events: dict[int, Event] = field(default_factory=dict)  # by position
    verdicts: list[Decision] = field(default_factory=list)
    compared: dict[int, float] = field(default_factory=dict)  # by frame: the best score, with features=scorer
    descriptions: dict[str, None] = field(default_factory=dict)  # the texts of these scores
    fallbacks: dict[str, None] = field(default_factory=dict)

    @property
    def seen(self) -> list[int]:
        """Positions of the frames looked at, ascending."""
        return sorted({view.position for views in self.rounds for view in views})

    @property
    def gaps(self) -> list[np.ndarray]:
        """The positions between neighbouring seen frames, one array per gap, which may be empty."""
        return [np.arange(a + 1, b) for a, b in itertools.pairwise(self.seen)]


Requests = list[tuple[int, Decision]]  # the gap, and the description as a decision


@dataclass(frozen=True)
class VideoAgentSettings:
    """The first look, and the number of looks."""

    frames: int = option(5, "Frames of the first look.")
    rounds: int = option(3, "Maximum number of looks.")

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"videoagent_{name}={value}: must be at least 1")


class VideoAgentSelector(AskingSelector):
    """Uniform frames, then frames similar to what the language model asks to see."""

    name = "videoagent"
    Settings = VideoAgentSettings

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        settings, pool = cls.settings_of(config), most_candidates(config, duration_s)
        allowed = min(pool, config.max_vlm_calls)
        looks = [min(settings.frames, allowed)]  # frames seen after each round, if every gap is looked into
        for _ in range(settings.rounds - 1):
            looks.append(min(2 * looks[-1] - 1, allowed))
        llm = llm_calls(config, 3 * (len(looks) - 1), sum(looks[:-1]))
        if config.features == "captions":
            return Calls(allowed, llm)
        if config.judge == "policy":
            return Calls(looks[-1], llm, pool * (len(looks) - 1), pool)
        # a reply may name a gap any number of times, each time with another description to compare
        return Calls(allowed, llm, math.inf, pool)

    def search(self, case: Case) -> Search:
        pool = pool_of(case)
        count = min(self.settings.frames, case.config.max_vlm_calls)
        first = np.unique(np.linspace(0, len(pool) - 1, count).astype(int))
        looks = Looks(pool, Seen(case), [[View(int(position)) for position in first]])
        for left in reversed(range(self.settings.rounds)):
            yield from _caption(looks, looks.seen)
            if not left:
                break
            confidence, wishes = yield from (_judged if case.config.judge == "policy" else _replied)(case, looks)
            if confidence == SURE or not wishes:
                break
            if not (views := (yield from _retrieve(case, looks, wishes))):
                break
            looks.rounds.append(views)
        return _found(case, looks, needed(self.stages.scorer, "scorer").identity if looks.compared else "")


def _caption(looks: Looks, positions: list[int]) -> Generator[Any, Any, None]:
    events = yield from looks.captioned.look([looks.pool.spans[position] for position in positions], 1)
    looks.events.update(zip(positions, events, strict=True))


def _replied(case: Case, looks: Looks) -> Generator[Any, Any, tuple[int, Requests]]:
    """Ask for an answer, for its confidence and, if that is low, for the frames that the model wants to see."""
    context = {
        "duration": case.whole.duration_s,
        "captions": "\n".join(_line(looks.events[position]) for position in looks.seen),
        "question": lettered_question(case.question),
    }
    answer_prompt = ANSWER_PROMPT.format(**context)
    [answer] = yield Ask((answer_prompt,))
    confidence_prompt = CONFIDENCE_PROMPT.format(asked=answer_prompt, answer=answer)
    [graded] = yield Ask((confidence_prompt,))
    confidence, reading = read_confidence(graded)
    action = Action.ACCEPT if confidence == SURE else Action.CONTINUE
    looks.verdicts.append(Decision(action, graded, reading, confidence_prompt))
    if reading is Reading.DEFAULT:
        looks.fallbacks["unread_confidence"] = None
    if confidence == SURE or not any(len(gap) for gap in looks.gaps):
        return confidence, []
    prompt = WISH_PROMPT.format(**context, segments="\n".join(_segments(looks)))
    [text] = yield Ask((prompt,))
    wishes, reading = read_wishes(text, len(looks.gaps))
    if reading is Reading.DEFAULT:
        looks.fallbacks["unread_wishes"] = None
    return confidence, [(gap, Decision(Action.ACCEPT, description, reading, prompt)) for gap, description in wishes]


def _judged(case: Case, looks: Looks) -> Generator[Any, Any, tuple[int, Requests]]:
    """The same from one decision of the policy about each frame."""
    decisions = yield from judgements(case, [looks.events[position].caption or "" for position in looks.seen])
    ratings = [RATINGS[decision.action] for decision in decisions]
    reading = worst([decision.reading for decision in decisions])
    action = Action.ACCEPT if max(ratings) == SURE else Action.CONTINUE
    looks.verdicts.append(Decision(action, decisions[int(np.argmax(ratings))].text, reading))
    if reading is Reading.DEFAULT:
        looks.fallbacks["unread_confidence"] = None
    promising = [gap for gap, pair in enumerate(itertools.pairwise(ratings)) if max(pair) > NOT_SURE]
    wish = Decision(Action.ACCEPT, case.question.text, Reading.STRICT)
    return max(ratings), [(gap, wish) for gap in promising or range(len(ratings) - 1)]


def _line(event: Event) -> str:
    return f"at {event.frame_times_s[0]:.0f} s: {event.caption}"


def _segments(looks: Looks) -> list[str]:
    times_s = [looks.events[position].frame_times_s[0] for position in looks.seen]
    return [f"{i}. {a:.0f} s to {b:.0f} s" for i, (a, b) in enumerate(itertools.pairwise(times_s), 1)]


def _retrieve(case: Case, looks: Looks, wishes: Requests) -> Generator[Any, Any, list[View]]:
    """For each wish, the frame of its gap most similar to its description; each once, within the caption limit."""
    open_wishes = [(looks.gaps[gap], wish) for gap, wish in wishes if len(looks.gaps[gap])]
    if not open_wishes:
        return []
    similarities_of = _scored if case.config.features == "scorer" else _compared
    similarities = yield from similarities_of(looks, open_wishes)
    by_position: dict[int, View] = {}
    for (gap, wish), similarity in zip(open_wishes, similarities, strict=True):
        best = int(np.argmax(similarity))
        by_position.setdefault(int(gap[best]), View(int(gap[best]), float(similarity[best]), wish))
    views = list(by_position.values())
    if case.config.features == "scorer":  # else all candidates may be captioned
        left = case.config.max_vlm_calls - len(looks.captioned)
        views = sorted(views, key=lambda view: -(view.similarity or 0.0))[:left]
    return sorted(views, key=lambda view: view.position)


Queries = list[tuple[np.ndarray, Decision]]  # positions to choose from, and the description as a decision


def _compared(looks: Looks, wishes: Queries) -> Generator[Any, Any, list[np.ndarray]]:
    """The cosine of each wish with the captions of its positions, [len(positions)] each."""
    positions = sorted({int(position) for gap, _ in wishes for position in gap})
    yield from _caption(looks, positions)
    captions = yield Embed(tuple(looks.events[position].caption or "(none)" for position in positions))  # [m, d]
    texts = yield Embed(tuple(wish.text for _, wish in wishes))  # [w, d]
    return [captions[np.searchsorted(positions, gap)] @ vector for (gap, _), vector in zip(wishes, texts, strict=True)]


def _scored(looks: Looks, wishes: Queries) -> Generator[Any, Any, list[np.ndarray]]:
    """The score of each wish with the frames of its positions."""
    pairs = tuple((tuple(looks.pool.indices[gap].tolist()), wish.text) for gap, wish in wishes)
    scores = yield Compare(pairs)
    for (frames, text), values in zip(pairs, scores, strict=True):
        looks.descriptions[text] = None
        for frame, value in zip(frames, values.tolist(), strict=True):
            looks.compared[frame] = max(value, looks.compared.get(frame, value))
    return scores


def _found(case: Case, looks: Looks, scorer: str) -> Found:
    nodes = [Node("0", 0, (Event(case.whole),))]
    picks: list[list[Pick]] = []
    for number, views in enumerate(looks.rounds):
        id = f"0.{number}"
        decision = looks.verdicts[number] if number < len(looks.verdicts) else None
        seen = tuple(looks.events[view.position] for view in views)
        nodes.append(Node(id, 1, seen, decision, "" if decision else "last_look"))
        for i, view in enumerate(views):
            if view.wish:
                nodes.append(Node(f"{id}.{i}", 2, (looks.events[view.position],), view.wish))
        picks.append(
            [
                Pick(int(looks.pool.indices[view.position]), f"{id}.{i}" if view.wish else id, view.similarity)
                for i, view in enumerate(views)
            ]
        )
    requested = sorted((pick for group in picks[1:] for pick in group), key=lambda pick: -(pick.score or 0.0))
    groups = [requested[: case.config.frames], picks[0]]
    frames = within_budget(groups, case.timestamps_s, case.config.frames)
    filled = ["filled"] * any(frame.node_id is None for frame in frames)
    text = "\n".join(looks.descriptions)
    scores = scores_of(scorer, text, case.timestamps_s, looks.compared) if looks.compared else None
    return Found(frames, by_level(nodes), (*looks.fallbacks, *filled), scores)
