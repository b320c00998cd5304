"""What every segmenter keeps to."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lmms_videominer.errors import ConfigError
from lmms_videominer.segmenters import SEGMENTERS, Segmenter, get_segmenter
from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video import VideoReader, open_video

HOW = {"events": 16, "scan_frames": 256, "min_event_s": 0.5}


@pytest.fixture(params=sorted(SEGMENTERS))
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return get_segmenter(request.param)


def segment(segmenter: Segmenter, path: Path, spans: list[Span] | None = None, **how: float) -> tuple[Span, ...]:
    with open_video(path) as reader:
        return segmenter.segment(reader, spans or [Span(0, reader.info.duration_s)], **HOW | how)


def test_one_event_is_the_span_itself(segmenter: Segmenter, cuts_video: Path):
    assert segment(segmenter, cuts_video, [Span(0, 5)], events=1) == (Span(0, 5),)


def test_zero_length_span(segmenter: Segmenter, cuts_video: Path):
    assert segment(segmenter, cuts_video, [Span(3, 3)]) == (Span(3, 3),)


def test_single_frame_video(segmenter: Segmenter, one_frame_video: Path):
    assert segment(segmenter, one_frame_video) == (Span(0, 0.04),)


def test_no_spans(segmenter: Segmenter, cuts_video: Path):
    with open_video(cuts_video) as reader:
        assert segmenter.segment(reader, [], **HOW) == ()


def test_static_video_is_divided_evenly(segmenter: Segmenter, static_video: Path):
    lengths_s = [part.duration_s for part in segment(segmenter, static_video, events=8)]
    assert len(lengths_s) == 8
    assert lengths_s == pytest.approx([1.0] * 8, abs=0.05)


def test_variable_frame_rate_is_cut_at_true_times(segmenter: Segmenter, vfr_video: Path):
    with open_video(vfr_video) as reader:
        stamps = reader.timestamps_s
        parts = segmenter.segment(reader, [Span(0, reader.info.duration_s)], **HOW)
    assert len(parts) > 5
    assert all(np.abs(stamps - part.start_s).min() < 1e-9 for part in parts)


def test_both_backends_cut_alike(segmenter: Segmenter, plain_video: Path):
    pytest.importorskip("decord")
    parts = []
    for backend in ("decord", "pyav"):
        with open_video(plain_video, backend) as reader:
            parts.append(segmenter.segment(reader, [Span(0, 4)], **HOW))
    assert parts[0] == parts[1] and len(parts[0]) > 4


def test_the_same_again_is_cut_alike(segmenter: Segmenter, plain_video: Path):
    assert segment(segmenter, plain_video) == segment(segmenter, plain_video)


def test_a_gap_is_a_boundary_already_and_not_counted(segmenter: Segmenter, plain_video: Path):
    spans = [Span(0.2, 1.4), Span(2.0, 3.6)]
    assert segment(segmenter, plain_video, spans, events=1) == tuple(spans)
    parts = segment(segmenter, plain_video, spans, events=3)
    assert len(parts) == 4 and merge_spans(parts, gap_s=0.0) == tuple(spans)


def test_a_span_of_two_scanned_frames_is_cut_halfway_between_them(segmenter: Segmenter, static_video: Path):
    parts = segment(segmenter, static_video, [Span(0, 2), Span(4, 8)], events=2, scan_frames=3)
    assert parts == (Span(0, 2), Span(4, 6), Span(6, 8))


def test_damaged_frames_cost_no_events(segmenter: Segmenter, damaged_video: Path):
    assert merge_spans(segment(segmenter, damaged_video), gap_s=0.0) == (Span(0.0, 4.0),)


def test_registry():
    assert all(get_segmenter(name).name == name for name in SEGMENTERS)
    with pytest.raises(ConfigError, match="unknown segmenter 'histogramm'; did you mean 'histogram'"):
        get_segmenter("histogramm")


@pytest.fixture(scope="module")
def reader(vfr_video: Path):
    with open_video(vfr_video) as reader:
        yield reader


@example(pairs=[(0.0, 5e-324)], events=2, scan_frames=1, min_event_s=0.1)
@example(pairs=[(0.0, 1e-9)], events=2, scan_frames=9, min_event_s=3.0)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(st.tuples(st.floats(0, 8), st.floats(0, 4)), min_size=1, max_size=4),
    events=st.integers(1, 20),
    scan_frames=st.integers(1, 120),
    min_event_s=st.sampled_from([0.0, 0.1, 0.5, 3.0]),
)
def test_invariants(
    segmenter: Segmenter, reader: VideoReader, pairs: list, events: int, scan_frames: int, min_event_s: float
):
    end_s = reader.info.duration_s
    spans = merge_spans([Span(start_s, min(start_s + length_s, end_s)) for start_s, length_s in pairs], gap_s=0.0)
    parts = segmenter.segment(reader, spans, events, scan_frames, min_event_s)
    assert merge_spans(parts, gap_s=0.0) == spans
    assert all(left.end_s <= right.start_s for left, right in pairwise(parts))
    assert len(parts) <= len(spans) + events - 1
    assert all(part.duration_s >= min_event_s or part in spans for part in parts)
