"""The paper's segmentation: cuts where neighbouring gray histograms differ most (arXiv 2510.06040)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmms_videominer.segmenters.cuts import Candidate, choose_cuts, split
from lmms_videominer.segmenters.distance import bhattacharyya_distances
from lmms_videominer.segmenters.scan import boundaries_s, scan
from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video.reader import VideoReader


class HistogramSegmenter:
    """Samples frames uniformly over the spans and cuts at the K-1 largest Bhattacharyya distances.

    Only neighbours within one span are compared. See ``boundaries_s`` for where a boundary between them lies,
    and ``choose_cuts`` for ties, static stretches and short events.
    """

    name = "histogram"

    def segment(
        self, reader: VideoReader, spans: Sequence[Span], events: int, scan_frames: int, min_event_s: float
    ) -> tuple[Span, ...]:
        """See ``Segmenter.segment``. Spans that touch are merged."""
        union = merge_spans(spans, gap_s=0.0)
        if events < 2 or not union:
            return union
        indices, owners = scan(reader, union, scan_frames)
        distances = bhattacharyya_distances(reader.gray_histograms(indices.tolist()))
        candidates = _candidates(reader, union, indices, owners, distances)
        return split(union, choose_cuts(candidates, events - 1, min_event_s))


def _candidates(
    reader: VideoReader, union: Sequence[Span], indices: np.ndarray, owners: np.ndarray, distances: np.ndarray
) -> list[Candidate]:
    times_s = boundaries_s(reader, indices)
    return [
        Candidate(float(times_s[i]), float(distances[i]), union[owners[i]])
        for i in np.flatnonzero(owners[:-1] == owners[1:])
    ]
