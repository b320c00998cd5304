"""Running lmms-eval by its own ``main``, in a forked process that finds it imported and its tasks indexed."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmms_videominer.errors import VideoMinerError

TASK = "videominer_world_1min"


def import_all() -> None:
    """Import lmms-eval, and read its thousand task files once for all forked processes."""
    import lmms_eval.__main__  # noqa: F401
    from lmms_eval.tasks import TaskManager

    import lmms_videominer.lmms.wrapper  # noqa: F401

    read, known = TaskManager._get_task_and_group, {}

    def read_once(manager: Any, folder: str) -> dict[str, Any]:
        if folder not in known:
            known[folder] = read(manager, folder)
        return dict(known[folder])

    TaskManager._get_task_and_group = read_once
    TaskManager()


def evaluate(world: Path, cache: Path, out: Path, model: str, model_args: str, *more: str) -> int:
    """Answer the questions of ``world``; an error of the run is raised, not printed."""
    from lmms_eval.__main__ import cli_evaluate

    os.environ.update(VIDEOMINER_WORLD=str(world), VIDEOMINER_CACHE=str(cache))
    arguments = ["--model", model, "--model_args", model_args, "--tasks", TASK, "--batch_size", "4"]
    sys.argv = ["lmms-eval", *arguments, "--output_path", str(out), "--log_samples", "--verbosity", "DEBUG", *more]
    try:
        cli_evaluate()
    except (Exception, SystemExit) as error:
        if ours := purposeful(error):
            raise ours from None
        raise
    return 0


def purposeful(error: BaseException | None) -> VideoMinerError | None:
    """The error of this package among ``error`` and its causes."""
    while error is not None and not isinstance(error, VideoMinerError):
        error = error.__cause__ or error.__context__
    return error


def samples(out: Path) -> dict[str, Any]:
    """What the newest run below ``out`` logged of each document, and the documents that it logged more than once."""
    files = sorted(out.rglob("*_samples_*.jsonl"))
    lines = [json.loads(line) for line in files[-1].read_text(encoding="utf-8").splitlines()] if files else []
    counts = Counter(str(line["doc_id"]) for line in lines)
    return {
        "samples": {str(line["doc_id"]): _sample(line) for line in lines},
        "doubled": sorted(name for name, count in counts.items() if count > 1),
    }


def _sample(line: dict[str, Any]) -> dict[str, Any]:
    counts: Sequence[Any] = line.get("token_counts") or [{}]
    note = (counts[0] or {}).get("videominer", {})
    told = {name: note[name] for name in ("problem", "fallbacks", "empty", "missing") if note.get(name)}
    return {"how": note.get("how"), "frames": note.get("frames"), "answer": line["filtered_resps"], "told": told}
