"""Frames and captions by what lies together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.selectors import grouping
from lmms_videominer.selectors.grouping import nearest_to_mean, spherical_kmeans, ward


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("degrees", "seed", "groups"),
    [
        ((45, 210, 270, 300, 195, 75, 270, 285), 1, [[0], [1, 4], [2, 3, 6, 7], [5]]),
        ((315, 165, 315, 345, 195, 210, 315, 225, 15, 345), 0, [[0, 2, 3, 6, 9], [1, 4], [5, 7], [8]]),
    ],
)
def test_a_group_that_loses_all_its_vectors_on_the_way_starts_anew(degrees, seed, groups):
    assert lists(spherical_kmeans(circle(*degrees), 4, seed)) == groups


def test_groups_begin_with_distinct_vectors(monkeypatch):
    monkeypatch.setattr(grouping, "ITERATIONS", 1)
    assert len(spherical_kmeans(circle(*range(0, 360, 12)), 30, 0)) == 30


def test_what_has_no_mean_direction_is_led_by_its_first_vector():
    assert nearest_to_mean(circle(90, 210, 330), np.array([1, 2, 0])) == 1
    assert nearest_to_mean(circle(0, 180), np.array([1, 0])) == 1


def test_the_nearest_to_the_mean_and_the_first_of_equal_ones():
    assert nearest_to_mean(circle(0, 50, 40, 80), np.array([0, 1, 2, 3])) == 2  # the mean lies at 42.5
    assert nearest_to_mean(circle(7, 7, 7), np.array([1, 2])) == 1


def test_ward_splits_where_the_distance_is_longest():
    assert lists(ward(circle(0, 60, 1, 30, 61), np.arange(5), 3)) == [[0, 2], [1, 4], [3]]
    assert lists(ward(circle(0, 60), np.array([1]), 4)) == [[1]]
    assert lists(ward(circle(0, 60), np.arange(2), 4)) == [[0], [1]]


def test_ward_cuts_a_chain_of_steps_in_the_middle_rather_than_at_its_longest_step():
    assert lists(ward(circle(0, 10, 21, 30, 42), np.arange(5), 2)) == [[0, 1], [2, 3, 4]]


@settings(deadline=None)
@given(st.lists(st.floats(0, 360), min_size=1, max_size=30), st.integers(1, 12), st.integers(0, 3))
def test_groups_partition_the_vectors(degrees, count, seed):
    groups = spherical_kmeans(circle(*degrees), count, seed)
    assert sorted(i for group in lists(groups) for i in group) == list(range(len(degrees)))
    assert len(groups) <= count and all(len(group) for group in groups)
    assert lists(spherical_kmeans(circle(*degrees), count, seed)) == lists(groups)
    means = np.stack([circle(*degrees)[group].mean(axis=0, dtype=np.float64) for group in groups])
    lengths = np.linalg.norm(means, axis=1)
    if (lengths > 1e-3).all():  # no vector is nearer to the mean of another group
        cosines = circle(*degrees).astype(np.float64) @ (means / lengths[:, None]).T
        assert all((cosines[group, i] >= cosines[group].max(axis=1) - 1e-6).all() for i, group in enumerate(groups))
    parts = ward(circle(*degrees), np.arange(len(degrees)), count)
    assert sorted(i for part in lists(parts) for i in part) == list(range(len(degrees))) and len(parts) <= count
