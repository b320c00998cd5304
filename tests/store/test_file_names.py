"""File names: another one for every text, bounded, and inside the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.store.atomic import written
from lmms_videominer.store.file_names import file_name, is_case_folded

HOSTILE = ["a/b", "a b", "../x", "..", ".", "", "/etc/passwd", "a\0b", "C:\\x", "CON", "nul.json", "com1", "é", "日本"]
HOSTILE += ["e\u0301", "x" * 300, "x" * 299 + "y", "\ud800", "a\nb", "~", "*", "[1]", "a.", "a ", " a", ".hidden", "-"]


@pytest.mark.parametrize("text", ["12", "fFjv93ACGo8-1", "a_b", "videomme", "v.2-3", "_x", "-1", "x" * 120])
def test_a_plain_text_is_its_own_name(text):
    assert file_name(text) == text


@given(st.lists(st.text(st.characters(codec=None), max_size=60) | st.sampled_from(HOSTILE), unique=True))
def test_each_text_has_its_own_name_in_the_folder(texts):
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(texts)
    assert len({file_name(text, folds_case=True).lower() for text in texts}) == len(texts)
    for name in names:
        assert name.isascii() and 1 <= len(name) <= 120 and Path(name).name == name and name not in (".", "..")
        assert not set(name) & set('/\\:*?"<>|\0 \n') and not name.endswith((".", " "))
        assert name.partition(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt1")


def test_a_name_made_here_is_not_taken_by_an_id_that_looks_like_it():
    made = file_name("a/b")
    assert file_name(made) != made and made.startswith("a_b-")


def test_names_stay_the_same():
    """Trees of earlier runs are found by them."""
    assert file_name("a/b") == "a_b-c14cddc033f6"
    assert file_name("") == "e3b0c44298fc"


def test_files_of_hostile_ids_lie_in_the_folder(tmp_path):
    folder = tmp_path / "Trees"
    for text in HOSTILE:
        with written(folder / f"{file_name(text, is_case_folded(tmp_path))}.tree-12.wrong.json") as part:
            part.write_text(repr(text))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {folder}
    assert sorted(path.read_text() for path in files) == sorted(map(repr, HOSTILE))


def test_a_file_system_that_keeps_case_is_told_from_one_that_does_not(tmp_path):
    (tmp_path / "Trees").mkdir()
    folds = (tmp_path / "tREES").exists()
    assert is_case_folded(tmp_path / "Trees") == folds
    if not folds:  # as such a file system shows it
        os.symlink(tmp_path / "Trees", tmp_path / "tREES")
        assert is_case_folded(tmp_path / "Trees")
