"""The frames that a search may choose from, and the step from its ranking to exactly the budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.types import KeyFrame, Span
from lmms_videominer.video import frames_shown_at

CANDIDATE_FPS = 1.0  # as in the published methods
ROUNDED = 6  # decimal places of the scores in a result
EQUAL = 1e-6  # difference of scores that are equal: a batch changes float32 cosines by 1e-7 (docs/search.md)


@dataclass(frozen=True)
class Candidates:
    """Distinct frames, ascending, each representing an equal share of the video.

    Attributes:
        spans: The shares in seconds, disjoint, in temporal order. The frame of a share is the one shown at its middle.
        indices: int64 [n]: indices of the frames.
    """

    spans: tuple[Span, ...]
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.spans)


def candidates(whole: Span, timestamps_s: np.ndarray, most: int, every_s: float = 1 / CANDIDATE_FPS) -> Candidates:
    """One candidate every ``every_s`` seconds, thinned evenly to ``most``; at least one.

    If two shares show the same frame, the later share is left out.

    Args:
        whole: The span of the video.
        timestamps_s: float64 [frame_count].
    """
    count = min(max(1, round(whole.duration_s / every_s)), most)
    edges = np.linspace(whole.start_s, whole.end_s, count + 1)
    middles = frames_shown_at(timestamps_s, (edges[:-1] + edges[1:]) / 2)
    indices, first = np.unique(middles, return_index=True)
    return Candidates(tuple(Span(float(edges[i]), float(edges[i + 1])) for i in first), indices)


def evenly(count: int, most: int) -> list[int]:
    """``min(count, most)`` distinct positions in ``range(count)``, at the midpoints of equal shares, ascending."""
    shares = min(count, most)
    return [int((2 * i + 1) * count / (2 * shares)) for i in range(shares)]


@dataclass(frozen=True)
class Pick:
    """A frame that a search proposes as a key frame, with its node and its score."""

    frame_index: int
    node_id: str | None = None
    score: float | None = None


def within_budget(groups: Iterable[Sequence[Pick]], timestamps_s: np.ndarray, budget: int) -> tuple[KeyFrame, ...]:
    """Exactly ``budget`` key frames, or all frames of the video if it has fewer.

    Groups are taken whole, the most important first; the first one that does not fit is thinned evenly in temporal
    order. A frame counts once, in its first group. If all groups together have fewer frames than the budget, the
    middles of the longest stretches without a key frame are added; these key frames have no node and no score.

    Args:
        groups: From the most to the least important.
        timestamps_s: float64 [frame_count].
        budget: N.
    """
    taken: dict[int, Pick] = {}
    for group in groups:
        new = sorted({pick.frame_index: pick for pick in reversed(group)}.values(), key=lambda pick: pick.frame_index)
        new = [pick for pick in new if pick.frame_index not in taken]
        taken.update((new[i].frame_index, new[i]) for i in evenly(len(new), budget - len(taken)))
    for index in fillers(taken, len(timestamps_s), budget - len(taken)):
        taken[index] = Pick(index)
    return tuple(KeyFrame(float(timestamps_s[i]), i, taken[i].node_id, taken[i].score) for i in sorted(taken))


def fillers(chosen: Iterable[int], frame_count: int, most: int) -> list[int]:
    """``most`` further frames, or all that are left: each the middle of the longest stretch without a frame so far.

    If no frame is chosen yet, the frames at the midpoints of equal shares. Of equal stretches, the earlier is used.
    """
    taken = sorted(set(chosen))
    if not taken:
        return evenly(frame_count, most)
    added = []
    for _ in range(min(most, frame_count - len(taken))):
        edges = np.array([-1, *taken, frame_count])
        gap = int(np.argmax(np.diff(edges)))
        added.append(int(edges[gap] + edges[gap + 1]) // 2)
        taken.insert(gap, added[-1])
    return added


def levels(scores: np.ndarray) -> np.ndarray:
    """int64 [n]: the order of ``scores``, [n], from 0 for the lowest; neighbours that are ``EQUAL`` share a place."""
    order = np.argsort(scores, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.cumsum(np.diff(scores[order], prepend=scores[order[:1]]) > EQUAL)
    return places


def top(scores: np.ndarray, budget: int) -> np.ndarray:
    """int64 [min(budget, n)], ascending: positions of the highest ``scores``, [n]; of equal scores, the earlier."""
    return np.sort(np.argsort(-np.asarray(scores, np.float64), kind="stable")[:budget])
