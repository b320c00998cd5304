"""The search of a tree level by level, as published (arXiv 2510.06040, section 3.1).

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
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.search.clustering import Clusterer
from lmms_videominer.search.speech import SILENCE, Speech, heard
from lmms_videominer.search.trees import (
    AUTO,
    Verdicts,
    annotate,
    by_verdict,
    clustered,
    decide,
    describe,
    found,
    judge,
    part_of,
)
from lmms_videominer.search.wishes import Case, Search, Segment
from lmms_videominer.types import ROUNDING_S, Action, Event, Node, Span
from lmms_videominer.video import frames_beginning_in

Units = tuple[Span, ...]  # the spans of one node that are captioned and clustered


def plain(
    case: Case, clusterer: Clusterer, key_frames: str = AUTO, uniform_share: float = 0.0, judges: bool = False
) -> Search:
    """Key frames for one question, level by level.

    Args:
        key_frames, uniform_share: See ``trees.found``.
        judges: The captioner decides about the events that it captions.
    """
    config = case.config
    short = covers(config, case.video.info.duration_s)
    nodes = [Node("0", 0, (Event(case.whole),), note="short" if short else "")]
    frontier = [] if short else [0]  # positions in ``nodes``
    captioned = decided = 0
    speech = SILENCE if short else (yield from heard(case, ()))
    embedded: list[np.ndarray] = []  # the captions so far, by level
    for depth in range(1, config.max_depth + 1):
        if decided >= config.max_nodes:
            annotate(nodes, frontier, "max_nodes")
            break
        parents: list[tuple[Node, Units]] = []
        while frontier:
            # no more nodes are cut than may be captioned
            now, frontier = _split(frontier, max(1, (config.max_vlm_calls - captioned) // config.events))
            if captioned >= config.max_vlm_calls:
                annotate(nodes, now, "max_vlm_calls")
                continue
            for position, units in zip(now, (yield from units_of(case, nodes, now)), strict=True):
                if obstacle := _obstacle(nodes[position], units, captioned, config):
                    annotate(nodes, [position], obstacle)
                else:
                    captioned += len(units)
                    parents.append((nodes[position], units))
        if not parents:
            break
        children, verdicts = yield from _children(case, parents, clusterer, embedded, judges, speech)
        open_nodes = range(len(nodes), len(nodes) + min(len(children), config.max_nodes - decided))
        nodes += children
        annotate(nodes, range(open_nodes.stop, len(nodes)), "max_nodes")
        decided += len(open_nodes)
        undecided = judge(nodes, open_nodes, verdicts)
        yield from decide(case, nodes, undecided, [part_of(case, nodes, i, captioned) for i in undecided])
        frontier = [i for i in open_nodes if nodes[i].has_action(Action.CONTINUE)] if depth < config.max_depth else []
    return (yield from found(case, nodes, key_frames, uniform_share))


def _split(positions: list[int], count: int) -> tuple[list[int], list[int]]:
    return positions[:count], positions[count:]


def units_of(case: Case, nodes: Sequence[Node], frontier: Sequence[int]) -> Generator[Any, Any, list[Units]]:
    """The events of each node of the frontier; with ``clustering=frame``, one part per frame shown of them."""
    cut = yield Segment(tuple(nodes[position].spans for position in frontier))
    if case.config.clustering != "frame":
        return list(cut)
    return [
        tuple(part for event in events for part in _frame_parts(event, case.timestamps_s, case.config))
        for events in cut
    ]


def _children(
    case: Case,
    parents: Sequence[tuple[Node, Units]],
    clusterer: Clusterer,
    embedded: list[np.ndarray],
    judges: bool,
    speech: Speech,
) -> Generator[Any, Any, tuple[list[Node], Verdicts]]:
    """The undecided children of all parents, in order, and the captioner's verdicts if it judges.

    All are captioned and embedded in one batch. The embeddings are added to ``embedded``, which holds those of the
    captions before.
    """
    every_unit = tuple(unit for _, units in parents for unit in units)
    frames, depth = frames_shown(case.config), parents[0][0].depth + 1
    depths = [depth] * len(every_unit)
    described, verdicts = yield from describe(case, every_unit, frames, depths, depths if judges else (), speech)
    captioned = iter(described)
    events: list[list[Event]] = [[next(captioned) for _ in units] for _, units in parents]
    clusters = yield from clustered(clusterer, events, case.question.text, embedded)
    children = [
        Node(f"{parent.id}.{i}", parent.depth + 1, tuple(members))
        for (parent, _), siblings in zip(parents, clusters, strict=True)
        for i, members in enumerate(by_verdict(siblings, verdicts))
    ]
    return children, verdicts


def frames_shown(config: MinerConfig) -> int:
    """How many frames of a unit the captioner is shown."""
    return 1 if config.clustering == "frame" else config.caption_frames


def covers(config: MinerConfig, duration_s: float) -> bool:
    """Whether uniform frames or events of a video of ``duration_s`` seconds are at most ``grain_s`` apart."""
    return duration_s <= max(config.frames, config.events) * config.grain_s + ROUNDING_S


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
