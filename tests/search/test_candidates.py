from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.search.candidates import Pick, candidates, evenly, fillers, levels, top, within_budget
from lmms_videominer.types import Span

TEN_FPS = np.arange(200) / 10  # 20 s


def test_one_candidate_a_second_each_the_frame_in_the_middle_of_its_share():
    pool = candidates(Span(0, 20), TEN_FPS, most=200)
    assert pool.indices.tolist() == list(range(5, 200, 10))
    assert pool.spans[3] == Span(3.0, 4.0)


def test_one_candidate_every_four_seconds():
    assert candidates(Span(0, 20), TEN_FPS, most=200, every_s=4.0).indices.tolist() == [20, 60, 100, 140, 180]


def test_candidates_are_thinned_evenly_to_the_most():
    pool = candidates(Span(0, 20), TEN_FPS, most=4)
    assert pool.indices.tolist() == [25, 75, 125, 175] and pool.spans[1] == Span(5.0, 10.0)


def test_two_shares_that_show_one_frame_give_one_candidate():
    pool = candidates(Span(0, 8), np.array([0.0, 4.0, 5.0]), most=200)
    assert pool.indices.tolist() == [0, 1, 2] and pool.spans == (Span(0, 1), Span(4, 5), Span(5, 6))


def test_a_video_shorter_than_a_second_has_one():
    assert len(candidates(Span(0, 0.3), np.array([0.0, 0.1, 0.2]), most=200)) == 1


@pytest.mark.parametrize(("count", "wanted", "positions"), [(11, 3, [1, 5, 9]), (4, 9, [0, 1, 2, 3]), (5, 0, [])])
def test_evenly(count, wanted, positions):
    assert evenly(count, wanted) == positions


@pytest.mark.parametrize(
    ("chosen", "wanted", "added"),
    [
        ([], 4, [2, 7, 12, 17]),
        ([12, 13, 14], 2, [5, 8]),  # the middle of 0 to 11, then of 6 to 11
        ([0, 19], 1, [9]),
        (range(19), 5, [19]),  # all that are left
    ],
)
def test_fillers_are_the_middles_of_the_longest_stretches_without_a_frame(chosen, wanted, added):
    assert fillers(chosen, 20, wanted) == added


def test_the_top_is_in_temporal_order_and_the_earlier_of_equal_ones():
    assert top(np.array([0.1, 0.5, 0.9, 0.5, 0.8]), 3).tolist() == [1, 2, 4]
    assert top(np.array([2.0, 3.0]), 5).tolist() == [0, 1]


def test_what_rounding_tells_apart_shares_a_level():
    scores = np.array([0.5, 0.2, 0.5 + 2e-7, 0.9, 0.5 - 2e-7, 0.2])
    assert levels(scores).tolist() == [1, 0, 1, 2, 1, 0] and levels(np.zeros(0)).tolist() == []
    assert top(scores, 2).tolist() == [2, 3] and top(levels(scores), 2).tolist() == [0, 3]


def test_a_frame_counts_once_in_its_first_group():
    frames = within_budget([[Pick(3, "a", 2.0)], [Pick(3, "b", 1.0), Pick(5, "b", 1.0)]], TEN_FPS, 2)
    assert [(f.frame_index, f.node_id, f.score, f.time_s) for f in frames] == [(3, "a", 2.0, 0.3), (5, "b", 1.0, 0.5)]
    [frame] = within_budget([[Pick(3, "a", 2.0), Pick(3, "b", 1.0)]], TEN_FPS, 1)
    assert (frame.node_id, frame.score) == ("a", 2.0)


def test_the_first_group_that_does_not_fit_is_thinned_evenly_in_temporal_order_and_what_lacks_is_filled():
    groups = [[Pick(100, "a")], [Pick(i, "b") for i in (50, 10, 40, 20, 30)]]
    frames = within_budget(groups, TEN_FPS, 3)
    assert [(f.frame_index, f.node_id) for f in frames] == [(20, "b"), (40, "b"), (100, "a")]
    frames = within_budget(groups, TEN_FPS, 8)
    assert [(f.frame_index, f.node_id, f.score) for f in frames if f.node_id is None] == [
        (75, None, None),
        (150, None, None),
    ]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 29), max_size=12), max_size=4), st.integers(1, 30), st.integers(1, 40))
def test_the_budget_is_met_exactly_by_unique_frames_in_order_of_the_groups(groups, frame_count, budget):
    groups = [[Pick(i % frame_count, str(number)) for i in group] for number, group in enumerate(groups)]
    frames = within_budget(groups, np.arange(frame_count, dtype=float), budget)
    indices = [frame.frame_index for frame in frames]
    assert indices == sorted(set(indices)) and len(indices) == min(budget, frame_count)
    assert all(0 <= i < frame_count for i in indices)
    lacking = False  # once a group does not fit, no later one gives a frame
    for number, group in enumerate(groups):
        given = {frame.frame_index for frame in frames if frame.node_id == str(number)}
        assert not (lacking and given)
        lacking = lacking or bool({pick.frame_index for pick in group} - set(indices))
    assert not lacking or all(frame.node_id is not None for frame in frames)
