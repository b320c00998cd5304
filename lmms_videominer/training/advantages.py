"""The advantages of T-GRPO, over all decisions of all trees of a group (arXiv 2510.06040, section 3.2).

As published, a group in which every tree is right has no variance but that between the rewards of actions, and the
division by the standard deviation makes it as large as that between right and wrong: the better the policy, the more it
is taught to prefer actions to answers. ``floor`` and ``apart`` do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from lmms_videominer.training.rewards import DecisionRewards, RewardConfig

EPSILON = 1e-4  # keeps the quotient finite; the value in TRL's GRPOTrainer
NODE_FLOOR = 1.0  # the mean of the three rewards of actions, at every lambda_auxin


def group_advantages(trees: Sequence[Sequence[DecisionRewards]], config: RewardConfig) -> list[list[float]]:
    """The advantage of every decision of one question's trees, as ``config.advantages`` says.

    - ``paper``: ``normalised`` R_total.
    - ``floor``: the same, where the deviation counts as at least ``one_flip`` times the group's mean of
      r_length + r_action: what it would be if all trees were right but one. In a group of n trees that are all right,
      the advantages of two actions then differ by at most n / sqrt(n - 1) times their rewards' difference in units of
      that mean. An action never outweighs being right for lambda_auxin from 0.56 to 1.8: there the least reward of an
      action exceeds the difference between two.
    - ``apart``: R_tree, with a deviation of at least ``one_flip``, plus what is left of R_total,
      ``r_format + (r_length + r_action - mean) R_tree``, with a deviation of at least ``NODE_FLOOR``; the mean is that
      over the decisions that earn R_tree. Two actions differ by at most the difference of their rewards. R_tree of 1
      and 0 differ by 1.8 or more (from 8 decisions on), which no action outweighs for lambda_auxin from 0.5 to 2.5.
    - ``unscaled``: R_total less its mean, as TRL's ``scale_rewards=none``.

    A group with equal R_total or a single decision carries no signal: its advantages are 0.

    Args:
        trees: The rewards by tree and decision; trees may be empty and differ in length.
        config: The settings that the rewards were computed with.

    Returns:
        Advantages in the same shape.
    """
    totals = [[decision.total for decision in tree] for tree in trees]
    if not has_signal(totals):
        return [[0.0] * len(tree) for tree in trees]
    if config.advantages == "unscaled":
        return centred(totals)
    if config.advantages == "apart":
        return _apart(trees, config)
    floor = 0.0
    if config.advantages == "floor":
        floor = one_flip(len(trees)) * fmean(decision.node for tree in trees for decision in tree)
    return normalised(totals, floor)


def _apart(trees: Sequence[Sequence[DecisionRewards]], config: RewardConfig) -> list[list[float]]:
    answers = [[config.factor(decision.tree) for decision in tree] for tree in trees]
    earned = math.fsum(factor for tree in answers for factor in tree)
    nodes = math.fsum(config.factor(decision.tree) * decision.node for tree in trees for decision in tree)
    mean = nodes / earned if earned else 0.0
    rest = [
        [decision.format + config.factor(decision.tree) * (decision.node - mean) for decision in tree] for tree in trees
    ]
    parts = normalised(answers, one_flip(len(trees))), normalised(rest, NODE_FLOOR)
    return [[sum(pair) for pair in zip(*pairs, strict=True)] for pairs in zip(*parts, strict=True)]


def one_flip(trees: int) -> float:
    """The deviation of R_tree over ``trees`` trees of equal size of which all but one are right: sqrt(n - 1) / n."""
    return math.sqrt(trees - 1) / trees if trees else 0.0


def normalised(values: Sequence[Sequence[float]], floor: float = 0.0) -> list[list[float]]:
    """``(r - mean{r}) / (max(std{r}, floor) + 1e-4)`` over all values.

    The standard deviation is that of the sample (n - 1), as in TRL: with one decision per tree, the advantages of
    ``paper`` are GRPO's.

    Args:
        values: At least two in all, by tree and decision.
        floor: In the units of the values.
    """
    flat = [value for tree in values for value in tree]
    mean = math.fsum(flat) / len(flat)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in flat) / (len(flat) - 1))
    return [[(value - mean) / (max(std, floor) + EPSILON) for value in tree] for tree in values]


def centred(values: Sequence[Sequence[float]]) -> list[list[float]]:
    """``r - mean{r}`` over all values."""
    mean = fmean(value for tree in values for value in tree)
    return [[value - mean for value in tree] for tree in values]


def has_signal(rewards: Sequence[Sequence[float]]) -> bool:
    """Whether the rewards of a group's decisions differ."""
    return len({reward for tree in rewards for reward in tree}) > 1
