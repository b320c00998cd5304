"""Metrics of a rollout for the training log, and its trees as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from lmms_videominer.store.file_names import file_name, is_case_folded
from lmms_videominer.store.selection_json import save
from lmms_videominer.training.advantages import has_signal
from lmms_videominer.training.groups import Group
from lmms_videominer.training.rollout import DecisionSample, TreeRollout
from lmms_videominer.types import Action, Reading


def rollout_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Means over the decisions, trees and groups of all processes; without decisions or groups, theirs are omitted.

    ``reward/*``, ``action/*``, ``reading/*`` and ``completions/*`` are over decisions, ``tree/*`` over trees,
    ``groups/*`` over groups.
    """
    good = [group for group in groups if not group.failure]
    trees = [tree for group in good for tree in group.trees]
    decisions = [sample for tree in trees for sample in tree.decisions]
    metrics = {"groups/failed": float(len(groups) - len(good)), "decisions": float(len(decisions))}
    if good:
        metrics["groups/no_decision"] = float(len(undecided(good)))
        metrics["groups/no_signal"] = fmean(not has_signal(group.rewards) for group in good)
        metrics["tree/reward"] = fmean(tree.tree_reward for tree in trees)
        metrics["tree/nodes"] = fmean(tree.nodes for tree in trees)
        metrics["tree/depth"] = fmean(tree.depth for tree in trees)
        metrics["tree/vlm_calls"] = fmean(tree.vlm_calls for tree in trees)
        metrics["tree/vlm_calls_cached"] = fmean(tree.vlm_calls_cached for tree in trees)
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


def _shares(name: str, kinds: Iterable[Action] | Iterable[Reading], values: Sequence[object]) -> dict[str, float]:
    counts = Counter(values)
    return {f"{name}/{kind.value}": counts[kind] / len(values) for kind in kinds}


def save_trees(rollouts: Iterable[TreeRollout], folder: Path) -> list[Path]:
    """Write each tree as JSON; the file name has its question, its number and whether its answer was correct."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for rollout in rollouts:
        name = file_name(rollout.question_id, is_case_folded(folder))
        verdict = "right" if rollout.tree_reward else "wrong"
        paths.append(folder / f"{name}.tree-{rollout.tree}.{verdict}.json")
        save(rollout.selection, paths[-1])
    return paths
