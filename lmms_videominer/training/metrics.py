"""Metrics of a rollout for the training log, and its trees as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from statistics import fmean

from lmms_videominer.store.file_names import file_name, is_case_folded
from lmms_videominer.store.selection_json import save
from lmms_videominer.training.advantages import has_signal
from lmms_videominer.training.batches import equal_rows
from lmms_videominer.training.groups import Group, Row
from lmms_videominer.training.rollout import DecisionSample, TreeRollout
from lmms_videominer.types import Action, Reading


def rollout_metrics(groups: Sequence[Group], rows: Sequence[Row] = ()) -> dict[str, float]:
    """Means over the decisions, trees and groups of all processes; without decisions or groups, theirs are omitted.

    ``reward/*``, ``action/*``, ``reading/*`` and ``completions/*`` are over decisions, ``tree/*`` over trees,
    ``groups/*`` over groups. ``tree/reward`` is R_tree, ``tree/correct`` the share of right answers, and
    ``tree/fallback`` that of trees that accept nothing. ``groups/all_right`` and ``groups/all_wrong`` are the shares of
    groups whose answers are all right and all wrong; ``advantage/accept`` is the mean advantage of the decisions to
    accept, and so on: the action that training makes more likely has the largest. ``replies`` counts the decisions
    that differ in prompt or completion: what an update costs.

    Args:
        groups: The trees.
        rows: Their decisions with advantages, by ``groups.rows``; without them, advantages and ``replies`` are omitted.
    """
    good = [group for group in groups if not group.failure]
    trees = [tree for group in good for tree in group.trees]
    decisions = [sample for tree in trees for sample in tree.decisions]
    metrics = {"groups/failed": float(len(groups) - len(good)), "decisions": float(len(decisions))}
    if good:
        metrics["groups/no_decision"] = float(len(undecided(good)))
        metrics["groups/no_signal"] = fmean(not has_signal(group.rewards) for group in good)
        metrics["groups/all_right"] = fmean(all(tree.correct for tree in group.trees) for group in good)
        metrics["groups/all_wrong"] = fmean(not any(tree.correct for tree in group.trees) for group in good)
        metrics["tree/reward"] = fmean(tree.tree_reward for tree in trees)
        metrics["tree/correct"] = fmean(tree.correct for tree in trees)
        metrics["tree/fallback"] = fmean(tree.in_fallback for tree in trees)
        metrics["tree/nodes"] = fmean(tree.nodes for tree in trees)
        metrics["tree/depth"] = fmean(tree.depth for tree in trees)
        metrics["tree/vlm_calls"] = fmean(tree.vlm_calls for tree in trees)
        metrics["tree/vlm_calls_cached"] = fmean(tree.vlm_calls_cached for tree in trees)
    if rows:
        metrics["replies"] = float(len(equal_rows(rows)))
        metrics |= _mean_advantages([sample.action for sample in decisions], [row.advantage for row in rows])
    return metrics | (_decision_metrics(decisions) if decisions else {})


def undecided(groups: Iterable[Group]) -> list[str]:
    """The ids of questions whose trees have no decisions, except those that failed."""
    return [
        group.question_id for group in groups if not group.failure and not any(tree.decisions for tree in group.trees)
    ]


def _decision_metrics(decisions: Sequence[DecisionSample]) -> dict[str, float]:
    lengths = [len(sample.completion_ids) for sample in decisions]
    totals = [sample.rewards.total for sample in decisions]
    parts = {
        f"reward/{part}": fmean(getattr(sample.rewards, part) for sample in decisions)
        for part in ("format", "length", "action")
    }
    return {
        "reward": fmean(totals),
        "reward_std": fmean((total - fmean(totals)) ** 2 for total in totals) ** 0.5,
        **parts,
        **_shares("action", Action, [sample.action for sample in decisions]),
        **_shares("reading", Reading, [sample.reading for sample in decisions]),
        "completions/mean_length": fmean(lengths),
        "completions/min_length": float(min(lengths)),
        "completions/max_length": float(max(lengths)),
    }


def _mean_advantages(actions: Sequence[Action], advantages: Sequence[float]) -> dict[str, float]:
    by_action: dict[Action, list[float]] = {}
    for action, advantage in zip(actions, advantages, strict=True):
        by_action.setdefault(action, []).append(advantage)
    return {f"advantage/{action.value}": fmean(values) for action, values in by_action.items()}


def ending_metrics(completions: Sequence[Sequence[int]], ends: Collection[int]) -> dict[str, float]:
    """The share of completions that were cut off, and the lengths of the others, under TRL's names.

    Args:
        completions: Token ids of every completion.
        ends: The tokens that end one.
    """
    if not completions:
        return {}
    lengths = [len(ids) for ids in completions if ids[-1] in ends]
    ended = lengths or [0]  # as in TRL
    return {
        "completions/clipped_ratio": 1 - len(lengths) / len(completions),
        "completions/mean_terminated_length": fmean(ended),
        "completions/min_terminated_length": float(min(ended)),
        "completions/max_terminated_length": float(max(ended)),
    }


def _shares(name: str, kinds: Iterable[Action] | Iterable[Reading], values: Sequence[object]) -> dict[str, float]:
    counts = Counter(values)
    return {f"{name}/{kind.value}": counts[kind] / len(values) for kind in kinds}


def save_trees(rollouts: Iterable[TreeRollout], folder: Path) -> list[Path]:
    """Write each tree as JSON; the file name has its question, its number and whether its answer was correct."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for rollout in rollouts:
        name = file_name(rollout.question_id, is_case_folded(folder))
        verdict = "right" if rollout.correct else "wrong"
        paths.append(folder / f"{name}.tree-{rollout.tree}.{verdict}.json")
        save(rollout.selection, paths[-1])
    return paths
