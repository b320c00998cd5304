"""The worlds behind the lmms-eval tasks ``videominer_world_*``: rendered on first use into the cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from lmms_videominer.errors import ConfigError
from lmms_videominer.store.cache import cache_root
from lmms_videominer.world.script import SPLITS
from lmms_videominer.world.video import render_world

TASK_SEED = SPLITS["test"].start
# minutes -> (videos, questions per video): at least 200 questions per task
TASK_WORLDS = {1: (75, 3), 5: (42, 5), 15: (20, 10), 60: (20, 10)}


def ensure_task_world(minutes: int, progress: bool = True) -> Path:
    """The folder with ``qa.jsonl`` and the videos of ``videominer_world_<minutes>min``; renders them if absent.

    The environment variable ``VIDEOMINER_WORLD`` may name a folder written by ``videominer world`` to use instead.

    Raises:
        ConfigError: That folder has no ``qa.jsonl``.
    """
    folder_name = os.environ.get("VIDEOMINER_WORLD")
    if folder_name:
        if not (Path(folder_name) / "qa.jsonl").is_file():
            raise ConfigError(
                f"VIDEOMINER_WORLD={folder_name}: there is no qa.jsonl in it. Create one with: "
                f"videominer world {folder_name} --minutes {minutes} --videos 10 --seed 3000000"
            )
        return Path(folder_name)
    videos, questions = TASK_WORLDS[minutes]
    folder = world_cache() / f"test-{minutes}min-{videos}x{questions}"
    if not (folder / "qa.jsonl").is_file():
        render_world(folder, minutes, videos, TASK_SEED, progress=progress, questions=questions)
    return folder


def world_cache() -> Path:
    """``worlds`` below ``$VIDEOMINER_CACHE``, or below ``~/.cache/videominer``."""
    return cache_root() / "worlds"
