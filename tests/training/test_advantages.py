"""The advantages by hand, against TRL's own, and what must hold for any group."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.training.advantages import group_advantages, has_signal, normalised, one_flip
from lmms_videominer.training.rewards import DecisionRewards, RewardConfig, total_reward
from lmms_videominer.types import Action

TOTALS = st.floats(-5, 5, allow_nan=False)
GROUPS = st.lists(st.lists(TOTALS, max_size=6), min_size=1, max_size=6)
KINDS = ["paper", "floor", "apart", "unscaled"]
ACTIONS = [Action.ACCEPT, *[Action.CONTINUE] * 2, *[Action.DELETE] * 9]  # of one tree


def config(advantages: str, lambda_auxin: float = 1.0) -> RewardConfig:
    return RewardConfig(advantages=advantages, lambda_auxin=lambda_auxin)


def decision(action: Action, tree: float, settings: RewardConfig, length: float = 0.0, format: float = 1.0):
    reward = settings.deltas[action]
    return DecisionRewards(format, length, reward, tree, total_reward(format, length, reward, tree, settings))


def given_totals(group: list[list[float]]) -> list[list[DecisionRewards]]:
    """Decisions of right trees that earn these totals."""
    return [[DecisionRewards(0.0, 0.0, total, 1.0, total) for total in tree] for tree in group]


def mixed(right: int, settings: RewardConfig, trees: int = 8) -> list[list[DecisionRewards]]:
    """Trees of one accept, two continue and nine delete, of which so many are right."""
    return [[decision(action, float(i < right), settings, 0.5) for action in ACTIONS] for i in range(trees)]


def advantages_of(right: int, settings: RewardConfig) -> tuple[dict[Action, float], dict[Action, float]]:
    """The advantage of each action in a right and in a wrong tree, where there is one."""
    made = group_advantages(mixed(right, settings), settings)
    first, last = (dict(zip(ACTIONS, tree, strict=True)) for tree in (made[0], made[-1]))
    return first, last


def test_two_trees_by_hand():
    # mean of 1, 2, 3 is 2, their sample standard deviation 1
    assert group_advantages(given_totals([[1.0, 2.0], [3.0]]), config("paper")) == [[-1 / 1.0001, 0.0], [1 / 1.0001]]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_rewards_and_single_decisions_carry_no_signal(kind):
    assert group_advantages(given_totals([[0.1, 0.1], [], [0.1]]), config(kind)) == [[0.0, 0.0], [], [0.0]]
    assert group_advantages(given_totals([[7.0], []]), config(kind)) == [[0.0], []]
    assert not has_signal([[0.1], [0.1]]) and has_signal([[0.1], [0.2]])


@pytest.mark.parametrize("scale", ["group", "none"])
def test_one_decision_a_tree_equals_trl(scale):
    torch = pytest.importorskip("torch")
    from trl.trainer.utils import nanstd

    rewards = torch.tensor([0.3, 2.1, 1.0, 2.1], dtype=torch.float64)
    expected = rewards - rewards.mean()
    if scale != "none":
        expected = expected / (nanstd(rewards) + 1e-4)  # as GRPOTrainer normalises a group
    group = given_totals([[r] for r in rewards.tolist()])
    ours = group_advantages(group, config("paper" if scale == "group" else "unscaled"))
    assert [a for tree in ours for a in tree] == pytest.approx(
        expected.tolist(), rel=1e-6
    )  # TRL corrects the variance in float32


# right and wrong trees of 1 accept, 2 continue and 9 delete, at lambda 1


@pytest.mark.parametrize(("right", "accept"), [(4, 0.78), (7, 0.06), (8, -2.65)])
def test_as_published_accepting_is_punished_the_more_trees_are_right(right, accept):
    assert advantages_of(right, config("paper"))[0][Action.ACCEPT] == pytest.approx(accept, abs=0.01)


def test_a_floor_by_hand():
    # r_action 0.9, 2 x 1.0, 9 x 1.1: mean 12.8 / 12; one wrong tree of eight gives r_length + r_action, which is 0.5
    # more, a deviation of sqrt(7) / 8 of it
    mean = 12.8 / 12
    floor = (0.5 + mean) * math.sqrt(7) / 8
    right, _ = advantages_of(8, config("floor"))
    assert right[Action.ACCEPT] == pytest.approx((0.9 - mean) / (floor + 1e-4))
    assert right[Action.ACCEPT] == pytest.approx(-0.3216, abs=0.0001)
    assert right[Action.DELETE] == pytest.approx(0.0643, abs=0.0001)


@pytest.mark.parametrize("right", [1, 4, 7])
def test_a_floor_changes_nothing_where_trees_differ(right):
    # trees of equal size of which one is wrong: the deviation is that of the floor, or above
    paper, floor = (group_advantages(mixed(right, config(kind)), config(kind)) for kind in ("paper", "floor"))
    assert floor == [pytest.approx(tree, abs=1e-9) for tree in paper]


def test_apart_by_hand():
    # R_tree: 7 of 8 right; sample deviation over 96 decisions, of which 84 earn 1 and 12 earn 0
    std = math.sqrt(96 / 95 * (7 / 8) * (1 / 8))
    mean = 12.8 / 12
    right, wrong = advantages_of(7, config("apart"))
    assert right[Action.ACCEPT] == pytest.approx((1 / 8) / (std + 1e-4) + (0.9 - mean) / (1 + 1e-4))
    assert right[Action.DELETE] == pytest.approx((1 / 8) / (std + 1e-4) + (1.1 - mean) / (1 + 1e-4))
    assert wrong == pytest.approx(dict.fromkeys(wrong, -(7 / 8) / (std + 1e-4)))
    alone, _ = advantages_of(8, config("apart"))
    assert alone[Action.ACCEPT] == pytest.approx((0.9 - mean) / (1 + 1e-4))


def test_apart_of_replies_of_every_format_by_hand():
    settings = config("apart")
    group = [[decision(Action.CONTINUE, 0.0, settings, format=format)] for format in (1.0, 0.5, 0.0)]
    made = [advantage for tree in group_advantages(group, settings) for advantage in tree]
    assert made == pytest.approx([0.5 / 1.0001, 0.0, -0.5 / 1.0001])  # nothing is right: the format alone


@pytest.mark.parametrize("reward", ["rf", "format"])
def test_without_r_tree_apart_leaves_out_its_part(reward):
    settings = RewardConfig(advantages="apart", reward=reward)
    made = group_advantages(mixed(4, settings), settings)
    assert made[0] == pytest.approx(made[-1])  # right and wrong trees alike


def test_one_flip_is_the_deviation_that_one_wrong_tree_gives():
    assert one_flip(8) == pytest.approx(math.sqrt(sum((r - 7 / 8) ** 2 for r in [1] * 7 + [0]) / 8))
    assert one_flip(1) == one_flip(0) == 0.0


RIGHT = st.integers(1, 7)
LENGTHS = st.floats(0, 0.5)
TREES = st.lists(
    st.lists(st.tuples(st.sampled_from(list(Action)), LENGTHS), min_size=1, max_size=12), min_size=8, max_size=8
)


def rewarded(trees, right: int, settings: RewardConfig) -> list[list[DecisionRewards]]:
    return [
        [decision(action, float(i < right), settings, length) for action, length in tree]
        for i, tree in enumerate(trees)
    ]


@given(TREES, st.floats(0.2, 3.0), st.sampled_from(["floor", "apart"]))
def test_where_all_trees_are_right_advantages_are_bounded_by_the_rewards_of_actions(trees, lambda_auxin, kind):
    settings = config(kind, lambda_auxin)
    group = rewarded(trees, 8, settings)
    nodes = [reward.node for tree in group for reward in tree]
    unit = one_flip(8) * sum(nodes) / len(nodes) if kind == "floor" else 1.0
    bound = (max(nodes) - min(nodes)) / unit
    assert all(abs(a) <= bound + 1e-9 for tree in group_advantages(group, settings) for a in tree)


@given(
    TREES,
    RIGHT,
    st.one_of(st.tuples(st.just("floor"), st.floats(0.56, 1.8)), st.tuples(st.just("apart"), st.floats(0.5, 2.5))),
)
def test_no_action_outweighs_being_right(trees, right, kind_and_lambda):
    settings = config(*kind_and_lambda)
    alike = [[(action, 0.3) for action, _ in tree] for tree in trees]
    made = group_advantages(rewarded(alike, right, settings), settings)
    earned = {action: a for tree, actions in zip(made[:right], alike) for (action, _), a in zip(actions, tree)}
    lost = [a for tree in made[right:] for a in tree]
    assert min(earned.values()) - max(lost) > max(earned.values()) - min(earned.values())


# any group


@pytest.mark.parametrize("kind", KINDS)
@given(group=GROUPS)
def test_shape_is_kept_and_the_mean_is_zero(kind, group):
    advantages = group_advantages(given_totals(group), config(kind))
    assert [len(tree) for tree in advantages] == [len(tree) for tree in group]
    assert math.fsum(a for tree in advantages for a in tree) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(group=GROUPS, random=st.randoms())
def test_the_order_of_trees_does_not_matter(kind, group, random):
    order = list(range(len(group)))
    random.shuffle(order)
    advantages, permuted = (
        group_advantages(given_totals(trees), config(kind)) for trees in (group, [group[i] for i in order])
    )
    assert [pytest.approx(advantages[i], abs=1e-9) for i in order] == permuted


@given(GROUPS)
def test_better_decisions_have_larger_advantages(group):
    made = group_advantages(given_totals(group), config("paper"))
    pairs = [pair for rewards, advantages in zip(group, made) for pair in zip(rewards, advantages)]
    assert [a for _, a in sorted(pairs)] == sorted(a for _, a in pairs)


@given(st.lists(st.lists(TOTALS, min_size=2, max_size=6), min_size=1, max_size=6), st.floats(0, 3))
def test_a_floor_only_shrinks(group, floor):
    plain, bounded = normalised(group), normalised(group, floor)
    assert all(abs(b) <= abs(a) + 1e-12 for before, after in zip(plain, bounded) for a, b in zip(before, after))
