"""Computes the score of a logged sample by the task's own metric.

Supported metrics have, for each sample,

- a number from 0 to 1 (the world's ``accuracy``, and most tasks);
- a record with such a number as ``score`` (Video-MME);
- a record with ``answer`` and ``pred_answer`` or ``parsed_pred``, correct if equal (MLVU, LongVideoBench);
- a record with ``ground_truth`` and ``pred``, correct if their texts are equal (EgoSchema).

A task whose metric is a file for a server (``submission``) has no scores per sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmms_videominer.errors import ConfigError

_PAIRS = (("answer", "pred_answer"), ("answer", "parsed_pred"))
_TEXTS = ("ground_truth", "pred")
WITHOUT_SCORE = frozenset({"submission"})  # metrics that only write a file for a server


def sample_score(value: Any) -> float | None:
    """The score in [0, 1] of a metric's value for one sample; ``None`` if it has none.

    Args:
        value: The value returned by ``process_results`` of the task.
    """
    if isinstance(value, (bool, int, float)):
        return float(value) if 0 <= value <= 1 else None
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("score"), (bool, int, float)):
        return sample_score(value["score"])
    for target, reply in _PAIRS:
        if target in value and reply in value:
            return None if value[target] is None else float(value[target] == value[reply])
    if all(name in value for name in _TEXTS) and value[_TEXTS[0]] not in (None, ""):
        return float(str(value[_TEXTS[0]]) == str(value[_TEXTS[1]]))
    return None


def listed(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics of a task's ``metric_list`` for which higher is better: a score must be one of these."""
    return [entry["metric"] for entry in metrics if entry.get("higher_is_better", True)]


def scoring_metric(task: str, metrics: Sequence[str], samples: Sequence[Mapping[str, Any]]) -> str:
    """The first of ``metrics`` that has a score for every sample.

    Args:
        task: The task's name, for the error message.
        metrics: The metrics of the task, in its order.
        samples: The logged samples.

    Raises:
        ConfigError: No metric has one.
    """
    for metric in metrics:
        if samples and all(sample_score(sample.get(metric)) is not None for sample in samples):
            return metric
    raise ConfigError(no_score(task, metrics))


def no_score(task: str, metrics: Sequence[str]) -> str:
    """Why a task with these metrics is rejected."""
    return (
        f"task {task}: its metrics ({', '.join(metrics) or 'none'}) give no score from 0 to 1 per sample, so "
        "selectors cannot be compared question by question (docs/bench.md lists what is supported). For EgoSchema, "
        "whose answers are not public, use egoschema_subset"
    )
