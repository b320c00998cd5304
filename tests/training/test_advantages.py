"""The advantages by hand, against TRL's own, and what must hold for any group."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.training.advantages import group_advantages, has_signal

REWARDS = st.floats(-5, 5, allow_nan=False)
GROUPS = st.lists(st.lists(REWARDS, max_size=6), min_size=1, max_size=6)


def test_two_trees_by_hand():
    # mean of 1, 2, 3 is 2, their sample standard deviation 1
    assert group_advantages([[1.0, 2.0], [3.0]]) == [[-1 / 1.0001, 0.0], [1 / 1.0001]]


def test_equal_rewards_and_single_decisions_carry_no_signal():
    assert group_advantages([[0.1, 0.1], [], [0.1]]) == [[0.0, 0.0], [], [0.0]]
    assert group_advantages([[7.0], []]) == [[0.0], []]
    assert not has_signal([[0.1], [0.1]]) and has_signal([[0.1], [0.2]])


def test_one_decision_a_tree_equals_trl():
    torch = pytest.importorskip("torch")
    from trl.trainer.utils import nanstd

    rewards = torch.tensor([0.3, 2.1, 1.0, 2.1], dtype=torch.float64)
    expected = (rewards - rewards.mean()) / (nanstd(rewards) + 1e-4)  # as GRPOTrainer normalises a group
    assert [a for tree in group_advantages([[r] for r in rewards.tolist()]) for a in tree] == pytest.approx(
        expected.tolist(), rel=1e-6
    )  # TRL corrects the variance in float32


@given(GROUPS)
def test_shape_is_kept_and_the_mean_is_zero(group):
    advantages = group_advantages(group)
    assert [len(tree) for tree in advantages] == [len(tree) for tree in group]
    assert math.fsum(a for tree in advantages for a in tree) == pytest.approx(0.0, abs=1e-6)


@given(GROUPS, st.randoms())
def test_the_order_of_trees_does_not_matter(group, random):
    order = list(range(len(group)))
    random.shuffle(order)
    advantages, permuted = group_advantages(group), group_advantages([group[i] for i in order])
    assert [advantages[i] for i in order] == permuted


@given(GROUPS)
def test_better_decisions_have_larger_advantages(group):
    pairs = [pair for rewards, advantages in zip(group, group_advantages(group)) for pair in zip(rewards, advantages)]
    assert [a for _, a in sorted(pairs)] == sorted(a for _, a in pairs)
