"""The worlds behind the lmms-eval tasks ``videominer_world_*``: rendered on first use into the cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from lmms_videominer.errors import ConfigError
from lmms_videominer.world.script import SPLITS
from lmms_videominer.world.video import render_world

TASK_SEED = SPLITS["test"].start
# minutes -> (videos, questions a video): at least 200 questions a task
TASK_WORLDS = {1: (75, 3), 5: (42, 5), 15: (20, 10), 60: (20, 10)}


def ensure_task_world(minutes: int, progress: bool = True) -> Path:
    """Folder with ``qa.jsonl`` and the videos of ``videominer_world_<minutes>min``, rendered where absent.

    ``VIDEOMINER_WORLD`` names a folder made by ``videominer world`` to be used instead.

    Raises:
        ConfigError: That folder holds no ``qa.jsonl``.
    """
    given = os.environ.get("VIDEOMINER_WORLD")
    if given:
        if not (Path(given) / "qa.jsonl").is_file():
            raise ConfigError(
                f"VIDEOMINER_WORLD={given}: no qa.jsonl there. Make one with: "
                f"videominer world {given} --minutes {minutes} --videos 10 --seed 3000000"
            )
        return Path(given)
    videos, questions = TASK_WORLDS[minutes]
    folder = world_cache() / f"test-{minutes}min-{videos}x{questions}"
    if not (folder / "qa.jsonl").is_file():
        render_world(folder, minutes, videos, TASK_SEED, progress=progress, questions=questions)
    return folder


def world_cache() -> Path:
    """``worlds`` below ``$VIDEOMINER_CACHE``, or below ``~/.cache/videominer``."""
    root = os.environ.get("VIDEOMINER_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "videominer") / "worlds"
