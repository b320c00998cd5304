"""Pages as files: what is in them, what cannot be in them, and where their pictures come from."""

from __future__ import annotations

import dataclasses
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.mined import mined_selection, pictures
from support.pages import HOSTILE, film, hostile, mined

from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.show.printable import printable
from lmms_videominer.show.view.page import PageSettings, address_of, embedded, page_of, write_page
from lmms_videominer.show.view.pictures import pictures_of, save_strip, strip_beside
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.store.selection_json import save
from lmms_videominer.types import Scores
from lmms_videominer.video.time_codes import file_stamps

SETTINGS = PageSettings("a run")


def data_in(page: str, name: str) -> dict:
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page)[1])


def test_a_page_has_all_of_a_result_and_asks_for_nothing(tmp_path):
    selection = mined_selection()
    page = page_of([Shown(selection, "desert", target="C", correct=True)], SETTINGS)
    detail = data_in(page, "result-0")
    assert detail["question"] == selection.question.text and detail["right"] == detail["chosen"] == 2
    assert [node["id"] for node in detail["nodes"]] == [node.id for node in selection.nodes]
    assert detail["nodes"][1]["words"] == selection.nodes[1].decision.text
    assert detail["usage"]["seconds"] == selection.usage.seconds
    assert "desert.mp4: no such file" in detail["why_few"] and detail["pictures"] == {}
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert not re.findall(r"(?:src|href)=", page)


def test_no_text_ends_its_place_in_the_page():
    clean, bad = (
        page_of([Shown(s, n)], SETTINGS) for s, n in [(mined_selection(), "x"), (hostile(mined_selection()), HOSTILE)]
    )
    for end in ("</script", "<script", "</noscript", "<img", "<!--"):
        assert bad.count(end) == clean.count(end)
    assert data_in(bad, "result-0")["question"] == printable(HOSTILE)
    assert "\u202e" not in bad and "\x1b" not in bad


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028", "&lt;", "]]>"])
def test_embedded_values_are_json_without_markup(text):
    made = embedded({"text": text})
    assert json.loads(made) == {"text": text} and not set("<>&\u2028\u2029") & set(made)


def test_a_number_that_is_not_finite_is_refused():
    scores = Scores("s", "t", (0,), (0.0,), (float("nan"),))
    with pytest.raises(SchemaError, match="no JSON form"):
        page_of([Shown(dataclasses.replace(mined_selection(), scores=scores), "x")], SETTINGS)


def test_pictures_of_the_video_are_of_the_key_frames_and_of_what_the_captioner_saw(tmp_path):
    selection = mined(film(tmp_path), "red")
    made = pictures_of(Shown(selection, "x"), most=100, width=64)
    assert {frame.frame_index for frame in selection.key_frames} <= made.by_frame.keys()
    seen = {time_s for node in selection.nodes for event in node.events for time_s in event.frame_times_s}
    assert made.frame_at.keys() == seen and set(made.frame_at.values()) <= made.by_frame.keys()
    few = pictures_of(Shown(selection, "x"), most=len(selection.key_frames) + 1, width=64)
    assert len(few.by_frame) == len(selection.key_frames) + 1


def test_a_video_with_other_content_gives_no_pictures(tmp_path):
    selection = mined(film(tmp_path), "red")
    other = dataclasses.replace(selection, video=dataclasses.replace(selection.video, identity="another"))
    made = pictures_of(Shown(other, "x"), most=10, width=64)
    assert made.by_frame == {} and "not the file that was mined" in made.why_few


def test_a_moved_video_is_found_beside_its_tree_and_where_one_says(tmp_path):
    selection = mined(film(tmp_path), "red")
    (tmp_path / "moved").mkdir()
    Path(selection.question.video).rename(tmp_path / "moved" / "film.mp4")
    beside = Shown(selection, "x", tmp_path / "moved" / "tree.json")
    assert pictures_of(beside, 4, 64).by_frame
    elsewhere = Shown(selection, "x", tmp_path / "tree.json")
    assert not pictures_of(elsewhere, 4, 64).by_frame
    assert pictures_of(elsewhere, 4, 64, place=tmp_path / "moved").by_frame


def test_without_the_video_the_pictures_that_a_run_left_are_shown(tmp_path):
    selection, tree = mined_selection(), tmp_path / "tree.json"
    save(selection, tree)
    frames = pictures(selection)
    (tmp_path / "frames").mkdir()
    for stamp, frame in zip(file_stamps([frame.time_s for frame in selection.key_frames]), frames):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{stamp}.png")
    indices = {frame.frame_index for frame in selection.key_frames}
    assert pictures_of(Shown(selection, "x", tree), 100, 64).by_frame.keys() == indices
    save_strip(frames, strip_beside(tree))
    assert pictures_of(Shown(selection, "x", tree), 100, 64, decode=False).by_frame.keys() == indices
    strip_beside(tree).write_bytes(b"no picture")
    assert pictures_of(Shown(selection, "x", tree), 100, 64).by_frame == {}


def test_pictures_are_small_whatever_the_video_is(tmp_path):
    path = tmp_path / "strip.webp"
    save_strip(np.zeros((3, 1080, 1920, 3), np.uint8), path)
    assert Image.open(path).size == (3 * 160, 90)
    save_strip(np.zeros((200, 16, 32, 3), np.uint8), path)  # more than a file can hold side by side
    assert Image.open(path).height == 16


def test_the_address_of_a_video_is_relative_and_no_scheme(tmp_path):
    names = ["film.mp4", "a b#c?.mp4", "javascript:alert(1).mp4", "日本.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    addresses = [address_of(tmp_path / name, tmp_path / "pages" / "view.html") for name in names]
    assert addresses[:3] == ["./../film.mp4", "./../a%20b%23c%3F.mp4", "./../javascript%3Aalert%281%29.mp4"]
    assert address_of(tmp_path / "gone.mp4", tmp_path / "view.html") == ""
    assert address_of(Path("a\0b"), tmp_path / "view.html") == ""


def test_a_page_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Choose another --out"):
        write_page([Shown(mined_selection(), "x")], PageSettings("t", out=tmp_path / "file" / "view.html"))


def test_a_selection_in_a_notebook_is_a_frame_that_may_only_run_its_script():
    html = mined_selection()._repr_html_()
    assert html.startswith("<iframe") and 'sandbox="allow-scripts"' in html and html.count("<") == 2
    page = unescape(re.search(r'srcdoc="([^"]*)"', html)[1])
    assert data_in(page, "result-0")["question"] == mined_selection().question.text
