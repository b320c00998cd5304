"""The scripts in ``examples/``, run as a user runs them, from a folder of the user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.real_server import transformers_serve

from lmms_videominer.store import selection_json
from lmms_videominer.world import render_world

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.launches


def run(script: str, *arguments: str, folder: Path) -> list[str]:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=dict(os.environ))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[str, dict]:
    """A film of a minute and a question on it."""
    folder = tmp_path_factory.mktemp("world")
    rows = render_world(folder, 1, 1, 17, workers=1, progress=False, questions=1)
    row = json.loads(rows.read_text())
    return str(folder / row["video"]), row


def test_one_film_is_mined_and_its_frames_and_parts_are_written(tmp_path):
    told = run("one_film.py", folder=tmp_path)
    found = selection_json.load(tmp_path / "found" / "tree.json")
    assert told[0] == f"{found.question.text} {found.answer}" and found.answer
    pictures = sorted((tmp_path / "found" / "frames").glob("*.png"))
    assert len(pictures) == len(found.key_frames) == sum(" pixels, of " in line for line in told) > 0
    assert all(Image.open(path).size == (found.video.width, found.video.height) for path in pictures)
    assert sum(line.startswith("wrote ") for line in told) > len(pictures)
    assert told[-1] == f"a message of {2 * len(pictures) + 1} parts"


def test_several_questions_are_asked_in_one_go(world, tmp_path):
    film, row = world
    told = run("mine_batch.py", film, row["question"], "What is shown last?", folder=tmp_path)
    assert told[0] == row["question"] and told[3] == "What is shown last?"
    assert sum(line.startswith("  key frames at ") for line in told) == 2


def test_served_models_mine_a_film(world, tmp_path):
    film, row = world
    options = [word for option in row["options"] for word in ("--option", option)]
    with transformers_serve(tmp_path / "log") as url:
        told = run("served_models.py", film, row["question"], *options, "--url", url, folder=tmp_path)
    assert told[0].strip() and told[1].startswith("key frames at ")
    captions, decisions = (int(part.split()[0]) for part in told[2].split(", "))
    assert captions > 0 and decisions > 0
