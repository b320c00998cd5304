"""The advantages of T-GRPO, over all decisions of all trees of a group (arXiv 2510.06040, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

EPSILON = 1e-4  # keeps the quotient finite; the value in TRL's GRPOTrainer


def group_advantages(rewards: Sequence[Sequence[float]]) -> list[list[float]]:
    """``A_ij = (r_ij - mean{r}) / (std{r} + 1e-4)`` over every decision j of every tree i of one question.

    The standard deviation is that of the sample (n - 1), as in TRL: with one decision per tree these are GRPO's
    advantages. A group with equal rewards or a single decision carries no signal: its advantages are 0.

    Args:
        rewards: R_total by tree and decision; trees may be empty and differ in length.

    Returns:
        Advantages in the same shape.
    """
    if not has_signal(rewards):
        return [[0.0] * len(tree) for tree in rewards]
    flat = [reward for tree in rewards for reward in tree]
    mean = math.fsum(flat) / len(flat)
    std = math.sqrt(math.fsum((reward - mean) ** 2 for reward in flat) / (len(flat) - 1))
    return [[(reward - mean) / (std + EPSILON) for reward in tree] for tree in rewards]


def has_signal(rewards: Sequence[Sequence[float]]) -> bool:
    """Whether the rewards of a group's decisions differ."""
    return len({reward for tree in rewards for reward in tree}) > 1
