"""Intervals, against values worked out by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from lmms_videominer.bench.statistics import Interval, accuracy_interval, difference_interval

scores = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=30)


def test_wilsons_interval_by_hand():
    """With z = 1.95996: all of 10 right, from 10 / (10 + z^2); half of 4 as written below."""
    found = accuracy_interval(np.ones(10))
    assert (found.value, found.high) == (1.0, 1.0) and found.low == pytest.approx(10 / 13.841459, abs=1e-6)
    # centre (2 + z^2 / 2) / (4 + z^2) = 0.5; half width z / (4 + z^2) * sqrt(4 * 0.5 * 0.5 + z^2 / 4)
    half = 1.959964 / 7.841459 * np.sqrt(1 + 3.841459 / 4)
    found = accuracy_interval(np.array([0, 1, 1, 0]))
    assert found.value == 0.5 and (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_a_paired_bootstrap_of_two_questions_by_hand():
    """The means of two draws from the differences 1 and 0 are 0, 1/2, 1/2 and 1, each with a chance of a quarter."""
    assert difference_interval(np.array([1, 1]), np.array([0, 1])) == Interval(0.5, 0.0, 1.0)


def test_questions_on_one_video_are_drawn_together():
    """Of two videos, right by 1 and by 0 on both of their questions, two draws give the means 0, 1/2, 1/2 and 1."""
    first, second = np.array([1, 0, 1, 0]), np.zeros(4)
    assert difference_interval(first, second, videos=["a", "b", "a", "b"]) == Interval(0.5, 0.0, 1.0)
    assert difference_interval(first, second, videos=["a"] * 4) == Interval(0.5, None, None)
    apart = difference_interval(first, second, videos=["a", "b", "c", "d"])
    assert apart == difference_interval(first, second, videos=[""] * 4) == difference_interval(first, second)


def test_a_video_weighs_by_its_questions():
    """Three questions lost on one video and one won on another: of two draws, -1, -1/2, -1/2 and 1."""
    found = difference_interval(np.array([0, 0, 0, 1]), np.array([1, 1, 1, 0]), videos=["a", "a", "a", "b"])
    assert found == Interval(-0.5, -1.0, 1.0)


def test_equal_answers_differ_by_nothing_however_spread_they_are():
    answers = np.array([0, 1] * 20)
    assert difference_interval(answers, answers) == Interval(0.0, 0.0, 0.0)


def test_one_question_has_no_interval():
    assert difference_interval(np.array([1.0]), np.array([0.0])) == Interval(1.0, None, None)


def test_the_interval_is_the_percentile_of_resampled_mean_differences():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, 40).astype(float), rng.integers(0, 2, 40).astype(float)
    found = difference_interval(first, second, seed=3)
    draws = np.random.default_rng(4).integers(0, 40, (20_000, 40))
    low, high = np.percentile((first - second)[draws].mean(axis=1), [2.5, 97.5])
    assert found.value == pytest.approx((first - second).mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.026)  # one answer in 40

    direct = bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        n_resamples=10_000,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((direct.low, direct.high))


def test_many_questions_are_resampled_in_parts_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, 50).astype(float), rng.integers(0, 2, 50).astype(float)
    whole = difference_interval(first, second)
    monkeypatch.setattr("lmms_videominer.bench.statistics._AT_ONCE", 5_000)
    assert difference_interval(first, second) == whole


@settings(max_examples=30, deadline=None)
@given(scores, st.integers(0, 5))
def test_a_difference_lies_in_its_interval_and_turns_round_with_its_sides(pairs, seed):
    first, second = np.array(pairs, float).T
    one = difference_interval(first, second, seed, 500)
    other = difference_interval(second, first, seed, 500)
    assert -1 <= one.low <= one.value + 0.35 and one.value - 0.35 <= one.high <= 1
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))


def test_scores_between_right_and_wrong_are_resampled():
    found = accuracy_interval(np.array([0.5] * 10))
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
