"""VideoTree (Wang et al., arXiv 2405.19209): clusters of frames, split where the language model finds them relevant.

As published: frames are taken at one per second; their feature vectors are clustered by k-means with cosine similarity,
k = 8, 16, 32; the frame nearest to each centroid is captioned; one call per round gives an answer, its confidence and
the relevance of each cluster, 1 to 3; the rounds end with 4 or more clusters of relevance 3, or with k = 32. Then a
cluster of relevance 1 keeps its representative, one of 2 is split by Ward linkage into 4, and one of 3 into 4 and each
of those into 4.

What differs:

- ``features=captions``: vectors are embeddings of captions, not image features: the video LLM captions every candidate
  frame. So the candidates are thinned evenly to ``max_vlm_calls``, the limit of a tree of VideoMiner; a longer video
  has fewer than one per second. ``features=scorer``: vectors are the image features of the scorer, as published those
  of EVA-CLIP; candidates are thinned above 4096. Frames are compared with each other there and not with the question,
  so that the result has no scores.
- With ``features=scorer`` a round that might need more captions than are left of ``max_vlm_calls`` is not started, and
  the result names this fallback (``max_vlm_calls``).
- The frames go to the video LLM; the language model's answer from captions stays in the reply and is not used. As
  published, there is no budget: here relevance comes first, then the level (representatives, then their splits);
  surplus frames are thinned evenly in time, and missing ones come from the longest stretches without a frame.
- The ratings are matched to the clusters in the order of the representatives, as shown in the prompt; the public code
  matches them by the cluster numbers of k-means.
- Of a cluster of relevance 3 the representatives of the cluster, of its 4 parts and of the 16 parts are taken, in this
  order; the public code leaves out those of the 4, and all of a part with fewer than two frames.
- The frame nearest to a centroid is found by cosine; in the public code by Euclidean distance.
- Ratings missing from a reply are 1 (3 in the public code): a truncated reply makes nothing relevant.
- One captioner and one language model instead of LaViLa, BLIP-2 or CogAgent and GPT-4; the prompt is our own.
- In the result's tree a round is a node with its call, and the clusters are nodes below the last round: relevance 3 is
  shown as accept, 2 as continue, 1 as delete. The score of a key frame is the relevance of its cluster.
- ``judge=policy``: the policy decides about each representative in its own format instead, one call each: accept
  stands for 3, continue for 2, delete for 1. For policy models that know no other format, such as the bundled one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import Candidates, Pick, within_budget
from lmms_videominer.search.wishes import Ask, Case, Embed, Encode, Found, Search
from lmms_videominer.selectors.asking import (
    AskingSelector,
    Seen,
    judgements,
    lettered_question,
    llm_calls,
    most_candidates,
    pool_of,
)
from lmms_videominer.selectors.grouping import nearest_to_mean, spherical_kmeans, ward
from lmms_videominer.selectors.replies import ACTIONS, NOT_SURE, RATINGS, SURE, read_relevance
from lmms_videominer.selectors.selector import Calls, by_level
from lmms_videominer.types import Action, Decision, Event, Node, Reading, Span

PROMPT = """\
A video of {duration:.0f} seconds is told by captions of {count} of its frames, in temporal order:
{captions}
Question: {question}
Answer the question from the captions. Rate your confidence: 1 = the captions say too little, 2 = they allow a guess, \
3 = they settle it. Rate how relevant each frame is to the question: 1 = not, 2 = somewhat, 3 = highly.
Reply as {{"answer": "...", "confidence": 1, "relevance": [one rating for each of the {count} frames]}}"""


@dataclass(frozen=True)
class Round:
    """One round of the search.

    Attributes:
        clusters: Positions of each cluster's frames among the candidates; clusters in the order of ``heads``.
        heads: Position of each cluster's representative, ascending.
        events: The representatives with their captions.
        decisions: One decision per cluster.
        reply: The call that gave them; ``None`` if each was decided separately.
    """

    clusters: list[np.ndarray]
    heads: list[int]
    events: tuple[Event, ...]
    decisions: list[Decision]
    reply: Decision | None

    @property
    def scores(self) -> list[int]:
        return [RATINGS[decision.action] for decision in self.decisions]


@dataclass(frozen=True)
class VideoTreeSettings:
    """The clusters of each round, and how relevant ones are split."""

    first: int = option(8, "Clusters of the first round; doubled in every round.")
    most: int = option(32, "Maximum number of clusters.")
    enough: int = option(4, "Number of highly relevant clusters that ends the rounds.")
    branches: int = option(4, "Parts into which a relevant cluster is split.")

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"videotree_{name}={value}: must be at least 1")
        if self.first > self.most:
            raise ConfigError(
                f"videotree_first={self.first} is more than "
                f"videotree_most={self.most}: the first round has the fewest clusters"
            )


class VideoTreeSelector(AskingSelector):
    """Frames of a tree of clusters, wide and deep where the language model finds relevance."""

    name = "videotree"
    Settings = VideoTreeSettings

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        settings, pool = cls.settings_of(config), most_candidates(config, duration_s)
        widths: list[float] = [settings.first]
        while widths[-1] < settings.most:
            widths.append(min(2 * widths[-1], settings.most))
        widths = [min(width, pool) for width in widths]
        llm = llm_calls(config, len(widths), sum(widths))
        if config.features == "captions":
            return Calls(pool, llm)
        return Calls(min(pool, sum(widths), config.max_vlm_calls), llm, pool)

    def search(self, case: Case) -> Search:
        config, settings, pool, seen = case.config, self.settings, pool_of(case), Seen(case)
        vectors = yield from _vectors(case, pool, seen)
        rounds: list[Round] = []
        stopped: tuple[str, ...] = ()
        distinct = len(np.unique(vectors, axis=0))  # most clusters possible
        width = min(settings.first, config.max_vlm_calls)
        while True:
            rounds.append((yield from _round(case, pool, seen, vectors, width)))
            enough = rounds[-1].scores.count(SURE) >= settings.enough
            if enough or width >= min(settings.most, distinct):
                break
            width = min(2 * width, settings.most)
            if config.features == "scorer" and len(seen) + width > config.max_vlm_calls:
                stopped = ("max_vlm_calls",)  # with features=captions all candidates are captioned already
                break
        return _found(case, rounds, pool, seen, vectors, settings.branches, stopped)


def _vectors(case: Case, pool: Candidates, seen: Seen) -> Generator[Any, Any, np.ndarray]:
    """float32 [len(pool), d], L2-normalised: the image features of each candidate, or the embedding of its caption."""
    if case.config.features == "scorer":
        return (yield Encode(tuple(pool.indices.tolist())))
    events = yield from seen.look(pool.spans, 1)
    return (yield Embed(tuple(event.caption or "(none)" for event in events)))


def _round(case: Case, pool: Candidates, seen: Seen, vectors: np.ndarray, width: int) -> Generator[Any, Any, Round]:
    """Cluster the candidates, and have the clusters rated by their representatives."""
    groups = spherical_kmeans(vectors, width, case.config.seed)
    heads = [nearest_to_mean(vectors, group) for group in groups]
    order = sorted(range(len(groups)), key=heads.__getitem__)
    groups, heads = [groups[i] for i in order], [heads[i] for i in order]
    events = yield from seen.look([pool.spans[head] for head in heads], 1)
    if case.config.judge == "policy":
        decisions = yield from judgements(case, [event.caption or "" for event in events])
        return Round(groups, heads, events, decisions, None)
    prompt = _prompt(case, events)
    [text] = yield Ask((prompt,))
    ratings = read_relevance(text, len(heads))
    decisions = [Decision(ACTIONS[score], f"relevance {score}", ratings.reading) for score in ratings.scores]
    return Round(groups, heads, events, decisions, Decision(Action.CONTINUE, text, ratings.reading, prompt))


def _prompt(case: Case, events: Sequence[Event]) -> str:
    lines = [f"{i}. at {event.frame_times_s[0]:.0f} s: {event.caption}" for i, event in enumerate(events, 1)]
    question = lettered_question(case.question)
    return PROMPT.format(
        duration=case.whole.duration_s, count=len(events), captions="\n".join(lines), question=question
    )


def _found(
    case: Case,
    rounds: Sequence[Round],
    pool: Candidates,
    seen: Seen,
    vectors: np.ndarray,
    branches: int,
    stopped: tuple[str, ...],
) -> Found:
    nodes = [Node("0", 0, (Event(case.whole),))]
    groups: dict[tuple[int, int], list[Pick]] = {}
    for number, done in enumerate(rounds):
        note = "" if done.reply else "each part judged by itself"
        nodes.append(Node(f"0.{number}", 1, done.events, done.reply, note))
    last, parent = rounds[-1], nodes[-1].id
    for i, (members, head, decision) in enumerate(zip(last.clusters, last.heads, last.decisions, strict=True)):
        score = RATINGS[decision.action]
        id = f"{parent}.{i}"
        nodes.append(_node(id, members, head, decision, pool, seen))
        groups.setdefault((-score, 0), []).append(_pick(pool, head, id, score))
        for branch, part in _branches(id, members, vectors, score - NOT_SURE, branches):
            part_head = nearest_to_mean(vectors, part)
            nodes.append(_node(branch, part, part_head, None, pool, seen))
            level = branch.count(".") - id.count(".")
            groups.setdefault((-score, level), []).append(_pick(pool, part_head, branch, score))
    frames = within_budget([groups[key] for key in sorted(groups)], case.timestamps_s, case.config.frames)
    unread = any(decision.reading is Reading.DEFAULT for decision in last.decisions)
    fallbacks = ["unread_relevance"] * unread + ["filled"] * any(frame.node_id is None for frame in frames)
    return Found(frames, by_level(nodes), (*stopped, *fallbacks))


def _branches(
    id: str, members: np.ndarray, vectors: np.ndarray, levels: int, count: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The parts below a cluster, each with its id: it is split ``levels`` times into ``count``."""
    parts = ward(vectors, members, count) if levels else []
    for i, part in enumerate(parts if len(parts) > 1 else []):
        yield f"{id}.{i}", part
        yield from _branches(f"{id}.{i}", part, vectors, levels - 1, count)


def _pick(pool: Candidates, position: int, id: str, score: int) -> Pick:
    return Pick(int(pool.indices[position]), id, float(score))


def _node(id: str, members: np.ndarray, head: int, decision: Decision | None, pool: Candidates, seen: Seen) -> Node:
    """A cluster, as contiguous events; the one with the representative has its caption, if it was captioned."""
    event = seen.events.get((pool.spans[head], 1))
    stretches = np.split(members, np.flatnonzero(np.diff(members) > 1) + 1)
    events = [
        Event(
            Span(pool.spans[part[0]].start_s, pool.spans[part[-1]].end_s),
            *((event.caption, event.frame_times_s) if event and head in part else (None, ())),
        )
        for part in stretches
    ]
    return Node(id, id.count("."), tuple(events), decision)
