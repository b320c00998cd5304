"""The method (arXiv 2510.06040): grows a tree of events and keeps the frames of the nodes that the policy accepts.

Level by level, the nodes that continue are segmented, their events are captioned with the question, the captions are
embedded and clustered into children, and the policy decides about the children, down to ``max_depth``.
docs/deviations.md lists every difference from the paper.

A node may also end for another reason than its decision; its ``note`` gives the reason:

- ``"short"``: a root whose video is no longer than ``max(frames, events) * grain_s``, or has no more frames than the
  budget: it is not searched, and none of it is decoded;
- ``"atomic"``: it continues, but its events cannot be cut any shorter;
- ``"max_vlm_calls"``: captioning its events would exceed the tree's limit, so it is not expanded. Cached captions
  count too, so that a warm cache and a cold one give the same tree;
- ``"max_nodes"``: the tree has reached this number of decisions; the node is left undecided, or is decided but not
  expanded.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmms_videominer.config import NO_POLICY, MinerConfig, check_names, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.policy.policy import Part
from lmms_videominer.search.key_frames import frames_seen, kept_nodes, node_key_frames, with_uniform_frames
from lmms_videominer.search.wishes import Caption, Case, Compare, Decide, Embed, Found, Search, Segment
from lmms_videominer.selectors.selector import Calls, Selector, about
from lmms_videominer.types import Action, Event, Node, Span
from lmms_videominer.video import frames_beginning_in

ROUNDING_S = 1e-6  # tolerance: a duration is a sum of inexact floats

Units = tuple[Span, ...]  # the spans of one node that are captioned and clustered


@dataclass(frozen=True)
class VideoMinerSettings:
    """Which frames of the tree are taken."""

    key_frames: str = option(
        "spread",
        "Which frames of accepted parts are taken. spread: evenly spaced ones, as published; seen: first those that "
        "the captioner saw; scored: first those that fit the question by the scorer, of candidate_fps a second.",
    )
    uniform_share: float = option(
        0.0, "Share of the budget, from 0 to 1, that is kept for frames spaced evenly over the whole video."
    )

    def __post_init__(self) -> None:
        check_names([self.key_frames], ("spread", "seen", "scored"), "videominer_key_frames")
        if not 0 <= self.uniform_share <= 1:
            raise ConfigError(f"videominer_uniform_share={self.uniform_share}: must be from 0 to 1")


class VideoMinerSelector(Selector):
    """Key frames from a tree (arXiv 2510.06040, section 3.1)."""

    name = "videominer"
    Settings = VideoMinerSettings

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        names = {"vlm", "policy"}
        if config.clustering != "none":
            names.add("embedder")
        if cls.settings_of(config).key_frames == "scored":
            names.add("scorer")
        return frozenset(names)

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        if covers(config, duration_s):
            return Calls()  # too short for a search
        events = sum(config.events**depth for depth in range(1, config.max_depth + 1))
        captions = min(events * (config.caption_frames if config.clustering == "frame" else 1), config.max_vlm_calls)
        scored = _scored_at_most(config, duration_s) if cls.settings_of(config).key_frames == "scored" else 0
        return Calls(captions, 0 if config.policy == NO_POLICY else min(config.max_nodes, captions), scored)

    def search(self, case: Case) -> Search:
        config = case.config
        short = covers(config, case.video.info.duration_s)
        nodes = [Node("0", 0, (Event(case.whole),), note="short" if short else "")]
        frontier = [] if short else [0]  # positions in ``nodes``
        captioned = decided = 0
        for depth in range(1, config.max_depth + 1):
            if decided >= config.max_nodes:
                _annotate(nodes, frontier, "max_nodes")
                break
            parents: list[tuple[Node, Units]] = []
            for position, units in zip(frontier, (yield from self._units(case, nodes, frontier))):
                if obstacle := _obstacle(nodes[position], units, captioned, config):
                    _annotate(nodes, [position], obstacle)
                else:
                    captioned += len(units)
                    parents.append((nodes[position], units))
            if not parents:
                break
            children = yield from self._children(case, parents)
            open_nodes = range(len(nodes), len(nodes) + min(len(children), config.max_nodes - decided))
            nodes += children
            _annotate(nodes, range(open_nodes.stop, len(nodes)), "max_nodes")
            decided += len(open_nodes)
            yield from _decide(case, nodes, open_nodes)
            frontier = [i for i in open_nodes if _continues(nodes[i])] if depth < config.max_depth else []
        return (yield from _found(case, nodes, self.settings))

    def _units(self, case: Case, nodes: Sequence[Node], frontier: Sequence[int]) -> Generator[Any, Any, list[Units]]:
        """The events of each node of the frontier; with ``clustering=frame``, one part per frame shown of them."""
        if not frontier:
            return []
        cut = yield Segment(tuple(nodes[position].spans for position in frontier))
        if case.config.clustering != "frame":
            return list(cut)
        return [
            tuple(part for event in events for part in _frame_parts(event, case.timestamps_s, case.config))
            for events in cut
        ]

    def _children(self, case: Case, parents: Sequence[tuple[Node, Units]]) -> Generator[Any, Any, list[Node]]:
        """The undecided children of all parents, in order; all are captioned and embedded in one batch."""
        config, clusterer = case.config, self.stages.clusterer
        frames = 1 if config.clustering == "frame" else config.caption_frames
        every_unit = tuple(unit for _, units in parents for unit in units)
        captioned = iter((yield Caption(every_unit, frames, case.question.text)))
        events: list[list[Event]] = [[next(captioned) for _ in units] for _, units in parents]
        captions = [[event.caption or "" for event in siblings] for siblings in events]
        compared = [clusterer.compared(siblings) for siblings in captions]
        texts = tuple(siblings[i] for siblings, chosen in zip(captions, compared) for i in chosen)
        vectors = (yield Embed(texts)) if texts else np.zeros((0, 0), np.float32)
        rows = np.split(vectors, np.cumsum([len(chosen) for chosen in compared])[:-1])
        return [
            child
            for (parent, _), siblings, lines, part in zip(parents, events, captions, rows, strict=True)
            for child in _clusters(parent, siblings, clusterer.cluster(lines, part))
        ]


def covers(config: MinerConfig, duration_s: float) -> bool:
    """Whether uniform frames or events of a video of ``duration_s`` seconds are at most ``grain_s`` apart."""
    return duration_s <= max(config.frames, config.events) * config.grain_s + ROUNDING_S


def _clusters(parent: Node, events: Sequence[Event], clusters: Sequence[Sequence[int]]) -> list[Node]:
    """One child per cluster, with its events in temporal order."""
    return [
        Node(
            f"{parent.id}.{i}",
            parent.depth + 1,
            tuple(sorted((events[m] for m in members), key=lambda event: event.span)),
        )
        for i, members in enumerate(clusters)
    ]


def _decide(case: Case, nodes: list[Node], positions: Sequence[int]) -> Generator[Decide, Any, None]:
    """Let the policy decide about the nodes at ``positions`` in one batch."""
    if not positions:
        return
    parts = tuple(Part(case.question.text, nodes[i].caption, nodes[i].depth, case.config.max_depth) for i in positions)
    decisions = yield Decide(parts, keys=tuple(nodes[i].id for i in positions))
    for i, decision in zip(positions, decisions, strict=True):
        nodes[i] = replace(nodes[i], decision=decision)


def _continues(node: Node) -> bool:
    return node.decision is not None and node.decision.action is Action.CONTINUE


def _annotate(nodes: list[Node], positions: Sequence[int], note: str) -> None:
    for i in positions:
        nodes[i] = replace(nodes[i], note=note)


def _obstacle(node: Node, units: Units, captioned: int, config: MinerConfig) -> str:
    """The note that says why ``node`` cannot be expanded into ``units``; empty if it can."""
    if node.depth and units in (node.spans, tuple(event.span for event in node.events)):
        return "atomic"
    return "max_vlm_calls" if captioned + len(units) > config.max_vlm_calls else ""


def _frame_parts(event: Span, timestamps_s: np.ndarray, config: MinerConfig) -> list[Span]:
    """Up to ``caption_frames`` equal parts of ``event``, none shorter than ``min_event_s`` or one frame."""
    first, stop = frames_beginning_in(timestamps_s, event)
    shortest = event.duration_s / config.min_event_s if config.min_event_s else stop - first
    count = max(1, min(config.caption_frames, stop - first, int(shortest + 1e-6)))
    edges = np.linspace(event.start_s, event.end_s, count + 1).tolist()
    return [Span(start_s, end_s) for start_s, end_s in itertools.pairwise(edges)]


def _found(case: Case, nodes: Sequence[Node], settings: VideoMinerSettings) -> Search:
    kept, fallback = kept_nodes(nodes)
    budget, timestamps_s = case.config.frames, case.timestamps_s
    uniform = round(settings.uniform_share * budget) if kept[0].depth else 0  # the root is the whole video
    values: dict[int, float] = {}
    if kept[0].depth and not fallback and settings.key_frames == "seen":
        values = frames_seen(kept, timestamps_s)
    elif kept[0].depth and not fallback and settings.key_frames == "scored":
        most = _scored_at_most(case.config, sum(node.duration_s for node in kept))
        indices = tuple(frame.frame_index for frame in node_key_frames(kept, timestamps_s, most))
        [scores] = yield Compare(((indices, case.question.text),))
        values = dict(zip(indices, scores.tolist(), strict=True))
    frames = node_key_frames(kept, timestamps_s, budget - uniform, values)
    if settings.key_frames == "scored":
        frames = tuple(replace(frame, score=values.get(frame.frame_index)) for frame in frames)
    return Found(
        with_uniform_frames(frames, timestamps_s, case.whole, uniform), tuple(nodes), (fallback,) if fallback else ()
    )


def _scored_at_most(config: MinerConfig, duration_s: float) -> int:
    """How many frames of parts of ``duration_s`` seconds are compared with the question."""
    return max(config.frames, int(min(about(duration_s * config.candidate_fps), config.scan_frames)))
