from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.videos import VFR_TIMES_S

from lmms_videominer.types import Span, merge_spans
from lmms_videominer.video import frame_indices_at, frames_beginning_in, frames_shown_at, open_video, uniform_times


def test_the_frame_shown_at_a_time(plain_video: Path):
    with open_video(plain_video, "pyav") as reader:
        times_s = [-1.0, 0.0, 0.039, 0.04, 0.06, 3.96, 4.0, 99.0]
        assert frame_indices_at(reader, times_s).tolist() == [0, 0, 0, 1, 1, 99, 99, 99]
        assert frame_indices_at(reader, []).shape == (0,)


@pytest.mark.parametrize("name", ["plain_video", "vfr_video", "shifted_video"])
def test_every_timestamp_gives_its_own_frame(name: str, request: pytest.FixtureRequest):
    with open_video(request.getfixturevalue(name), "pyav") as reader:
        count = reader.info.frame_count
        assert frame_indices_at(reader, reader.timestamps_s).tolist() == list(range(count))


def test_frames_of_a_span_are_those_that_begin_in_it():
    timestamps_s = np.array([0.0, 0.1, 0.2, 5.0])
    assert frames_beginning_in(timestamps_s, Span(0.1, 5.0)) == (1, 3)  # half-open
    assert frames_beginning_in(timestamps_s, Span(0.1 + 0.2 - 0.1, 5.1)) == (2, 4)  # 0.2 and a rounding error
    assert frames_beginning_in(timestamps_s, Span(1.0, 2.0)) == (3, 3)
    assert frames_shown_at(timestamps_s, [-1.0, 1.0, 0.3 - 0.1, 9.0]).tolist() == [0, 2, 2, 3]


def test_a_long_gap_shows_the_frame_before_it(vfr_video: Path):
    with open_video(vfr_video, "pyav") as reader:  # frame 9 is shown for half a second
        gap_start_s = VFR_TIMES_S[9]
        assert frame_indices_at(reader, [gap_start_s + 0.25, gap_start_s + 0.49]).tolist() == [9, 9]


def test_uniform_times_are_midpoints_of_equal_shares():
    assert uniform_times([Span(0, 8)], 4).tolist() == [1, 3, 5, 7]


def test_uniform_times_leave_gaps_out():
    assert uniform_times([Span(10, 13), Span(0, 1)], 4).tolist() == [0.5, 10.5, 11.5, 12.5]


def test_uniform_times_of_zero_length_span():
    assert uniform_times([Span(3, 3)], 3).tolist() == [3, 3, 3]


def test_uniform_times_without_span_or_count():
    assert uniform_times([Span(0, 1)], 0).shape == (0,)
    with pytest.raises(ValueError, match="at least one span"):
        uniform_times([], 3)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0.01, 100)), min_size=1, max_size=6), st.integers(1, 300))
def test_uniform_times_ascend_inside_the_union(pairs: list[tuple[float, float]], n: int):
    union = merge_spans([Span(start_s, start_s + length_s) for start_s, length_s in pairs])
    times_s = uniform_times(union, n)
    assert len(times_s) == n and np.all(np.diff(times_s) >= 0)
    inside = [any(span.start_s <= time_s <= span.end_s for span in union) for time_s in times_s]
    assert all(inside)
