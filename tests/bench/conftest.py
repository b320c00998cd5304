"""What the tests of the comparison share: the plugin's tiny models and tasks, and cells run in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "lmms"))
from evaluation import row, write_task
from tiny_models import LARGE, tiny_qwen2_vl

from lmms_videominer.bench.plan import Settings, settings_of
from lmms_videominer.lmms.handover import write_lossless

EVIDENCE_S = ((8.0, 16.0), (40.0, 52.0))
TINY = ["events=4", "scan_frames=16", "max_depth=1", "caption_tokens=4", "policy_tokens=4", "clustering=none"]
_index: dict[str, dict] = {}


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """No hub, and a cache of its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIDEOMINER_WORLD", raising=False)


@pytest.fixture(scope="session")
def vlm(tmp_path_factory) -> str:
    return tiny_qwen2_vl(tmp_path_factory.mktemp("vlm"), side=LARGE)


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> list[Path]:
    """Two videos of a minute at one frame a second."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    paths = [folder / f"{name}.mp4" for name in ("one", "two")]
    for path in paths:
        scenes = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
        frames = np.repeat(np.kron(scenes, np.ones((1, LARGE // 4, LARGE // 4, 1), np.uint8)), 10, axis=0)
        write_lossless(path, frames, 1.0)
    return paths


@pytest.fixture(scope="session")
def tasks(tmp_path_factory, films) -> Path:
    """Folder of the task ``tiny_video``: three questions on two videos, their evidence known."""
    folder = tmp_path_factory.mktemp("tasks")
    write_task(folder, "tiny_video", [row(n, films[n % 2], evidence=EVIDENCE_S) for n in range(3)])
    return folder


@pytest.fixture(scope="session")
def settings(vlm, tasks) -> Settings:
    return settings_of("videominer_qwen2vl", vlm, TINY, include_path=str(tasks), batch_size=4)


class InProcess:
    """Runs the command lines of a comparison in this process, by the programs' own ``main``; they start in no time.

    Attributes:
        ran: The tasks of the cells that were run, with their selectors.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, command: Sequence[str], log: Path) -> int:
        from lmms_eval.__main__ import cli_evaluate
        from lmms_eval.tasks import TaskManager

        from lmms_videominer.bench import loading

        module, arguments = command[2], list(command[3:])
        read = TaskManager._get_task_and_group

        def read_once(manager: Any, folder: str) -> dict:
            """lmms-eval's own thousand YAML files are read once for all tests; every other folder each time."""
            if not folder.rstrip("/").endswith("lmms_eval/tasks"):
                return read(manager, folder)
            if folder not in _index:
                _index[folder] = dict(read(manager, folder))
            return dict(_index[folder])

        with (
            log.open("w", encoding="utf-8") as file,
            redirect_stdout(file),
            redirect_stderr(file),
            mock.patch.object(sys, "argv", ["lmms-eval", *arguments]),
            mock.patch.object(TaskManager, "_get_task_and_group", read_once),
        ):
            if module == "lmms_videominer.bench.loading":
                return loading.main(arguments)
            self.ran.append(arguments[arguments.index("--model_args") + 1].partition("selector=")[2].partition(",")[0])
            cli_evaluate()
            return 0


@pytest.fixture
def in_process() -> InProcess:
    return InProcess()
