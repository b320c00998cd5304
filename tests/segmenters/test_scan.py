"""Which frames are compared, whose they are, and where the boundary between two of them lies."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lmms_videominer.segmenters.scan import boundaries_s, scan
from lmms_videominer.types import Span


def film(*timestamps_s: float) -> SimpleNamespace:
    return SimpleNamespace(timestamps_s=np.array(timestamps_s, float))


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
