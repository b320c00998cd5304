"""From what lmms-eval logs of a sample to its score: by the task's own metric, as the task itself counts.

Supported are metrics whose value of one sample is

- a number from 0 to 1 (the world's ``accuracy``, and most tasks);
- a record with such a number as ``score`` (Video-MME);
- a record with ``answer`` and ``pred_answer`` or ``parsed_pred``, right where they are equal (MLVU, LongVideoBench);
- a record with ``ground_truth`` and ``pred``, right where their texts are equal (EgoSchema).

A task whose metric is a file for a server (``submission``) has no score of a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmms_videominer.errors import ConfigError

_PAIRS = (("answer", "pred_answer"), ("answer", "parsed_pred"))
_TEXTS = ("ground_truth", "pred")
WITHOUT_SCORE = frozenset({"submission"})  # metrics that only write a file for a server


def sample_score(value: Any) -> float | None:
    """The score in [0, 1] that a metric's value of one sample says; ``None`` where it says none.

    Args:
        value: As ``process_results`` of the task gave it.
    """
    if isinstance(value, (bool, int, float)):
        return float(value) if 0 <= value <= 1 else None
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("score"), (bool, int, float)):
        return sample_score(value["score"])
    for right, given in _PAIRS:
        if right in value and given in value:
            return None if value[right] is None else float(value[right] == value[given])
    if all(name in value for name in _TEXTS) and value[_TEXTS[0]] not in (None, ""):
        return float(str(value[_TEXTS[0]]) == str(value[_TEXTS[1]]))
    return None


def listed(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics of a task's ``metric_list`` of which more is better: a score is one of these."""
    return [entry["metric"] for entry in metrics if entry.get("higher_is_better", True)]


def scoring_metric(task: str, metrics: Sequence[str], samples: Sequence[Mapping[str, Any]]) -> str:
    """The first of ``metrics`` that says a score of every sample.

    Args:
        task: For the message.
        metrics: Those of the task, in its order.
        samples: As logged.

    Raises:
        ConfigError: None does.
    """
    for metric in metrics:
        if samples and all(sample_score(sample.get(metric)) is not None for sample in samples):
            return metric
    raise ConfigError(no_score(task, metrics))


def no_score(task: str, metrics: Sequence[str]) -> str:
    """Why a task with these metrics is refused."""
    return (
        f"task {task}: its metrics ({', '.join(metrics) or 'none'}) say no score from 0 to 1 of a sample, so that "
        "selectors cannot be compared question by question (docs/bench.md lists what is supported). For EgoSchema, "
        "whose answers are not public, take egoschema_subset"
    )
