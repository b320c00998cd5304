from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.videos import CUTS_S

from lmms_videominer.segmenters import get_segmenter
from lmms_videominer.types import Span
from lmms_videominer.video import open_video

HOW = {"events": 16, "scan_frames": 256, "min_event_s": 0.5}


def segment(path: Path, spans: list[Span] | None = None, **how: float) -> tuple[Span, ...]:
    with open_video(path) as reader:
        spans = spans or [Span(0, reader.info.duration_s)]
        return get_segmenter("histogram").segment(reader, spans, **HOW | how)


def borders(parts: tuple[Span, ...]) -> list[float]:
    return [part.start_s for part in parts[1:]]


def test_hard_cuts_are_found_to_the_frame(cuts_video: Path):
    parts = segment(cuts_video, events=4)
    assert borders(parts) == pytest.approx(CUTS_S, abs=1e-6)
    assert (parts[0].start_s, parts[-1].end_s) == (0, pytest.approx(5.2))


def test_a_sparse_scan_finds_hard_cuts_within_half_its_step(cuts_video: Path):
    parts = segment(cuts_video, events=4, scan_frames=13)  # a frame every 0.4 s
    assert len(parts) == 4
    assert np.abs(np.array(borders(parts)) - CUTS_S).max() <= 0.2 + 1e-6


def test_fewer_events_keep_the_cuts_of_largest_distance(cuts_video: Path):
    """Plain scenes have disjoint histograms: all distances are infinite, so even division decides."""
    assert borders(segment(cuts_video, events=2)) == pytest.approx([2.6], abs=1e-6)


def test_only_neighbours_in_one_span_are_compared(cuts_video: Path):
    spans = [Span(0.2, 0.8), Span(3.0, 3.8)]  # one scene in each: the change lies in the gap
    parts = segment(cuts_video, spans, events=2, min_event_s=0.3)
    assert parts == (Span(0.2, 0.8), Span(3.0, parts[1].end_s), Span(parts[1].end_s, 3.8))
    assert parts[1].end_s == pytest.approx(3.4, abs=0.05)  # flat: the longer span is halved
