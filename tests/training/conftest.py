"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.scripted import colour_video


@pytest.fixture(scope="session")
def film(video_dir: Path) -> str:
    """35 s of five plain scenes at 10 fps, yellow the shortest."""
    scenes = [("red", 8), ("green", 8), ("blue", 8), ("yellow", 3), ("white", 8)]
    return colour_video(video_dir / "five_scenes.mp4", scenes)
