"""Tiny models, videos and tasks that the tests of the plugin share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.evaluation import row, six_scenes, write_task
from support.tiny_models import LARGE, VIDEO_MODELS
from support.tiny_scorers import tiny_clip

from lmms_videominer.lmms.handover import write_lossless


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """``tiny("qwen2_vl")``: the folder of that tiny model, made once."""
    made: dict[str, str] = {}

    def folder(name: str) -> str:
        if name not in made:
            made[name] = VIDEO_MODELS[name](tmp_path_factory.mktemp(name), side=LARGE)
        return made[name]

    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> str:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> list[Path]:
    """Two videos of 15 s at 4 frames a second, all of whose frames differ, lossless."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    paths = [folder / f"{name}.mp4" for name in ("one", "two")]
    for path in paths:
        frames = six_scenes(rng)
        for number, frame in enumerate(frames):
            frame[20:80, number : number + 60] = 255 - 4 * number
        write_lossless(path, frames, 4.0)
    return paths


@pytest.fixture(scope="session")
def task(tmp_path_factory, videos) -> Path:
    """Folder of the task ``tiny_video``: three questions on two videos."""
    folder = tmp_path_factory.mktemp("tasks")
    write_task(folder, "tiny_video", [row(number, videos[number % 2]) for number in range(3)])
    return folder
