"""The steps that every search of a tree shares: events become clusters, clusters nodes, and the policy decides."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from lmms_videominer.config import ASK, MinerConfig
from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompt import judge_prompt
from lmms_videominer.profiling import stage
from lmms_videominer.search.candidates import levels
from lmms_videominer.search.clustering import Clusterer
from lmms_videominer.search.context import context_of
from lmms_videominer.search.key_frames import frames_seen, kept_nodes, node_key_frames, with_uniform_frames
from lmms_videominer.search.speech import SILENCE, Speech
from lmms_videominer.search.wishes import Caption, Case, Compare, Decide, Embed, Found, Judge, Search
from lmms_videominer.types import Action, Decision, Event, Node, Reading, Span
from lmms_videominer.vlm.prompts import PLAIN_TOPIC, caption_prompt, with_said

AUTO = "auto"  # value of ``key_frames``
Verdicts: TypeAlias = "dict[Event, Decision]"  # the captioner's, by event


def describe(
    case: Case,
    spans: Sequence[Span],
    frames: int,
    depths: Sequence[int],
    judged: Sequence[int] = (),
    speech: Speech = SILENCE,
) -> Generator[Caption, Any, tuple[tuple[Event, ...], Verdicts]]:
    """The captioned events of ``spans``, in order, and the captioner's verdicts on them.

    Args:
        frames: How many frames of each the captioner is shown.
        depths: The depth of the node that each will belong to: up to ``index`` captions are plain.
        judged: If the captioner is to judge, the depth that it is told of each span; empty: there are no verdicts.
        speech: What is said in the video: the captioner is told of it, and the events are.

    Returns:
        With ``default_action=ask``, no verdict on an event whose reply names no action: the policy is asked instead.
    """
    question, config = case.question.text, case.config
    if not judged:
        plain = [depth <= config.index for depth in depths]
        prompted = speech if case.captioner_reads else SILENCE
        said = [prompted.said(span, shared) for span, shared in zip(spans, plain, strict=True)]
        topics = [PLAIN_TOPIC if shared else question for shared in plain]
        prompts = [caption_prompt(topic, words) for topic, words in zip(topics, said, strict=True)]
        captioned = yield Caption(tuple(spans), frames, tuple(prompts))
        # the policy knows the question: it is told what is said about that, also beside a plain caption
        return tuple(replace(e, said=speech.said(e.span)) for e in captioned) if speech.cues else captioned, {}
    said = [speech.said(span) for span in spans]
    asked = [judge_prompt(question, depth, config.max_depth) for depth in judged]
    if case.captioner_reads:
        asked = [with_said(prompt, words) for prompt, words in zip(asked, said, strict=True)]
    replies = yield Judge(tuple(spans), frames, tuple(asked))
    if speech.cues:
        replies = tuple((replace(e, said=words), verdict) for (e, verdict), words in zip(replies, said, strict=True))
    asks = config.default_action == ASK
    verdicts = {event: verdict for event, verdict in replies if not asks or verdict.reading is not Reading.DEFAULT}
    return tuple(event for event, _ in replies), verdicts


def clustered(
    clusterer: Clusterer, groups: Sequence[Sequence[Event]], question: str, embedded: list[np.ndarray]
) -> Generator[Embed, Any, list[list[list[Event]]]]:
    """The clusters of each group of events, each in temporal order; the captions are embedded in one batch.

    The embeddings are added to ``embedded``, which holds those of the tree's captions before.
    """
    captions = [[event.told for event in group] for group in groups]
    compared = [clusterer.compared(lines) for lines in captions]
    texts = tuple(
        clusterer.compared_text(lines[i], question) for lines, chosen in zip(captions, compared) for i in chosen
    )
    vectors = (yield Embed(texts)) if texts else np.zeros((0, 0), np.float32)
    rows = np.split(vectors, np.cumsum([len(chosen) for chosen in compared])[:-1])
    embedded += [vectors] if texts else []
    common = np.concatenate(embedded).mean(axis=0) if embedded else np.zeros(0, np.float32)
    with stage("cluster", sum(map(len, groups))):
        return [
            [
                sorted((group[m] for m in members), key=lambda event: event.span)
                for members in clusterer.cluster(lines, part, common)
            ]
            for group, lines, part in zip(groups, captions, rows, strict=True)
        ]


def by_verdict(clusters: Sequence[Sequence[Event]], verdicts: Verdicts) -> list[list[Event]]:
    """``clusters``, each divided so that the events of a part have the same verdict, or none.

    A node has one decision. The most inclusive verdict of its events would overrule the others: frames of a deleted
    event would take places among the key frames, and its pieces would be captioned again. Nothing would be saved by
    that, since these verdicts are there already, whereas the policy is asked once a cluster.
    """
    divided: list[list[Event]] = []
    for events in clusters:
        parts: dict[Action | None, list[Event]] = {}
        for event in events:
            parts.setdefault(verdicts[event].action if event in verdicts else None, []).append(event)
        divided += parts.values()
    return divided


def judge(nodes: list[Node], positions: Iterable[int], verdicts: Verdicts) -> list[int]:
    """Give the nodes at ``positions`` the verdict on their events; returns those that have none."""
    undecided = []
    for i in positions:
        if made := [verdicts[event] for event in nodes[i].events if event in verdicts]:
            nodes[i] = replace(nodes[i], decision=_joined(made))
        else:
            undecided.append(i)
    return undecided


def _joined(verdicts: Sequence[Decision]) -> Decision:
    """Verdicts of one action as one decision, with the weakest reading."""
    replies = "\n".join(dict.fromkeys(verdict.text for verdict in verdicts))
    prompts = "\n".join(dict.fromkeys(verdict.prompt for verdict in verdicts))  # they differ in the depth at most
    weakest = max((verdict.reading for verdict in verdicts), key=list(Reading).index)
    return Decision(verdicts[0].action, replies, weakest, prompts)


def decide(
    case: Case, nodes: list[Node], positions: Sequence[int], parts: Sequence[Part]
) -> Generator[Decide, Any, None]:
    """Let the policy decide about the nodes at ``positions``, put to it as ``parts``, in one batch.

    Up to ``parts_per_decision`` of them are put to it at once. Then the tree has grown, also where the captioner has
    decided about all of it before: ``case.grown`` is told.
    """
    if positions:
        yield from _decided(case, nodes, positions, parts)
    if case.grown is not None:
        case.grown(nodes)


def _decided(
    case: Case, nodes: list[Node], positions: Sequence[int], parts: Sequence[Part]
) -> Generator[Decide, Any, None]:
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
    scores: dict[int, float] = {}
    if is_part and not fallback and key_frames == "seen":
        values = frames_seen(kept, timestamps_s)
    elif is_part and not fallback and key_frames == "scored":
        most = scored_at_most(case.config, sum(node.duration_s for node in kept))
        indices = tuple(frame.frame_index for frame in node_key_frames(kept, timestamps_s, most))
        [fits] = yield Compare(((indices, case.question.text),))
        scores = dict(zip(indices, fits.tolist(), strict=True))
        values = dict(zip(indices, levels(fits).tolist(), strict=True))
    frames = node_key_frames(kept, timestamps_s, case.config.frames - uniform, values)
    if scores:
        frames = tuple(replace(frame, score=scores.get(frame.frame_index)) for frame in frames)
    frames = with_uniform_frames(frames, timestamps_s, case.whole, uniform)
    return Found(frames, tuple(nodes), (fallback,) if fallback else ())


def scored_at_most(config: MinerConfig, duration_s: float) -> int:
    """How many frames of parts of ``duration_s`` seconds are compared with the question for ``key_frames=scored``."""
    count = min(duration_s * config.candidate_fps, config.scan_frames)
    return max(config.frames, round(count))
