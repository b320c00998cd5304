"""One level of many trees, stage by stage: segment, caption, cluster, decide. ``tree`` runs them in turn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoError
from lmms_videominer.models.embedder import CachedEmbedder
from lmms_videominer.policy.cached import CachedPolicy, count_completion
from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.policy.policy import PolicyCompletion
from lmms_videominer.policy.prompt import policy_prompt
from lmms_videominer.search.captions import CaptionJob, caption_events
from lmms_videominer.search.seeds import seed_of
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.types import Action, Decision, Event, Node, Question, Span, Usage, VideoInfo
from lmms_videominer.video import frames_beginning_in
from lmms_videominer.video.opening import OpenVideo


@dataclass
class Growth:
    """A tree while it grows.

    Attributes:
        question, seed: Those of its job.
        nodes: All nodes so far.
        frontier: Positions in ``nodes`` of those to expand at the next level.
        calls: Captions asked for so far, found in the cache or made.
        decided: Decisions so far.
        error: Why the video cannot be read; the tree is then given up.
        video: The open video, and ``timestamps_s`` of its frames, float64 [frame_count]; set by ``start``.
    """

    question: Question
    seed: int = 0
    nodes: list[Node] = field(default_factory=list)
    frontier: list[int] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    decided: int = 0
    error: VideoError | None = None
    video: OpenVideo = field(init=False)
    timestamps_s: np.ndarray = field(init=False)

    def start(self, video: OpenVideo | VideoError, config: MinerConfig) -> None:
        """Plant the root over the whole video."""
        if isinstance(video, VideoError):
            return self.fail(video)
        try:
            self.video, self.timestamps_s = video, video.reader.timestamps_s
        except VideoError as error:
            return self.fail(error)
        short = needs_no_search(video.info, config)
        self.nodes = [Node("0", 0, (Event(Span(0.0, video.info.duration_s)),), note="short" if short else "")]
        self.frontier = [] if short else [0]

    def fail(self, error: VideoError) -> None:
        self.error, self.frontier = error, []

    def annotate(self, position: int, note: str) -> None:
        self.nodes[position] = replace(self.nodes[position], note=note)


def needs_no_search(video: VideoInfo, config: MinerConfig) -> bool:
    """Whether uniform frames will do: the budget holds every frame, or ``config`` covers the video without a tree.

    Told from the file's index, before a frame is decoded.
    """
    return video.frame_count <= config.frames or config.covers(video.duration_s)


@dataclass
class Expansion:
    """A node about to get children: the spans that its segmentation gave, and their events once captioned."""

    growth: Growth
    parent: Node
    spans: tuple[Span, ...]
    events: tuple[Event, ...] = ()


def segment(growth: Growth, stages: Stages, config: MinerConfig) -> list[Expansion]:
    """The expansions of one tree's frontier; a node that has none is annotated with the reason."""
    frontier, growth.frontier = growth.frontier, []
    expansions = []
    try:
        for position in frontier:
            node = growth.nodes[position]
            spans = () if growth.decided >= config.max_nodes else _units_of(node, growth, stages, config)
            if obstacle := _obstacle(growth, node, spans, config):
                growth.annotate(position, obstacle)
            else:
                growth.calls += len(spans)
                expansions.append(Expansion(growth, node, spans))
    except VideoError as error:
        growth.fail(error)
        return []
    return expansions


def _obstacle(growth: Growth, node: Node, spans: tuple[Span, ...], config: MinerConfig) -> str:
    """Why ``node`` is not expanded into ``spans``: a note, empty where nothing is in the way."""
    if growth.decided >= config.max_nodes:
        return "max_nodes"
    if node.depth and spans in (node.spans, tuple(event.span for event in node.events)):
        return "atomic"
    return "max_vlm_calls" if growth.calls + len(spans) > config.max_vlm_calls else ""


def _units_of(node: Node, growth: Growth, stages: Stages, config: MinerConfig) -> tuple[Span, ...]:
    """What is captioned and clustered: the events of ``node``; with ``clustering=frame``, the frames shown of them."""
    events = _events_of(node, growth.video, stages, config)
    if config.clustering != "frame":
        return events
    return tuple(part for event in events for part in _frame_parts(event, growth.timestamps_s, config))


def _frame_parts(event: Span, timestamps_s: np.ndarray, config: MinerConfig) -> list[Span]:
    """``event`` in equal parts, ``caption_frames`` where it is long enough: none below ``min_event_s`` or a frame."""
    first, stop = frames_beginning_in(timestamps_s, event)
    shortest = event.duration_s / config.min_event_s if config.min_event_s else stop - first
    count = max(1, min(config.caption_frames, stop - first, int(shortest + 1e-6)))
    edges = np.linspace(event.start_s, event.end_s, count + 1).tolist()
    return [Span(start_s, end_s) for start_s, end_s in itertools.pairwise(edges)]


