from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmms_videominer.segmenters.partition import cheapest_partition, scatter


def ordered(costs: np.ndarray) -> np.ndarray:
    """``costs`` with no part that ends before it begins."""
    return np.where(np.tri(len(costs), k=-1, dtype=bool), np.inf, costs)


def test_scatter_by_hand():
    vectors, weights = np.array([[0.0], [2.0], [5.0]]), np.array([1.0, 1.0, 2.0])
    # means 1, 4 and 3: 1 + 1; 4 + 2 * 1; 9 + 1 + 2 * 4
    np.testing.assert_allclose(scatter(vectors, weights), [[0, 2, 18], [0, 0, 6], [0, 0, 0]], atol=1e-12)


def test_what_weighs_nothing_costs_nothing():
    vectors, weights = np.array([[0.0], [9.0], [0.0]]), np.array([1.0, 0.0, 1.0])
    assert scatter(vectors, weights).max() == 0
    assert scatter(vectors, np.zeros(3)).max() == 0


def test_levels_are_found():
    levels = np.repeat([1.0, 5.0, 2.0], [4, 3, 5])[:, None]
    assert cheapest_partition(ordered(scatter(levels, np.ones(12))), 3) == [4, 7]


def test_one_outlier_is_not_worth_two_cuts():
    colours = np.eye(4)[np.repeat([0, 1, 2], 6)]
    colours[3] = np.eye(4)[3]
    assert cheapest_partition(ordered(scatter(colours, np.ones(18))), 3) == [6, 12]


def test_one_part_or_one_item_has_no_cut():
    assert cheapest_partition(ordered(np.zeros((4, 4))), 1) == []
    assert cheapest_partition(np.zeros((1, 1)), 5) == []


def test_no_more_parts_than_items():
    assert cheapest_partition(ordered(np.zeros((3, 3))), 9) == [1, 2]


def test_fewer_parts_where_so_many_are_not_allowed():
    costs = ordered(np.zeros((6, 6)))
    costs[np.arange(6), np.arange(6)] = np.inf  # a part holds two items or more
    assert len(cheapest_partition(costs, 6)) == 2


costs_of_parts = st.integers(1, 7).flatmap(
    lambda n: arrays(np.float64, (n, n), elements=st.one_of(st.integers(0, 20).map(float), st.just(np.inf)))
)


@given(costs_of_parts, st.integers(1, 8))
def test_nothing_is_cheaper_among_all_divisions(costs: np.ndarray, parts: int):
    costs = ordered(costs)

    def cost(begins: tuple[int, ...]) -> float:
        return sum(costs[i, j - 1] for i, j in pairwise([0, *begins, len(costs)]))

    found = cheapest_partition(costs, parts)
    number = next(
        (
            k
            for k in range(min(parts, len(costs)), 1, -1)
            if any(np.isfinite(cost(b)) for b in combinations(range(1, len(costs)), k - 1))
        ),
        1,
    )
    assert len(found) == number - 1
    if number > 1:
        assert cost(tuple(found)) == pytest.approx(min(map(cost, combinations(range(1, len(costs)), number - 1))))
