"""Frames and captions by what lies together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
