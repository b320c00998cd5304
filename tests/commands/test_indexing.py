"""``videominer index`` from arguments to what it prints and keeps; models follow rules, everything else is real."""

from __future__ import annotations

import pytest
from support.scripted import ColourEncoder, ColourVLM, colour_video, finder

from lmms_videominer.cli import main
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.indexing import Indexing

FAST = ("--set", "scan_frames=60", "--set", "clustering=none", "--set", "frames=4", "--quiet")


@pytest.fixture
def video(tmp_path) -> str:
    """16 s: the first cut has 4 events."""
    return colour_video(tmp_path / "film.mp4", [("blue", 4), ("red", 4), ("green", 4), ("white", 4)])


@pytest.fixture
def loaded(monkeypatch) -> list[VideoMiner | Indexing]:
    """Every model name loads rules that look for red; returns what was loaded."""
    made = []

    def load(cls, model, *, config, device=None):
        made.append(cls(build_stages(config, ColourVLM(), finder("red"), scorer=ColourEncoder()), config))
        return made[-1]

    for cls in (VideoMiner, Indexing):
        monkeypatch.setattr(cls, "from_pretrained", classmethod(load))
    return made


def test_index_tells_what_was_made_and_found_and_a_later_question_uses_it(loaded, video, capsys):
    assert main(["index", video, *FAST]) == 0
    assert capsys.readouterr().out.startswith(f"{video}: 4 events, 4 captions made, 0 from the cache, ")
    assert main(["index", video, *FAST]) == 0
    assert capsys.readouterr().out.startswith(f"{video}: 4 events, 0 captions made, 4 from the cache, ")
    assert main(["mine", video, "--question", "What is red?", *FAST, "--set", "index=1"]) == 0
    assert "0 captions made, 1 from the cache" in capsys.readouterr().out


def test_a_bad_video_is_named_and_the_others_go_on(loaded, video, tmp_path, capsys):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert main(["index", str(empty), video, *FAST]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("videominer: ") and "empty.mp4" in told.err and told.err.count("\n") == 1
    assert told.out.startswith(f"{video}: 4 events") and told.out.count("\n") == 1


def test_the_bar_counts_videos(loaded, video, capsys):
    assert main(["index", video, *FAST[:-1]]) == 0
    assert "1/1" in (told := capsys.readouterr().err) and "video" in told


@pytest.mark.parametrize(
    ("setting", "told"),
    [("cache_dir=off", "--set cache_dir=FOLDER"), ("selector=uniform", "of use to selector=videominer")],
)
def test_what_would_be_of_no_use_is_refused_before_a_model_is_loaded(loaded, video, capsys, setting, told):
    assert main(["index", video, *FAST, "--set", setting]) == 1
    assert told in capsys.readouterr().err and not loaded


ABSENT = ("--set", "policy=no/such", "--set", "embedder=no/such")


@pytest.mark.parametrize("more", [[], ["look=none", "scorer=no/such"]])
def test_only_the_models_that_make_an_index_are_loaded(video, capsys, more):
    settings = ["scan_frames=16", "caption_tokens=4", *more]
    line = ["index", video, "--model", BUNDLED, "--quiet", *ABSENT, *(w for s in settings for w in ("--set", s))]
    assert main(line) == 0, capsys.readouterr().err
    assert " captions made, 0 from the cache" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "told"), [(["--set", "scorer=./no/scorer"], "no/scorer"), (["--model", "./gone"], "gone")]
)
def test_models_that_cannot_be_had_are_told_before_one_is_loaded(video, capsys, monkeypatch, more, told):
    monkeypatch.setattr("lmms_videominer.selectors.indexing.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    assert main(["index", video, "--model", BUNDLED, "--quiet", *more]) == 1
    assert told in capsys.readouterr().err
