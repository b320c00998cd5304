"""Which of the places where a span could be cut become cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lmms_videominer.types import Span

FLAT_DISTANCE = 1e-3
"""Distances below this count as none: video compression alone makes such between equal pictures."""


@dataclass(frozen=True)
class Candidate:
    """A place between two sampled neighbours of one span.

    Attributes:
        time_s: Where the boundary would be.
        distance: D_i of the two frames.
        span: The span that it would divide.
    """

    time_s: float
    distance: float
    span: Span


def choose_cuts(candidates: Sequence[Candidate], count: int, min_event_s: float) -> list[float]:
    """Times of the ``count`` largest distances, ascending; fewer where there is no room for more.

    Greedy by distance. A candidate that would leave less than ``min_event_s`` seconds to the border of
    its span or to a cut made before is passed over. Among equal distances, and all below
    ``FLAT_DISTANCE`` are equal, the one farthest from every border and cut wins, so that a stretch in
    which nothing happens is halved again and again; then the earliest.
    """
    times_s = np.array([c.time_s for c in candidates])  # [C]
    distances = np.array([c.distance if c.distance >= FLAT_DISTANCE else 0.0 for c in candidates])  # [C]
    room_s = np.array([min(c.time_s - c.span.start_s, c.span.end_s - c.time_s) for c in candidates])  # [C]
    chosen: list[float] = []
    while len(chosen) < count:
        open_ = np.flatnonzero((room_s > 0) & (room_s >= min_event_s))
        if not open_.size:
            break
        # lexsort: the last key counts first; it is stable, so the earliest of equals stays in front
        best = open_[np.lexsort((-np.round(room_s[open_], 6), -distances[open_]))[0]]
        chosen.append(float(times_s[best]))
        room_s = np.minimum(room_s, np.abs(times_s - times_s[best]))
    return sorted(chosen)


def split(spans: Sequence[Span], times_s: Sequence[float]) -> tuple[Span, ...]:
    """``spans`` divided at the times that lie strictly inside one of them; their union stays the same."""
    parts = []
    for span in spans:
        inside = [time_s for time_s in sorted(times_s) if span.start_s < time_s < span.end_s]
        borders = [span.start_s, *inside, span.end_s]
        parts += [Span(start_s, end_s) for start_s, end_s in pairwise(borders)]
    return tuple(parts)
