"""The tasks ``videominer_world_<minutes>min``: questions about rendered videos with known answers and evidence.

The YAML files refer to attributes of this module. ``dataset_<minutes>min`` is computed when a task is loaded, not
when tasks are listed, so the videos are rendered on loading.
"""

from __future__ import annotations

import logging
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

LETTERS = "ABCD"
_NAME = re.compile(r"(dataset|documents)_(\d+)min")

logger = logging.getLogger(__name__)


def __getattr__(name: str) -> Any:
    match = _NAME.fullmatch(name)
    if not match:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    minutes = int(match.group(2))
    return dataset(minutes) if match.group(1) == "dataset" else partial(documents, minutes=minutes)


def dataset(minutes: int) -> dict[str, Any]:
    """``dataset_kwargs`` of the task: the file of questions; renders missing videos."""
    return {"data_files": {"test": str(_folder(minutes) / "qa.jsonl")}}


def documents(rows: Any, minutes: int) -> Any:
    """The rows for the task's video length; all rows, with a warning, if there are none of that length."""
    matching = rows.filter(lambda row: row["minutes"] == minutes, load_from_cache_file=False)
    if not len(matching):
        logger.warning(
            "videominer_world_%dmin: %s has no video of %d minutes; using all %d of its questions",
            minutes,
            _folder(minutes),
            minutes,
            len(rows),
        )
        matching = rows
    return matching.add_column("task_minutes", [minutes] * len(matching))


def doc_to_visual(doc: dict[str, Any]) -> list[str]:
    """The path of the question's video."""
    return [str(_folder(int(doc["task_minutes"])) / doc["video"])]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, str] | None = None) -> str:
    """The question and its lettered options, one per line."""
    kwargs = lmms_eval_specific_kwargs or {}
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, doc["options"]))
    return f"{kwargs.get('pre_prompt', '')}{doc['question']}\n{options}{kwargs.get('post_prompt', '')}"


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Accuracy, overall and for the kind of question."""
    from lmms_videominer.verdict import chosen_option

    right = float(chosen_option(results[0], doc["options"]) == LETTERS.index(doc["answer"]))
    return {"accuracy": right, f"accuracy_{doc['kind']}": right}


@cache
def _folder(minutes: int) -> Path:
    from lmms_videominer.world.tasks import ensure_task_world

    return Path(ensure_task_world(minutes)).absolute()
