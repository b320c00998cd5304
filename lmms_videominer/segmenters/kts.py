"""Kernel temporal segmentation on colours: events whose frames look alike, regardless of the light."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmms_videominer.segmenters.appearance import appearances
from lmms_videominer.segmenters.cuts import split
from lmms_videominer.segmenters.partition import cheapest_partition, scatter
from lmms_videominer.segmenters.scan import boundaries_s, scan
from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video.reader import VideoReader

EVENNESS = 0.004
"""Weight of equal lengths, as a mean squared distance of frames (2.5 if they have nothing in common). It equals
what changes of exposure and compression leave, so it decides only where nothing else does."""


class KTSSegmenter:
    """Splits the spans into the K events whose frames differ least from the mean of their event.

    Kernel temporal segmentation (Potapov et al., "Category-specific video summarization", ECCV 2014) with
    K given, over the same frames that ``histogram`` scans. A cut does not depend on two neighbours alone: a flash is
    one frame that fits nowhere, and isolating it takes two cuts that are worth more elsewhere. In addition,

    - frames are compared by exposure-invariant features (``appearance.embed``): slow changes of exposure and
      fades make no difference, and a black frame has no weight;
    - a running median removes what lasts one scanned frame, or less than ``min_event_s``;
    - static stretches are divided evenly.
    """

    name = "kts"

    def segment(
        self, reader: VideoReader, spans: Sequence[Span], events: int, scan_frames: int, min_event_s: float
    ) -> tuple[Span, ...]:
        """See ``Segmenter.segment``. Spans that touch are merged."""
        union = merge_spans(spans, gap_s=0.0)
        if events < 2 or not union:
            return union
        indices, owners = scan(reader, union, scan_frames)
        vectors, weights = appearances(reader, indices.tolist())
        step_s = sum(span.duration_s for span in union) / len(indices)
        smoothed = without_blips(vectors, owners, blip_frames(min_event_s, step_s, len(indices)))
        cuts_s = boundaries_s(reader, indices)
        lengths_s = event_lengths_s(union, owners, cuts_s)
        costs = scatter(smoothed, weights) + EVENNESS * len(indices) * squared_shares(len(indices))
        costs[(lengths_s <= 0) | (lengths_s < min_event_s)] = np.inf
        begins = cheapest_partition(costs, len(np.unique(owners)) + events - 1)
        return split(union, [float(cuts_s[i - 1]) for i in begins if owners[i - 1] == owners[i]])


def blip_frames(min_event_s: float, step_s: float, frames: int) -> int:
    """How many scanned frames, ``step_s`` apart, a change may last and still be ignored.

    They last less than ``min_event_s``, but there is at least one. It is also one if all ``frames`` last no longer
    than ``min_event_s``, when no cut is possible.
    """
    if step_s * frames <= min_event_s:
        return 1
    return max(1, math.ceil(min_event_s / step_s - 1e-6) - 1)


def without_blips(vectors: np.ndarray, owners: np.ndarray, blip: int) -> np.ndarray:
    """float64 [T, D]: a running median over ``2 * blip + 1`` frames, within each span. Steps keep their place.

    Args:
        vectors: float64 [T, D].
        owners: int64 [T]: the span of each frame.
        blip: Changes that last at most this many frames are removed.
    """
    smoothed = vectors.copy()
    for owner in np.unique(owners):
        members = owners == owner
        span_vectors = vectors[members]
        if len(span_vectors) > 2:  # of two frames, neither is a blip
            padded = np.pad(span_vectors, ((blip, blip), (0, 0)), mode="reflect")
            smoothed[members] = np.median(
                np.lib.stride_tricks.sliding_window_view(padded, 2 * blip + 1, axis=0), axis=-1
            )
    return smoothed


def event_lengths_s(union: Sequence[Span], owners: np.ndarray, cuts_s: np.ndarray) -> np.ndarray:
    """float64 [T, T]: seconds of the event from frame i to frame j; ``inf`` for a whole span, ``-inf`` for no event.

    Args:
        union: The spans.
        owners: int64 [T], ascending: the span of each frame.
        cuts_s: float64 [T - 1]: where a cut between two frames would lie.
    """
    first = np.concatenate([[True], owners[1:] != owners[:-1]])  # [T]
    last = np.concatenate([first[1:], [True]])  # [T]
    starts_s = np.array([union[owner].start_s for owner in owners], float)  # [T]
    ends_s = np.array([union[owner].end_s for owner in owners], float)  # [T]
    starts_s[1:] = np.where(first[1:], starts_s[1:], cuts_s)
    ends_s[:-1] = np.where(last[:-1], ends_s[:-1], cuts_s)
    lengths_s = ends_s[None, :] - starts_s[:, None]
    lengths_s[first[:, None] & last[None, :]] = np.inf
    lengths_s[(owners[:, None] != owners[None, :]) | np.tri(len(owners), k=-1, dtype=bool)] = -np.inf
    return lengths_s


def squared_shares(count: int) -> np.ndarray:
    """float64 [count, count]: squared share of the frames from i to j among all frames."""
    places = np.arange(count)
    return ((places[None, :] - places[:, None] + 1) / count) ** 2
