"""The steps that every search of a tree shares: events become clusters, clusters nodes, and the policy decides."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.policy import Part
from lmms_videominer.search.clustering import Clusterer
from lmms_videominer.search.context import context_of
from lmms_videominer.search.key_frames import frames_seen, kept_nodes, node_key_frames, with_uniform_frames
from lmms_videominer.search.wishes import Case, Compare, Decide, Embed, Found, Search
from lmms_videominer.types import Event, Node
from lmms_videominer.vlm.prompts import PLAIN_TOPIC

AUTO = "auto"  # value of ``key_frames``


def clustered(
    clusterer: Clusterer, groups: Sequence[Sequence[Event]], question: str, embedded: list[np.ndarray]
) -> Generator[Embed, Any, list[list[list[Event]]]]:
    """The clusters of each group of events, each in temporal order; the captions are embedded in one batch.

    The embeddings are added to ``embedded``, which holds those of the tree's captions before.
    """
    captions = [[event.caption or "" for event in group] for group in groups]
    compared = [clusterer.compared(lines) for lines in captions]
    texts = tuple(
        clusterer.compared_text(lines[i], question) for lines, chosen in zip(captions, compared) for i in chosen
    )
    vectors = (yield Embed(texts)) if texts else np.zeros((0, 0), np.float32)
    rows = np.split(vectors, np.cumsum([len(chosen) for chosen in compared])[:-1])
    embedded += [vectors] if texts else []
    common = np.concatenate(embedded).mean(axis=0) if embedded else np.zeros(0, np.float32)
    return [
        [
            sorted((group[m] for m in members), key=lambda event: event.span)
            for members in clusterer.cluster(lines, part, common)
        ]
        for group, lines, part in zip(groups, captions, rows, strict=True)
    ]


def topic_at(case: Case, depth: int) -> str:
    """What the captioner is asked about events at ``depth``: the question, or, in the index, what all questions share.

    Args:
        depth: That of the nodes that the events will form: 1 at the first level.
    """
    return PLAIN_TOPIC if depth <= case.config.index else case.question.text


def decide(
    case: Case, nodes: list[Node], positions: Sequence[int], parts: Sequence[Part]
) -> Generator[Decide, Any, None]:
    """Let the policy decide about the nodes at ``positions``, put to it as ``parts``, in one batch.

    Up to ``parts_per_decision`` of them are put to it at once.
    """
    if not positions:
        return
    at_once = case.config.parts_per_decision
    groups = [range(start, min(start + at_once, len(parts))) for start in range(0, len(parts), at_once)]
    put = tuple(replace(parts[group[0]], beside=tuple(parts[k] for k in group[1:])) for group in groups)
    decisions = yield Decide(put, keys=tuple("+".join(nodes[positions[k]].id for k in group) for group in groups))
    for i, decision in zip(positions, decisions, strict=True):
        nodes[i] = replace(nodes[i], decision=decision)


def part_of(case: Case, nodes: Sequence[Node], position: int, captioned: int, last: bool = False) -> Part:
    """The node at ``position`` as it is put to the policy.

    Args:
        nodes: The tree so far.
        captioned: Number of captions so far.
        last: No closer look at the node can follow, whatever its depth.
    """
    node, deepest = nodes[position], case.config.max_depth
    context = context_of(case, node, nodes, captioned) if case.config.policy_context else ()
    depth, reasoning = deepest if last else node.depth, case.config.policy_reasoning
    return Part(case.question.text, node.caption, depth, deepest, context, reasoning)


def annotate(nodes: list[Node], positions: Sequence[int], note: str) -> None:
    for i in positions:
        nodes[i] = replace(nodes[i], note=note)


def found(case: Case, nodes: Sequence[Node], key_frames: str = AUTO, uniform_share: float = 0.0) -> Search:
    """The result of a tree.

    Args:
        nodes: Root first, then by level and order.
        key_frames: Which frames of accepted parts are preferred: ``spread``, ``seen`` or ``scored``.
        uniform_share: Share of the budget for frames of the whole video.
    """
    kept, fallback = kept_nodes(nodes)
    timestamps_s, is_part = case.timestamps_s, bool(kept[0].depth)
    uniform = round(uniform_share * case.config.frames) if is_part else 0  # the root is the whole video
    values: dict[int, float] = {}
    if is_part and not fallback and key_frames == "seen":
        values = frames_seen(kept, timestamps_s)
    elif is_part and not fallback and key_frames == "scored":
        most = scored_at_most(case.config, sum(node.duration_s for node in kept))
        indices = tuple(frame.frame_index for frame in node_key_frames(kept, timestamps_s, most))
        [scores] = yield Compare(((indices, case.question.text),))
        values = dict(zip(indices, scores.tolist(), strict=True))
    frames = node_key_frames(kept, timestamps_s, case.config.frames - uniform, values)
    if values and key_frames == "scored":
        frames = tuple(replace(frame, score=values.get(frame.frame_index)) for frame in frames)
    frames = with_uniform_frames(frames, timestamps_s, case.whole, uniform)
    return Found(frames, tuple(nodes), (fallback,) if fallback else ())


def scored_at_most(config: MinerConfig, duration_s: float) -> int:
    """How many frames of parts of ``duration_s`` seconds are compared with the question for ``key_frames=scored``."""
    count = min(duration_s * config.candidate_fps, config.scan_frames)
    return max(config.frames, round(count))
