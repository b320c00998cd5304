"""Which films the bundled models know: all of the world's, under every nuisance and codec, and no others."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from sklearn.datasets import load_sample_image
from support.videos import write_pictures

from lmms_videominer.cli import main
from lmms_videominer.errors import ModelError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models import drawn_films
from lmms_videominer.models.bundle import BUNDLED, NOT_A_WORLD_VIDEO
from lmms_videominer.models.drawn_films import FITS, SIDE, is_strange, robot_share, strange_video
from lmms_videominer.types import Question
from lmms_videominer.world.render import render_times
from lmms_videominer.world.script import NUISANCES, SPLITS, write_script

ALL_NUISANCES = ((), *((name,) for name in NUISANCES), NUISANCES)


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(drawn_films, "_told", [])


@pytest.fixture(scope="module")
def world_film(tmp_path_factory) -> str:
    script = write_script(SPLITS["dev"].start, 0, 1, NUISANCES)
    return film_of(tmp_path_factory.mktemp("world") / "film.mp4", render_times(script, np.arange(0, 12, 0.25)))


@pytest.fixture(scope="module")
def square_film(tmp_path_factory) -> str:
    """A film as large as the world's, of a real picture that moves."""
    picture = load_sample_image("china.jpg")
    moved = [picture[100 : 100 + SIDE, 4 * i : 4 * i + SIDE] for i in range(40)]
    return film_of(tmp_path_factory.mktemp("real") / "film.mp4", np.stack(moved))


def film_of(path, frames: np.ndarray, codec: str = "libx264") -> str:
    return str(write_pictures(path, frames, codec))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("nuisances", ALL_NUISANCES, ids="+".join)
def test_pictures_of_the_world_show_a_robot_at_every_length(nuisances, split):
    for minutes in (1, 15, 60):
        script = write_script(SPLITS[split].start + 7, 0, minutes, nuisances)
        times_s = (np.arange(8) + 0.3) * script.duration_s / 8
        shares = [robot_share(frame) for frame in render_times(script, times_s)]
        assert max(shares) > 0.95 and np.median(shares) > FITS


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mpeg4", "mjpeg"])
def test_a_film_of_the_world_is_known_in_every_codec(codec, tmp_path):
    for number, nuisances in enumerate(ALL_NUISANCES):
        script = write_script(SPLITS["test"].start + number, 0, 1, nuisances)
        path = film_of(tmp_path / f"{number}.mkv", render_times(script, np.arange(0, 60, 4)), codec)
        assert not is_strange(path), nuisances


def test_a_film_of_the_world_is_known_when_it_was_scaled(world_film, tmp_path):
    script = write_script(SPLITS["dev"].start, 0, 1)
    frames = render_times(script, np.arange(0, 60, 8)).repeat(2, axis=1).repeat(2, axis=2)
    assert not is_strange(film_of(tmp_path / "large.mp4", frames))


def test_other_films_of_the_same_size_are_none_of_the_worlds(square_film, tmp_path):
    rng, y = np.random.default_rng(0), np.arange(SIDE)
    blocks = np.where((y[:, None] // 24 + y // 24) % 2, 220, 20)[..., None].repeat(3, axis=2)
    others = {
        "black": np.zeros((1, SIDE, SIDE, 3)),
        "white": np.full((1, SIDE, SIDE, 3), 255),
        "noise": rng.integers(0, 256, (4, SIDE, SIDE, 3)),
        "chessboard": blocks[None],
        "gradient": np.tile(y[:, None, None], (1, 1, SIDE, 3)).reshape(1, SIDE, SIDE, 3),
    }
    paths = [film_of(tmp_path / f"{name}.mp4", frames.astype(np.uint8)) for name, frames in others.items()]
    assert [path for path in [*paths, square_film] if not is_strange(path)] == []


def test_a_film_that_is_no_square_is_told_and_one_that_cannot_be_read_is_not(hd_color_video, empty_file):
    assert is_strange(str(hd_color_video)) and not is_strange(str(empty_file))


def test_only_the_bundled_models_are_held_to_the_world(square_film, world_film):
    assert strange_video(BUNDLED, [world_film, square_film]) == square_film
    assert strange_video("openai:model@http://localhost:1/v1", [square_film]) == ""
    assert strange_video("Qwen/Qwen2.5-VL-7B-Instruct", [square_film]) == ""


def test_the_warning_comes_before_a_model_is_loaded_and_names_the_way_out(square_film, monkeypatch, caplog):
    def load(*_, **__):
        raise ModelError("loaded after " + caplog.text)

    monkeypatch.setattr(VideoMiner, "from_pretrained", load)
    with caplog.at_level(logging.WARNING):
        assert main(["mine", square_film, "--question", "What is there?"]) == 1
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"{square_film}: ") and "robots" in told
    assert "--model Qwen/Qwen2.5-VL-7B-Instruct" in told and "openai:MODEL@URL" in told


def test_the_result_says_it_too_also_with_quiet(square_film, tmp_path, capsys):
    settings = ["--selector", "uniform", "--frames", "2", "--set", "cache_dir=off", "--quiet"]
    out = tmp_path / "tree.json"
    assert main(["mine", square_film, "--question", "What is there?", "--json", str(out), *settings]) == 0
    assert NOT_A_WORLD_VIDEO in json.loads(out.read_text())["fallbacks"]
    told = capsys.readouterr().out
    assert NOT_A_WORLD_VIDEO in told and "captions and answer mean nothing" in told


def test_a_batch_warns_once_and_marks_each_result(square_film, world_film, hd_color_video, caplog):
    miner = VideoMiner.from_pretrained(selector="uniform", frames=2, cache_dir="off")
    films = [world_film, square_film, str(hd_color_video), square_film]
    results = miner.mine_batch([Question(film, f"What is there? {i}") for i, film in enumerate(films)])
    assert [NOT_A_WORLD_VIDEO in result.fallbacks for result in results] == [False, True, True, True]
    assert [record.name for record in caplog.records if "robots" in record.getMessage()] == [drawn_films.__name__]


def test_many_videos_are_counted_in_the_end(square_film, world_film, tmp_path, capsys):
    settings = ["--selector", "uniform", "--frames", "2", "--set", "cache_dir=off", "--quiet"]
    assert main(["mine", square_film, world_film, "--question", "What is there?", *settings]) == 0
    assert "1 of 2 are on films that the bundled models do not know" in capsys.readouterr().out
