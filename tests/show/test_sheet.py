"""The contact sheet: read back from its pixels."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor
from support.mined import mined_selection, pictures

from lmms_videominer.errors import ConfigError
from lmms_videominer.show.sheet import GREEN, RED, WIDTH, contact_sheet
from lmms_videominer.show.timeline import COLOURS, EVIDENCE, spread
from lmms_videominer.show.typeface import fitting, wrapped
from lmms_videominer.types import Action, Selection, Span


def drawn(selection: Selection, folder: Path, right_option: int | None = None, frames: np.ndarray | None = None):
    """uint8 [H, W, 3]: the sheet, read back."""
    path = folder / "sheet.png"  # lossless, so that pixels can be compared
    contact_sheet(selection, pictures(selection) if frames is None else frames, path, right_option)
    return np.asarray(Image.open(path).convert("RGB"))


def count(sheet: np.ndarray, colour: str) -> int:
    return int((sheet == np.array(ImageColor.getrgb(colour))).all(-1).sum())


def test_every_key_frame_is_on_the_sheet_in_order(tmp_path):
    selection = mined_selection()
    sheet = drawn(selection, tmp_path)
    assert sheet.shape[1] == WIDTH
    places = []
    for index in range(len(selection.key_frames)):
        rows, columns = np.nonzero((sheet == 40 + 20 * index).all(-1))
        assert len(rows) > 20_000  # a picture, not a stray line
        places.append((np.median(rows) // 100, np.median(columns)))
    assert places == sorted(places)


def test_decisions_have_their_colours_and_missing_ones_have_none(tmp_path):
    selection = mined_selection()
    sheet = drawn(selection, tmp_path)
    assert all(count(sheet, colour) > 100 for colour in COLOURS.values())
    without = tuple(n for n in selection.nodes if not (n.decision and n.decision.action is Action.CONTINUE))
    assert count(drawn(dataclasses.replace(selection, nodes=without), tmp_path), COLOURS[Action.CONTINUE]) == 0


def test_a_level_covers_as_much_of_its_row_as_of_the_video(tmp_path):
    selection = mined_selection()
    level = tuple(n for n in selection.nodes if n.depth <= 1)
    sheet = drawn(dataclasses.replace(selection, nodes=level, key_frames=()), tmp_path)
    timeline = sheet[-160:]
    deleted, continued = (count(timeline, COLOURS[a]) for a in (Action.DELETE, Action.CONTINUE))
    assert deleted / continued == pytest.approx((720 + 600 + 900) / (780 + 600), rel=0.05)


def test_a_moment_of_a_second_in_an_hour_is_seen(tmp_path):
    selection = mined_selection()
    short = dataclasses.replace(selection.question, evidence=(Span(1131.0, 1132.0),))
    sheet = drawn(dataclasses.replace(selection, question=short, key_frames=()), tmp_path)
    assert count(sheet[-160:], EVIDENCE) > 100


def test_evidence_is_shown_only_where_it_is_known(tmp_path):
    selection = mined_selection()
    blind = dataclasses.replace(selection, question=dataclasses.replace(selection.question, evidence=()))
    assert count(drawn(selection, tmp_path), EVIDENCE) > 1000
    assert count(drawn(blind, tmp_path), EVIDENCE) == 0


def test_damaged_frames_are_told_in_the_line_of_facts(tmp_path):
    selection = mined_selection()
    damaged = dataclasses.replace(selection, usage=dataclasses.replace(selection.usage, frames_substituted=3))
    differs = (drawn(selection, tmp_path) != drawn(damaged, tmp_path)).any(axis=(1, 2))
    assert 0 < differs.sum() < 30 and differs[: len(differs) // 2].sum() == differs.sum()


def test_a_wrong_choice_is_red_and_a_right_one_green(tmp_path):
    blank = dataclasses.replace(mined_selection(), nodes=())  # the answer is C
    assert count(drawn(blank, tmp_path, 2), RED) == 0 < count(drawn(blank, tmp_path, 2), GREEN)
    assert count(drawn(blank, tmp_path, 0), RED) > 1000


@pytest.mark.parametrize("frame_count", [0, 1, 3, 5, 17])
def test_any_number_of_frames_and_no_tree(tmp_path, frame_count):
    selection = mined_selection()
    frames = (selection.key_frames * 3)[:frame_count]
    bare = dataclasses.replace(selection, nodes=(), key_frames=tuple(sorted(frames, key=lambda f: f.time_s)))
    assert drawn(bare, tmp_path).shape[1] == WIDTH


def test_an_upright_video_keeps_its_shape(tmp_path):
    selection = dataclasses.replace(mined_selection(), key_frames=mined_selection().key_frames[:1])
    sheet = drawn(selection, tmp_path, frames=np.full((1, 640, 360, 3), 77, np.uint8))
    rows, columns = np.nonzero((sheet == 77).all(-1))
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(640 / 360, rel=0.02)


def test_a_very_long_question_and_an_open_answer_stay_on_the_sheet(tmp_path):
    question = dataclasses.replace(mined_selection().question, text="why " * 2500, options=("x" * 5000, "y"))
    sheet = drawn(dataclasses.replace(mined_selection(), question=question, answer="z" * 3000), tmp_path)
    assert sheet.shape[0] < 2000
    assert (sheet[:, -20:] == 255).all()  # nothing runs over the margin


def test_frames_of_another_selection_are_refused(tmp_path):
    with pytest.raises(ValueError, match="3 frames for 8 key frames"):
        contact_sheet(mined_selection(), pictures(mined_selection())[:3], tmp_path / "sheet.jpg")


def test_a_name_that_is_no_picture_and_a_place_that_is_no_folder(tmp_path):
    selection = mined_selection()
    with pytest.raises(ConfigError, match=r"sheet\.pdf.*\.jpg"):
        contact_sheet(selection, pictures(selection), tmp_path / "sheet.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        contact_sheet(selection, pictures(selection), tmp_path / "file" / "sheet.jpg")


@given(st.lists(st.floats(0, 1000), max_size=30).map(sorted), st.floats(1, 100))
def test_spread_keeps_order_distance_and_bounds(positions, distance):
    moved = spread(positions, distance, 0, 1000)
    least = min(distance, 1000 / max(1, len(positions) - 1))
    assert all(b - a >= least - 1e-6 for a, b in pairwise(moved))
    assert all(-1e-6 <= place <= 1000 + 1e-6 for place in moved)


def test_spread_moves_only_what_is_crowded_and_centres_it():
    assert spread([100, 500], 30, 0, 1000) == [100, 500]
    assert spread([100, 500, 500, 500], 30, 0, 1000) == [100, 470, 500, 530]


def test_letters_that_no_font_here_has_lose_their_accents(monkeypatch):
    monkeypatch.setattr("lmms_videominer.show.typeface._system_font", lambda size: None)
    assert fitting("Où est  la “fête”? 你", 20)[0] == "Ou est la “fete”? ?"


def test_wrapping_cuts_at_words_and_says_so():
    text, font = fitting("word " * 100, 20)
    lines = wrapped(text, 20, 300, 2)
    assert len(lines) == 2 and lines[1].endswith("…") and lines[0].replace("word", "").strip() == ""
    assert all(font.getlength(line) <= 300 for line in lines)
