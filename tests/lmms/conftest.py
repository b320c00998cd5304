"""Tiny models, videos and tasks that the tests of the plugin share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation import row, write_task
from tiny_models import LARGE, VIDEO_MODELS

from lmms_videominer.lmms.handover import write_lossless


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """No hub, and a cache of its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIDEOMINER_WORLD", raising=False)


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
def videos(tmp_path_factory) -> list[Path]:
    """Two videos of 15 s at 4 frames a second, all of whose frames differ, lossless."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    paths = [folder / f"{name}.mp4" for name in ("one", "two")]
    for path in paths:
        scenes = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
        frames = np.repeat(np.kron(scenes, np.ones((1, LARGE // 4, LARGE // 4, 1), np.uint8)), 10, axis=0)
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
