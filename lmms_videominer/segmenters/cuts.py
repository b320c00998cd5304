"""Chooses cuts among the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lmms_videominer.types import Span

FLAT_DISTANCE = 1e-3
"""Distances below this count as zero: video compression alone causes them between equal pictures."""


@dataclass(frozen=True)
class Candidate:
    """A possible cut, between two neighbouring sampled frames of one span.

    Attributes:
        time_s: Where the boundary would be.
        distance: Distance D_i between the two frames.
        span: The span that it would split.
    """

    time_s: float
    distance: float
    span: Span


def choose_cuts(candidates: Sequence[Candidate], count: int, min_event_s: float) -> list[float]:
    """Times of the ``count`` largest distances, ascending; fewer if there is no room for more.

    Greedy by distance. A candidate is skipped if it would leave less than ``min_event_s`` seconds to the border
    of its span or to an earlier choice. Ties go to the candidate farthest from every border and cut, then to the
    earliest. All distances below ``FLAT_DISTANCE`` tie, so a static stretch is halved repeatedly.
    """
    times_s = np.array([c.time_s for c in candidates])  # [C]
    distances = np.array([c.distance if c.distance >= FLAT_DISTANCE else 0.0 for c in candidates])  # [C]
    room_s = np.array([min(c.time_s - c.span.start_s, c.span.end_s - c.time_s) for c in candidates])  # [C]
    cuts_s: list[float] = []
    while len(cuts_s) < count:
        eligible = np.flatnonzero((room_s > 0) & (room_s >= min_event_s))
        if not eligible.size:
            break
        # lexsort: the last key is the primary one; it is stable, so the earliest of equals stays in front
        best = eligible[np.lexsort((-np.round(room_s[eligible], 6), -distances[eligible]))[0]]
        cuts_s.append(float(times_s[best]))
        room_s = np.minimum(room_s, np.abs(times_s - times_s[best]))
    return sorted(cuts_s)


def split(spans: Sequence[Span], times_s: Sequence[float]) -> tuple[Span, ...]:
    """Split ``spans`` at the times that lie strictly inside one of them; their union stays the same."""
    parts = []
    for span in spans:
        inside = [time_s for time_s in sorted(times_s) if span.start_s < time_s < span.end_s]
        borders = [span.start_s, *inside, span.end_s]
        parts += [Span(start_s, end_s) for start_s, end_s in pairwise(borders)]
    return tuple(parts)
