"""Regroups the trees of all processes and turns their decisions into rows with advantages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmms_videominer.errors import TrainingError, VideoMinerError
from lmms_videominer.training.advantages import group_advantages
from lmms_videominer.training.rewards import RewardConfig
from lmms_videominer.training.rollout import DecisionSample, RolloutJob, TreeRollout

Logprobs = Mapping[tuple[tuple[int, ...], tuple[int, ...]], Sequence[float | None]]


@dataclass(frozen=True)
class TreeRecord:
    """The data of one tree that processes exchange.

    Attributes:
        question_id, tree: Its question, and its number in the group.
        decisions: Its training samples, by level and order.
        tree_reward: R_tree.
        nodes, depth: Number of nodes without the root, and depth of the tree.
        vlm_calls, vlm_calls_cached: Captions generated for it, and captions found in the cache.
        logprobs: By decision, the sampler's own log-probabilities of its tokens, if it returns them; ``None`` for a
            token that it could not score.
        failure: Why there is no tree; empty if there is one.
        correct: Whether the answer is.
        in_fallback: Whether the tree accepted nothing.
    """

    question_id: str
    tree: int
    decisions: tuple[DecisionSample, ...] = ()
    tree_reward: float = 0.0
    nodes: int = 0
    depth: int = 0
    vlm_calls: int = 0
    vlm_calls_cached: int = 0
    logprobs: tuple[tuple[float | None, ...], ...] = ()
    failure: str = ""
    correct: bool = False
    in_fallback: bool = False


@dataclass(frozen=True)
class Row:
    """One decision in training: one row of a batch."""

    question_id: str
    tree: int
    node_id: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    advantage: float
    logprobs: tuple[float | None, ...] = ()

    def __str__(self) -> str:
        return f"question {self.question_id}, tree {self.tree}, node {self.node_id}"


def record(job: RolloutJob, rollout: TreeRollout | VideoMinerError, logprobs: Logprobs) -> TreeRecord:
    """The record of one rolled out tree, or of its error, for the other processes."""
    if isinstance(rollout, VideoMinerError):
        return TreeRecord(job.question_id, job.tree, failure=str(rollout))
    nodes, usage = rollout.selection.nodes, rollout.selection.usage
    keys = [(sample.prompt_ids, sample.completion_ids) for sample in rollout.decisions]
    return TreeRecord(
        job.question_id,
        job.tree,
        rollout.decisions,
        rollout.tree_reward,
        max(0, len(nodes) - 1),
        max((node.depth for node in nodes), default=0),
        usage.vlm_calls,
        usage.vlm_calls_cached,
        tuple(tuple(logprobs[key]) for key in keys) if logprobs else (),
        correct=rollout.correct,
        in_fallback=rollout.in_fallback,
    )


@dataclass(frozen=True)
class Group:
    """The trees of one question in the order of their numbers.

    Attributes:
        failure: Why the group is left out, the error of one of its trees; empty if there is none.
    """

    question_id: str
    trees: tuple[TreeRecord, ...]
    failure: str = ""

    @property
    def rewards(self) -> list[list[float]]:
        """R_total by tree and decision."""
        return [[sample.rewards.total for sample in tree.decisions] for tree in self.trees]


def grouped(records: Sequence[TreeRecord]) -> list[Group]:
    """Groups in the order of their first tree; one failed tree fails its group."""
    members: dict[str, list[TreeRecord]] = {}
    for tree in records:
        members.setdefault(tree.question_id, []).append(tree)
    return [
        Group(
            name,
            tuple(sorted(trees, key=lambda tree: tree.tree)),
            next((tree.failure for tree in trees if tree.failure), ""),
        )
        for name, trees in members.items()
    ]


def rows(groups: Sequence[Group], config: RewardConfig) -> list[Row]:
    """Every decision of every tree, with its advantage, without the groups that failed.

    Args:
        config: The settings that the rewards were computed with; they say how advantages are.

    Raises:
        TrainingError: A reward is not finite; the message names its decision and its parts.
    """
    result = []
    for group in groups:
        if group.failure:
            continue
        _check_finite(group)
        rewards = [[sample.rewards for sample in tree.decisions] for tree in group.trees]
        for tree, advantages in zip(group.trees, group_advantages(rewards, config), strict=True):
            all_logprobs = tree.logprobs or [()] * len(tree.decisions)
            for sample, advantage, logprobs in zip(tree.decisions, advantages, all_logprobs, strict=True):
                result.append(
                    Row(
                        group.question_id,
                        tree.tree,
                        sample.node_id,
                        sample.prompt_ids,
                        sample.completion_ids,
                        advantage,
                        tuple(logprobs),
                    )
                )
    return result


def _check_finite(group: Group) -> None:
    for tree in group.trees:
        for sample in tree.decisions:
            if not math.isfinite(sample.rewards.total):
                raise TrainingError(
                    f"question {group.question_id}, tree {tree.tree}, node {sample.node_id}: the "
                    f"reward is {sample.rewards.total}: {dataclasses.asdict(sample.rewards)}"
                )
