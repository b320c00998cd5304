"""From a tree to key frames: chooses the nodes to keep and, within the budget, their frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.search.candidates import evenly, fillers
from lmms_videominer.types import Action, KeyFrame, Node, Span
from lmms_videominer.video import frames_beginning_in, frames_shown_at, uniform_times

FALLBACKS = frozenset({"none_accepted", "children_deleted", "all_deleted"})  # of trees that accept nothing


def kept_nodes(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], str | None]:
    """The nodes whose frames are used, and the name of the fallback if no node was accepted.

    The first of these that is not empty:

    1. the accepted nodes;
    2. ``"none_accepted"``: the open leaves, which are neither deleted nor expanded: they continue at the last level,
       are atomic, or were stopped by a limit. All of them are kept, at any depth: a policy that never decides then
       amounts to uniform sampling and does not favour the place where the limit was reached;
    3. ``"children_deleted"``: the deepest nodes that continue; everything below them is deleted;
    4. ``"all_deleted"``: the root, that is, the whole video.

    A root that needed no search (note ``"short"``) is kept as it is, without a fallback: its frames are those of
    ``selector=uniform``. A root that a limit kept from being expanded is an open leaf.
    """
    accepted = _with_action(nodes, Action.ACCEPT)
    if accepted:
        return accepted, None
    parents = {node.parent_id for node in nodes}
    leaves = tuple(node for node in nodes if node.id not in parents and _is_open(node))
    if leaves:
        return leaves, None if leaves[0].note == "short" else "none_accepted"
    continued = tuple(node for node in _with_action(nodes, Action.CONTINUE) if node.depth)
    if continued:
        depth = max(node.depth for node in continued)
        return tuple(node for node in continued if node.depth == depth), "children_deleted"
    return tuple(nodes[:1]), "all_deleted"


def _with_action(nodes: Sequence[Node], action: Action) -> tuple[Node, ...]:
    return tuple(node for node in nodes if node.has_action(action))


def _is_open(node: Node) -> bool:
    return node.decision is None or node.has_action(Action.CONTINUE)


def node_key_frames(
    nodes: Sequence[Node], timestamps_s: np.ndarray, budget: int, values: Mapping[int, float] = {}
) -> tuple[KeyFrame, ...]:
    """``spread_frames`` over the spans of ``nodes``; each frame names its node."""
    pairs = sorted((span, node.id) for node in nodes for span in node.spans)
    return spread_frames([span for span, _ in pairs], timestamps_s, budget, [node_id for _, node_id in pairs], values)


def frames_seen(nodes: Sequence[Node], timestamps_s: np.ndarray) -> dict[int, float]:
    """The frames of ``nodes`` that the captioner saw, all of one value, for ``node_key_frames``."""
    times_s = [time_s for node in nodes for event in node.events for time_s in event.frame_times_s]
    return dict.fromkeys(frames_shown_at(timestamps_s, times_s).tolist(), 1.0)


def with_uniform_frames(
    frames: Sequence[KeyFrame], timestamps_s: np.ndarray, whole: Span, count: int
) -> tuple[KeyFrame, ...]:
    """``frames``, and ``count`` others of the ``whole`` video, or all that it has left, which name no node.

    They are those at the midpoints of ``count`` equal shares; for each that is among ``frames`` already, the middle of
    the longest stretch without a frame.

    Returns:
        Key frames with unique indices, ascending.
    """
    taken = {frame.frame_index: frame for frame in frames}
    total = min(len(taken) + count, len(timestamps_s))
    for frame in spread_frames([whole], timestamps_s, count):
        taken.setdefault(frame.frame_index, frame)
    for i in fillers(taken, len(timestamps_s), total - len(taken)):
        taken[i] = KeyFrame(float(timestamps_s[i]), i)
    return tuple(taken[i] for i in sorted(taken))


def spread_frames(
    spans: Sequence[Span],
    timestamps_s: np.ndarray,
    budget: int,
    node_ids: Sequence[str | None] = (),
    values: Mapping[int, float] = {},
) -> tuple[KeyFrame, ...]:
    """Choose ``min(budget, frames in the spans)`` frames, spread over disjoint spans.

    If there are no more spans than the budget, every span gets a frame, and the rest is divided by duration (largest
    remainder, never more than the span has frames); the frames of a span are those shown at the midpoints of equal
    shares of it. If there are more spans than the budget, the frames are those at the midpoints of ``budget`` equal
    shares of the spans laid end to end. If two midpoints show the same frame, a neighbouring frame replaces one.

    With ``values``, a span has the same number of frames, and gives those first that have a value: the highest first,
    equal ones evenly. The others are the middles of its longest stretches without a frame. If there are more spans than
    the budget, all of them count as one.

    Args:
        spans: Disjoint, in temporal order, in seconds. A span between two frames counts as the frame shown in it.
        timestamps_s: float64 [frame_count], increasing: presentation time of every frame.
        budget: N.
        node_ids: The node of each span; empty for none.
        values: Values of frames that are preferred, by index; those outside the spans do not count.

    Returns:
        Key frames with unique indices, ascending.
    """
    slots = _slots(spans, timestamps_s, node_ids or [None] * len(spans))
    groups = [(slots, budget)]
    if len(slots) <= budget:
        groups = [([slot], int(count)) for slot, count in zip(slots, _shares(slots, budget), strict=True)]
    if any(slot.first <= i < slot.stop for slot in slots for i in values):
        indices = [i for group, count in groups for i in _valued_frames(group, count, values)]
    else:
        indices = [i for group, count in groups for i in _midpoint_frames(group, timestamps_s, count)]
    owners = np.searchsorted([slot.first for slot in slots], indices, side="right") - 1
    return tuple(
        KeyFrame(float(timestamps_s[i]), int(i), slots[owner].node_id) for i, owner in zip(indices, owners, strict=True)
    )


@dataclass(frozen=True)
class _Slot:
    """A span with its available frames ``[first, stop)``, at least one."""

    span: Span
    first: int
    stop: int
    node_id: str | None


def _slots(spans: Sequence[Span], timestamps_s: np.ndarray, node_ids: Sequence[str | None]) -> list[_Slot]:
    """One slot per span, in order, no frame in two slots; a span whose only frame is in another slot gets none."""
    slots: list[_Slot] = []
    for span, node_id in zip(spans, node_ids, strict=True):
        first, stop = frames_beginning_in(timestamps_s, span)
        if first == stop:  # no frame begins in the span: the one before it is shown
            first, stop = max(first - 1, 0), max(first, 1)
        if slots:
            first = max(first, slots[-1].stop)
        if first < stop:
            slots.append(_Slot(span, first, stop, node_id))
    return slots


def _shares(slots: Sequence[_Slot], budget: int) -> np.ndarray:
    """int64 [E], E <= budget: one frame each, the rest by duration, at most all frames of the slot."""
    room = np.array([slot.stop - slot.first for slot in slots], np.int64)
    duration_s = np.array([slot.span.duration_s for slot in slots], np.float64)
    shares = np.ones_like(room)
    for _ in slots:  # a round fills a slot or leaves no rest
        rest = min(budget, int(room.sum())) - int(shares.sum())
        if not rest:
            break
        shares = np.minimum(shares + _largest_remainder(duration_s, shares < room, rest), room)
    return shares


def _largest_remainder(weights: np.ndarray, eligible: np.ndarray, total: int) -> np.ndarray:
    """int64 [E] summing to ``total``, in proportion to ``weights`` among the ``eligible``, which have some."""
    weights = np.where(eligible, weights, 0.0)
    quota = total * (weights / weights.sum())
    parts = np.floor(quota).astype(np.int64)
    remainder = np.where(eligible, quota - parts, -1.0)
    parts[np.argsort(-remainder, kind="stable")[: total - int(parts.sum())]] += 1
    return parts


def _valued_frames(slots: Sequence[_Slot], count: int, values: Mapping[int, float]) -> list[int]:
    """``count`` distinct frames of ``slots``, ascending: those of the highest ``values``, then between those."""
    available = [i for slot in slots for i in range(slot.first, slot.stop)]
    count = min(count, len(available))
    ranked: dict[float, list[int]] = {}
    for position, i in enumerate(available):
        if i in values:
            ranked.setdefault(values[i], []).append(position)
    chosen: list[int] = []
    for value in sorted(ranked, reverse=True):
        equal = ranked[value]
        chosen += [equal[k] for k in evenly(len(equal), count - len(chosen))]
    chosen += fillers(chosen, len(available), count - len(chosen))
    return [available[position] for position in sorted(chosen)]


def _midpoint_frames(slots: Sequence[_Slot], timestamps_s: np.ndarray, count: int) -> list[int]:
    """``count`` distinct frames of ``slots``, ascending: those at or next to the midpoints of equal shares."""
    available = np.concatenate([np.arange(slot.first, slot.stop) for slot in slots])
    count = min(count, len(available))
    if not count:
        return []
    times = uniform_times([slot.span for slot in slots], count)
    frames = frames_shown_at(timestamps_s, times)
    rank = np.arange(count)
    positions = np.searchsorted(available, frames)  # for a frame that began before the span, the first one in the span
    distinct = np.maximum.accumulate(positions - rank) + rank
    return available[np.minimum(distinct, len(available) - count + rank)].tolist()
