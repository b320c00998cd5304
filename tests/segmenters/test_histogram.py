from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import CUTS_S

from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.segmenters import SEGMENTERS, get_segmenter
from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video import VideoReader, open_video

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


def test_one_event_is_the_span_itself(cuts_video: Path):
    assert segment(cuts_video, [Span(0, 5)], events=1) == (Span(0, 5),)


def test_zero_length_span(cuts_video: Path):
    assert segment(cuts_video, [Span(3, 3)]) == (Span(3, 3),)


def test_single_frame_video(one_frame_video: Path):
    assert segment(one_frame_video) == (Span(0, 0.04),)


def test_no_spans(cuts_video: Path):
    with open_video(cuts_video) as reader:
        assert get_segmenter("histogram").segment(reader, [], **HOW) == ()


def test_static_video_is_divided_evenly(static_video: Path):
    lengths_s = [part.duration_s for part in segment(static_video, events=8)]
    assert len(lengths_s) == 8
    assert lengths_s == pytest.approx([1.0] * 8, abs=0.05)


def test_variable_frame_rate_is_cut_at_true_times(vfr_video: Path):
    with open_video(vfr_video) as reader:
        stamps = reader.timestamps_s
        parts = get_segmenter("histogram").segment(reader, [Span(0, reader.info.duration_s)], **HOW)
    assert len(parts) > 5
    assert all(np.abs(stamps - border).min() < 1e-9 for border in borders(parts))


def test_both_backends_cut_alike(plain_video: Path):
    pytest.importorskip("decord")
    parts = []
    for backend in ("decord", "pyav"):
        with open_video(plain_video, backend) as reader:
            parts.append(get_segmenter("histogram").segment(reader, [Span(0, 4)], **HOW))
    assert parts[0] == parts[1] and len(parts[0]) > 4


def test_damaged_video_is_an_error(damaged_video: Path):
    with pytest.raises(VideoError, match="damaged"):
        segment(damaged_video)


def test_registry():
    assert all(get_segmenter(name).name == name for name in SEGMENTERS)
    with pytest.raises(ConfigError, match="'histogramm'; did you mean 'histogram'"):
        get_segmenter("histogramm")


@pytest.fixture(scope="module")
def reader(vfr_video: Path):
    with open_video(vfr_video) as reader:
        yield reader


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.floats(0, 8), st.floats(0, 4)), min_size=1, max_size=4),
    events=st.integers(1, 20),
    scan_frames=st.integers(1, 120),
    min_event_s=st.sampled_from([0.0, 0.1, 0.5, 3.0]),
)
def test_invariants(reader: VideoReader, pairs: list, events: int, scan_frames: int, min_event_s: float):
    end_s = reader.info.duration_s
    spans = merge_spans([Span(start_s, min(start_s + length_s, end_s)) for start_s, length_s in pairs], gap_s=0.0)
    parts = get_segmenter("histogram").segment(reader, spans, events, scan_frames, min_event_s)
    assert merge_spans(parts, gap_s=0.0) == spans
    assert all(left.end_s <= right.start_s for left, right in pairwise(parts))
    assert len(parts) <= len(spans) + events - 1
    assert all(part.duration_s >= min_event_s or part in spans for part in parts)
