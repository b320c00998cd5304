"""What the tests of the comparison share: a tiny model and a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.cells import EVIDENCE_S, TINY, InProcess
from support.evaluation import row, six_scenes, write_task
from support.tiny_models import LARGE, tiny_qwen2_vl

from lmms_videominer.bench.plan import Settings, settings_of
from lmms_videominer.lmms.handover import write_lossless


@pytest.fixture(scope="session")
def vlm(tmp_path_factory) -> str:
    return tiny_qwen2_vl(tmp_path_factory.mktemp("vlm"), side=LARGE)


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> list[Path]:
    """Two videos of a minute at one frame a second."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    paths = [folder / f"{name}.mp4" for name in ("one", "two")]
    for path in paths:
        write_lossless(path, six_scenes(rng), 1.0)
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


@pytest.fixture
def in_process() -> InProcess:
    return InProcess()
