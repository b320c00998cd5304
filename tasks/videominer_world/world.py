"""The tasks ``videominer_world_<minutes>min``: questions on rendered videos whose answers and evidence are known.

The YAML files name attributes of this module. ``dataset_<minutes>min`` is computed when a task is loaded, not
when tasks are listed: that is when the videos are rendered.
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
    """``dataset_kwargs`` of the task: the questions' file, its videos rendered where they are absent."""
    return {"data_files": {"test": str(_folder(minutes) / "qa.jsonl")}}


def documents(rows: Any, minutes: int) -> Any:
    """The rows of the task's length; all rows, with a warning, where the folder holds no such length."""
    kept = rows.filter(lambda row: row["minutes"] == minutes, load_from_cache_file=False)
    if not len(kept):
        logger.warning(
            "videominer_world_%dmin: %s holds no video of %d minutes; all %d of its questions are asked",
            minutes,
            _folder(minutes),
            minutes,
            len(rows),
        )
        kept = rows
    return kept.add_column("task_minutes", [minutes] * len(kept))


def doc_to_visual(doc: dict[str, Any]) -> list[str]:
    """The file of the question's video."""
    return [str(_folder(int(doc["task_minutes"])) / doc["video"])]


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, str] | None = None) -> str:
    """The question and its options, one a line with its letter."""
    around = lmms_eval_specific_kwargs or {}
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, doc["options"]))
    return f"{around.get('pre_prompt', '')}{doc['question']}\n{options}{around.get('post_prompt', '')}"


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Accuracy, overall and for the question's kind."""
    from lmms_videominer.verdict import chosen_option

    right = float(chosen_option(results[0], doc["options"]) == LETTERS.index(doc["answer"]))
    return {"accuracy": right, f"accuracy_{doc['kind']}": right}


@cache
def _folder(minutes: int) -> Path:
    from lmms_videominer.world.tasks import ensure_task_world

    return Path(ensure_task_world(minutes)).absolute()
