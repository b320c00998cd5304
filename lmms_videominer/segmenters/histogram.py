"""The paper's segmentation: cuts where neighbouring gray histograms differ most (arXiv 2510.06040)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmms_videominer.segmenters.cuts import Candidate, choose_cuts, split
from lmms_videominer.segmenters.distance import bhattacharyya_distances
from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.video.timing import frame_indices_at, uniform_times


class HistogramSegmenter:
    """Samples frames uniformly over the spans and cuts at the K-1 largest Bhattacharyya distances.

    Only neighbours within one span are compared. A boundary lies halfway between the timestamps of the
    two frames, which halves the worst error of a sparse scan; where they are neighbours in the
    video as well it is the later one's timestamp, exactly. Ties, static stretches and short events:
    see ``choose_cuts``.
    """

    name = "histogram"

    def segment(
        self, reader: VideoReader, spans: Sequence[Span], events: int, scan_frames: int, min_event_s: float
    ) -> tuple[Span, ...]:
        """As ``Segmenter.segment``; spans that touch are one.

        Args:
            reader: The video.
            spans: What to cut, inside the video.
            events: K: at most ``K - 1`` cuts are made.
            scan_frames: Frames compared, over all spans together; fewer where there are no more.
            min_event_s: No cut leaves an event shorter than this, in seconds.

        Raises:
            VideoError: A frame of the scan cannot be decoded.
        """
        union = merge_spans(spans, gap_s=0.0)
        if events < 2 or not union:
            return union
        indices, owners = _scan(reader, union, scan_frames)
        distances = bhattacharyya_distances(reader.gray_histograms(indices.tolist()))
        candidates = _candidates(reader, union, indices, owners, distances)
        return split(union, choose_cuts(candidates, events - 1, min_event_s))


def _scan(reader: VideoReader, union: Sequence[Span], scan_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames to compare, ascending and unique [T], and the number of the span of each [T]."""
    times_s = uniform_times(union, scan_frames)
    owners = np.searchsorted([span.start_s for span in union], times_s, side="right") - 1
    indices, first_at = np.unique(frame_indices_at(reader, times_s), return_index=True)
    return indices, owners[first_at]


def _candidates(
    reader: VideoReader, union: Sequence[Span], indices: np.ndarray, owners: np.ndarray, distances: np.ndarray
) -> list[Candidate]:
    times_s = reader.timestamps_s[indices]
    found = []
    for i in np.flatnonzero(owners[:-1] == owners[1:]):
        adjacent = indices[i + 1] - indices[i] == 1
        time_s = times_s[i + 1] if adjacent else (times_s[i] + times_s[i + 1]) / 2
        found.append(Candidate(float(time_s), float(distances[i]), union[owners[i]]))
    return found
