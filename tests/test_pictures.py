"""The pictures of the docs are those of today's code and models: ``python docs/pictures.py`` makes them again."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmms_videominer.show.sheet import contact_sheet
from lmms_videominer.store import selection_json
from lmms_videominer.types import Selection
from lmms_videominer.world.questions import LETTERS, write_questions
from lmms_videominer.world.render import render_times
from lmms_videominer.world.script import write_script

DOCS = Path(__file__).parents[1] / "docs"
STALE = "is not what today's code makes; make it again: python docs/pictures.py sheet"
BLOCK = 16  # pixels: in blocks of this side pictures are compared
MOST = 12.0  # of 255: mean difference of a block that film and JPEG code can make


def test_the_sheet_in_the_docs_is_drawn_as_today(tmp_path):
    selection = selection_json.load(DOCS / "sheet.json")
    draw(selection, tmp_path / "sheet.jpg")
    assert difference(DOCS / "sheet.jpg", tmp_path / "sheet.jpg") < MOST, f"docs/sheet.jpg {STALE}"


def test_a_sheet_that_says_something_else_is_another_one(tmp_path):
    selection = selection_json.load(DOCS / "sheet.json")
    captions = selection.usage.vlm_calls
    draw(replace(selection, usage=replace(selection.usage, vlm_calls=captions + 1)), tmp_path / "other.jpg")
    assert difference(DOCS / "sheet.jpg", tmp_path / "other.jpg") > MOST


@pytest.mark.launches
def test_the_sheet_in_the_docs_is_what_the_bundled_models_find_today(tmp_path):
    pictures = script_of_the_docs()
    (tmp_path / "film").mkdir()
    pictures.sheet(tmp_path, tmp_path / "film")
    made, kept = (shown(selection_json.load(folder / "sheet.json")) for folder in (tmp_path, DOCS))
    assert made == kept, f"docs/sheet.jpg {STALE}"


def shown(selection: Selection) -> list:
    """What the sheet shows of a selection."""
    frames = [frame.time_s for frame in selection.key_frames]
    nodes = [(node.id, node.spans, node.decision and node.decision.action) for node in selection.nodes]
    return [selection.question, selection.answer, selection.fallbacks, frames, nodes]


def script_of_the_docs():
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw(selection: Selection, path: Path) -> None:
    """Draw the sheet of the demo from its tree alone: its frames are rendered, its film is not."""
    pictures = script_of_the_docs()
    script = write_script(pictures.FREE_SEED, 0, pictures.MINUTES)
    frames = render_times(script, np.array([frame.time_s for frame in selection.key_frames]))
    asked = write_questions(script, 10)[0]  # as the demo asks
    contact_sheet(selection, frames, path, LETTERS.index(asked.answer))


def difference(one: Path, other: Path) -> float:
    """The mean difference of the block that differs most; infinite if the pictures are not of one size."""
    first, second = (np.asarray(Image.open(path).convert("RGB")).astype(float) for path in (one, other))
    if first.shape != second.shape:
        return float("inf")
    height, width = (side // BLOCK * BLOCK for side in first.shape[:2])
    apart = abs(first - second)[:height, :width]
    return float(apart.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3, 4)).max())
