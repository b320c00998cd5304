"""A result as the plain values that a page embeds: all of it, and one line of it for the gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmms_videominer.show.printable import printable
from lmms_videominer.show.view.pictures import Pictures
from lmms_videominer.show.view.shown import NodeReward, Shown
from lmms_videominer.types import Node, Scores, Selection, Span
from lmms_videominer.verdict import chosen_option, in_evidence

MOST_NODES = 3000  # of one result; a page of more answers no click
MOST_SCORES = 1500  # points of a curve, which is narrower in pixels
MOST_LETTERS = 20_000  # of one text


def detail_of(shown: Shown, pictures: Pictures, source: str = "", prompts: bool = True) -> dict[str, Any]:
    """Everything that the page of one result shows.

    Args:
        source: Address of the video as the page sees it; empty if it is not at hand.
        prompts: Include the policy's prompts, the largest part of a tree.
    """
    selection = shown.selection
    question, video = selection.question, selection.video
    detail = {
        "name": shown.name,
        "label": shown.label,
        "kind": shown.kind,
        "group": shown.group,
        "question": question.text,
        "options": list(question.options),
        "answer": selection.answer,
        "chosen": chosen_option(selection.answer, question.options),
        "right": shown.right_option,
        "target": shown.target,
        "correct": shown.correct,
        "video": {
            "name": Path(video.path).name,
            "source": source,
            "duration_s": video.duration_s,
            "size": f"{video.width} × {video.height}",
            "fps": video.average_fps,
            "frames": video.frame_count,
            "backend": video.backend,
            "identity": video.identity,
        },
        "selector": selection.selector,
        "seed": selection.seed,
        "fallbacks": list(selection.fallbacks),
        "evidence": [_pair(span) for span in question.evidence],
        "frames": [
            {
                "t": frame.time_s,
                "index": frame.frame_index,
                "node": frame.node_id,
                "score": frame.score,
                "hit": in_evidence(frame, question.evidence),
            }
            for frame in selection.key_frames
        ],
        "nodes": [_node(node, pictures, shown.rewards, prompts) for node in selection.nodes[:MOST_NODES]],
        "left_out": max(0, len(selection.nodes) - MOST_NODES),
        "why_few": pictures.why_few,
        "scores": _scores(selection.scores),
        "usage": asdict(selection.usage),
        "config": {name: value if isinstance(value, (int, float)) else str(value) for name, value in _flat(selection)},
    }
    return {**_legible(detail), "pictures": {str(index): uri for index, uri in pictures.by_frame.items()}}


def summary_of(shown: Shown) -> dict[str, Any]:
    """What the gallery shows, filters and sorts by."""
    selection, usage = shown.selection, shown.selection.usage
    rewards = list(shown.rewards.values())
    summary = {
        "name": shown.name,
        "label": shown.label,
        "kind": shown.kind,
        "group": shown.group,
        "question": selection.question.text,
        "selector": selection.selector,
        "answer": selection.answer,
        "target": shown.target,
        "correct": shown.correct,
        "video": Path(selection.video.path).name,
        "duration_s": selection.video.duration_s,
        "fallbacks": list(selection.fallbacks),
        "times_s": [frame.time_s for frame in selection.key_frames],
        "accepted": [_pair(span) for span in selection.accepted[:200]],
        "evidence": [_pair(span) for span in selection.question.evidence[:200]],
        "nodes": max(0, len(selection.nodes) - 1),
        "captions": usage.vlm_calls + usage.vlm_calls_cached,
        "decisions": usage.policy_calls + usage.policy_calls_cached,
        "tokens": usage.prompt_tokens + usage.completion_tokens,
        "seconds": sum(usage.seconds.values()),
        "reward": _means(rewards) if rewards else None,
    }
    return _legible(summary)


def _means(rewards: Sequence[NodeReward]) -> dict[str, float]:
    names = ("format", "length", "action", "tree", "total", "advantage")
    means = {name: sum(getattr(reward, name) for reward in rewards) / len(rewards) for name in names}
    return {**means, "decisions": len(rewards)}


def _node(node: Node, pictures: Pictures, rewards: Mapping[str, NodeReward], prompts: bool) -> dict[str, Any]:
    decision, reward = node.decision, rewards.get(node.id)
    return {
        "id": node.id,
        "depth": node.depth,
        "parent": node.parent_id,
        "action": decision.action.value if decision else None,
        "reading": decision.reading.value if decision else None,
        "words": decision.text if decision else "",
        "prompt": decision.prompt if decision and prompts else "",
        "tokens": len(decision.completion_ids) if decision else 0,
        "undecided": node.undecided,
        "note": node.note,
        "spans": [_pair(span) for span in node.spans],
        "events": [
            {
                "span": _pair(event.span),
                "caption": event.told,
                "seen": [[time_s, pictures.frame_at.get(time_s, -1)] for time_s in event.frame_times_s],
            }
            for event in node.events
        ],
        "reward": asdict(reward) if reward else None,
    }


def _scores(scores: Scores | None) -> dict[str, Any] | None:
    """The scores, of each of ``MOST_SCORES`` stretches the highest."""
    if scores is None or not scores.values:
        return None
    count = min(len(scores.values), len(scores.times_s))
    step = -(-count // MOST_SCORES) or 1
    stretches = [range(start, min(start + step, count)) for start in range(0, count, step)]
    best = [max(stretch, key=lambda i: scores.values[i]) for stretch in stretches]
    return {
        "scorer": scores.scorer,
        "text": scores.text,
        "count": count,
        "times_s": [scores.times_s[i] for i in best],
        "values": [scores.values[i] for i in best],
    }


def _flat(selection: Selection) -> list[tuple[str, Any]]:
    """The settings; those of single selectors, which are nested, under ``name.setting``."""
    pairs: list[tuple[str, Any]] = []
    for name, value in selection.config.items():
        if isinstance(value, dict):
            pairs += [(f"{name}.{inner}", of) for inner, of in value.items()]
        else:
            pairs.append((name, value))
    return pairs


def _pair(span: Span) -> list[float]:
    return [span.start_s, span.end_s]


def _legible(value: Any) -> Any:
    """``value`` with every text printable and of bounded length, names included."""
    if isinstance(value, str):
        text = printable(value)
        return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
    if isinstance(value, dict):
        return {printable(name): _legible(item) for name, item in value.items()}
    return [_legible(item) for item in value] if isinstance(value, (list, tuple)) else value