def _events_of(node: Node, video: OpenVideo, stages: Stages, config: MinerConfig) -> tuple[Span, ...]:
    """Segment the spans of ``node``; what was cut before, for another tree or in another run, is not cut again."""
    how: dict[str, Any] = {name: getattr(config, name) for name in ("events", "scan_frames", "min_event_s")}
    key = stages.cache.key(
        video=video.identity,
        backend=video.info.backend,
        segmenter=stages.segmenter.name,
        spans=[[span.start_s, span.end_s] for span in node.spans],
        **how,
    )
    stored = stages.cache.get_many("segmentation", [key])[0]
    if stored is not None:
        return tuple(Span(*pair) for pair in stored)
    spans = stages.segmenter.segment(video.reader, node.spans, **how)
    stages.cache.put_many("segmentation", {key: [[span.start_s, span.end_s] for span in spans]})
    return spans


def caption(expansions: Sequence[Expansion], stages: Stages, config: MinerConfig) -> list[Expansion]:
    """Caption the events of all expansions in one call; those of a video that cannot be read are dropped."""
    jobs = [
        CaptionJob(e.growth.video.reader, e.growth.video.identity, e.growth.question.text, e.spans) for e in expansions
    ]
    if not jobs:
        return []
    vlm = needed(stages.vlm, "video LLM")
    frames = 1 if config.clustering == "frame" else config.caption_frames
    results = caption_events(jobs, vlm, stages.cache, frames, config.caption_tokens)
    for expansion, captioned in zip(expansions, results, strict=True):
        if isinstance(captioned, VideoError):
            expansion.growth.fail(captioned)
            continue
        expansion.events = captioned.events
        usage = expansion.growth.usage
        usage.vlm_calls += captioned.made
        usage.vlm_calls_cached += captioned.cached
        usage.frames_decoded += captioned.frames_decoded
    return [expansion for expansion in expansions if expansion.growth.error is None]


def cluster(expansions: Sequence[Expansion], stages: Stages) -> list[tuple[Growth, Node]]:
    """The children of all expansions, in order, undecided; captions are embedded in one call."""
    captions = [event.caption or "" for expansion in expansions for event in expansion.events]
    embed = _LevelEmbedder(captions, stages)
    children = []
    for expansion in expansions:
        embed.usage = expansion.growth.usage
        clusters = stages.clusterer.cluster([event.caption or "" for event in expansion.events], embed)
        for i, members in enumerate(clusters):
            events = tuple(sorted((expansion.events[m] for m in members), key=lambda event: event.span))
            child = Node(f"{expansion.parent.id}.{i}", expansion.parent.depth + 1, events)
            children.append((expansion.growth, child))
    return children


class _LevelEmbedder:
    """Vectors of captions; the first one asked for brings those of the whole level, in one batch.

    Attributes:
        usage: Where the texts asked for are counted.
    """

    usage: Usage

    def __init__(self, captions: Sequence[str], stages: Stages):
        self._captions = list(dict.fromkeys(caption for caption in captions if caption.strip()))
        self._stages = stages
        self._vectors: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), d], L2-normalised."""
        if not self._vectors:
            embedder = CachedEmbedder(needed(self._stages.embedder, "embedder"), self._stages.cache)
            self._vectors = dict(zip(self._captions, embedder.embed(self._captions), strict=True))
        self.usage.embeddings += len(texts)
        return np.stack([self._vectors[text] for text in texts])


def add(growth: Growth, child: Node, config: MinerConfig) -> tuple[Growth, int] | None:
    """Put ``child`` into its tree; where it is to be decided. ``None``: the limit on nodes forbids it."""
    growth.nodes.append(child)
    position = len(growth.nodes) - 1
    if growth.decided >= config.max_nodes:
        growth.annotate(position, "max_nodes")
        return None
    growth.decided += 1
    return growth, position


def decide(pending: Sequence[tuple[Growth, int]], depth: int, stages: Stages, config: MinerConfig) -> None:
    """Decide all of ``pending`` in one call of the policy; those that continue become the new frontiers."""
    nodes = [growth.nodes[position] for growth, position in pending]
    prompts = [
        policy_prompt(growth.question.text, node.caption, depth, config.max_depth)
        for (growth, _), node in zip(pending, nodes, strict=True)
    ]
    seeds = [
        seed_of(growth.seed, node.id, prompt) for (growth, _), node, prompt in zip(pending, nodes, prompts, strict=True)
    ]
    completions = CachedPolicy(needed(stages.policy, "policy"), stages.cache).decide(prompts, config.temperature, seeds)
    default = Action(config.default_action)
    for (growth, position), prompt, completion in zip(pending, prompts, completions, strict=True):
        decision = _decision(prompt, completion, default)
        growth.nodes[position] = replace(growth.nodes[position], decision=decision)
        count_completion(growth.usage, completion)
        if decision.action is Action.CONTINUE and depth < config.max_depth:
            growth.frontier.append(position)


def _decision(prompt: str, completion: PolicyCompletion, default: Action) -> Decision:
    action, reading = parse_completion(completion.text, default)
    return Decision(action, completion.text, reading, prompt, completion.prompt_ids, completion.completion_ids)
