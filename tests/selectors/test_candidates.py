from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.search.candidates import Pick, candidates, evenly, fillers, within_budget
from lmms_videominer.selectors.grouping import nearest_to_mean, spherical_kmeans, ward
from lmms_videominer.types import Span

TEN_FPS = np.arange(200) / 10  # 20 s


def test_one_candidate_a_second_each_the_frame_in_the_middle_of_its_share():
    pool = candidates(Span(0, 20), TEN_FPS, most=200)
    assert pool.indices.tolist() == list(range(5, 200, 10))
    assert pool.spans[3] == Span(3.0, 4.0)


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


def test_a_frame_counts_once_in_its_first_group():
    frames = within_budget([[Pick(3, "a", 2.0)], [Pick(3, "b", 1.0), Pick(5, "b", 1.0)]], TEN_FPS, 2)
    assert [(f.frame_index, f.node_id, f.score, f.time_s) for f in frames] == [(3, "a", 2.0, 0.3), (5, "b", 1.0, 0.5)]


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


def circle(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def lists(groups: list[np.ndarray]) -> list[list[int]]:
    return [group.tolist() for group in groups]


@pytest.mark.parametrize("seed", range(4))
def test_kmeans_by_cosine_finds_what_lies_together_whatever_is_drawn(seed):
    assert lists(spherical_kmeans(circle(0, 90, 2, 92, 4), 2, seed)) == [[0, 2, 4], [1, 3]]


def test_there_are_no_more_groups_than_distinct_vectors():
    assert lists(spherical_kmeans(circle(0, 90, 0, 90, 90), 8, 0)) == [[0, 2], [1, 3, 4]]


@pytest.mark.parametrize("seed", range(6))
def test_kmeans_gives_as_many_groups_as_asked_for_where_frames_are_alike(seed):
    rng = np.random.default_rng(seed)
    vectors = np.repeat(rng.normal(size=(3, 16)), 30, axis=0) + 0.0001 * rng.normal(size=(90, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    assert [len(spherical_kmeans(vectors, count, seed)) for count in (8, 16, 32)] == [8, 16, 32]


def test_the_nearest_to_the_mean_and_the_first_of_equal_ones():
    assert nearest_to_mean(circle(0, 50, 40, 80), np.array([0, 1, 2, 3])) == 2  # the mean lies at 42.5
    assert nearest_to_mean(circle(7, 7, 7), np.array([1, 2])) == 1


def test_ward_splits_where_the_distance_is_longest():
    assert lists(ward(circle(0, 60, 1, 30, 61), np.arange(5), 3)) == [[0, 2], [1, 4], [3]]
    assert lists(ward(circle(0, 60), np.array([1]), 4)) == [[1]]


@settings(deadline=None)
@given(st.lists(st.floats(0, 360), min_size=1, max_size=30), st.integers(1, 12), st.integers(0, 3))
def test_groups_partition_the_vectors(degrees, count, seed):
    groups = spherical_kmeans(circle(*degrees), count, seed)
    assert sorted(i for group in lists(groups) for i in group) == list(range(len(degrees)))
    assert len(groups) <= count and all(len(group) for group in groups)
    parts = ward(circle(*degrees), np.arange(len(degrees)), count)
    assert sorted(i for part in lists(parts) for i in part) == list(range(len(degrees))) and len(parts) <= count
