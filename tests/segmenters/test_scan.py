"""Which frames are compared, whose they are, and where the boundary between two of them lies."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.segmenters.scan import boundaries_s, scan
from lmms_videominer.types import Span


def film(*timestamps_s: float, coarse: Sequence[int] = ()) -> SimpleNamespace:
    return SimpleNamespace(timestamps_s=np.array(timestamps_s, float), coarse_frames=np.array(coarse, np.int64))


def test_a_boundary_is_where_the_later_of_two_neighbours_begins_and_else_halfway():
    reader = film(0.0, 1.0, 1.5, 4.0, 4.5, 9.0)
    assert boundaries_s(reader, np.array([0, 1, 3, 4])).tolist() == [1.0, 2.5, 4.5]
    assert boundaries_s(reader, np.array([2])).tolist() == []


@pytest.mark.parametrize(
    ("spans", "scan_frames", "frames", "owners"),
    [
        ([(0, 4), (6, 10)], 4, [1, 3, 7, 9], [0, 0, 1, 1]),
        ([(0, 6), (8, 10)], 4, [1, 3, 5, 9], [0, 0, 0, 1]),
        ([(2, 5)], 99, [2, 3, 4], [0, 0, 0]),  # no more than the span has
        ([(3, 3)], 4, [3], [0]),
        ([(0, 1), (2, 2.4), (2.6, 3)], 9, [0, 2], [0, 1]),  # the last two spans show one frame
    ],
)
def test_the_frames_are_uniform_over_the_spans(spans, scan_frames, frames, owners):
    found = scan(film(*range(10)), [Span(*span) for span in spans], scan_frames)
    assert [part.tolist() for part in found] == [frames, owners]


@pytest.mark.parametrize(
    ("coarse", "scan_frames", "frames"),
    [
        (range(0, 100, 10), 4, [10, 30, 50, 70, 90]),  # as few as leave no more than a step of 25 s between two
        (range(0, 100, 13), 4, [0, 13, 26, 39, 52, 65, 78, 91]),  # two gaps are more than a step
        ([6, 18, 30, 42, 66, 78, 90, 98], 8, [6, 18, 30, 42, 54, 66, 78, 90, 98]),  # 54 fills in
        ([10, 30], 4, [12, 37, 62, 87]),  # more would have to fill in than half
        ([], 4, [12, 37, 62, 87]),
        (range(0, 100, 10), 60, [int(100 * (i + 0.5) / 60) for i in range(60)]),  # not coarse
    ],
)
def test_a_coarse_scan_takes_coarse_frames_no_farther_apart_than_a_step(coarse, scan_frames, frames):
    found, _ = scan(film(*range(100), coarse=coarse), [Span(0, 100)], scan_frames)
    assert found.tolist() == frames


def test_no_frame_of_another_span_is_taken():
    reader = film(*range(120), coarse=range(2, 120, 7))
    found, owners = scan(reader, [Span(0, 50), Span(90, 120)], 4)  # a step is 20 s
    assert found.tolist() == [9, 23, 37, 44, 100, 114] and owners.tolist() == [0, 0, 0, 0, 1, 1]


@settings(deadline=None)
@given(st.data())
def test_coarse_frames_leave_no_longer_gap_than_uniform_ones(data: st.DataObject):
    times_s = np.arange(400) / 2
    coarse = sorted(data.draw(st.sets(st.integers(0, 399))))
    frames = data.draw(st.integers(1, 60))
    found, owners = scan(film(*times_s, coarse=coarse), [Span(0, 200)], frames)
    step_s = 200 / frames
    assert len(found) == len(owners) <= 2 * frames + 2 and (np.diff(found) > 0).all()
    seen_s = np.array([-step_s / 2, *times_s[found], 200 + step_s / 2])
    assert np.diff(seen_s).max() <= step_s + 0.5 + 1e-6  # a frame is shown for half a second
