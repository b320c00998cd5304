"""A file that is replaced, written to or removed while it is mined gives an error, not the frames of another film."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.scripted import ColourEmbedder, ColourVLM, RulePolicy
from support.videos import numbered, plain_color, write_video

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Action, Question, Selection
from lmms_videominer.video.opening import opened
from lmms_videominer.video.pixels import read_key_frames


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_video(tmp_path / "film.mp4", map(numbered, range(100)))


def replace(film: Path) -> None:
    """Another film of the same name, length and times."""
    write_video(film, [plain_color(200)] * 100)


def download_on(film: Path) -> None:
    with film.open("ab") as file:
        file.write(b"\0" * 100)


def miner(vlm: ColourVLM, folder: Path) -> VideoMiner:
    config = MinerConfig(
        search="plain", frames=4, events=4, scan_frames=16, grain_s=0.0, max_depth=1, cache_dir=str(folder / "cache")
    )
    policy = RulePolicy(lambda caption, depth: Action.ACCEPT)
    return VideoMiner(build_stages(config, vlm, policy, ColourEmbedder()), config)


@pytest.mark.parametrize("change", [replace, download_on, Path.unlink])
@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_a_file_that_changes_while_it_is_read_is_an_error(film, backend: str, change: Callable[[Path], None]):
    with opened(str(film), backend) as video:
        video.reader.frames([0, 50])
        change(film)
        with pytest.raises(VideoError, match="changed, replaced or removed while it was read"):
            video.reader.frames([10, 90])


def test_answers_come_from_the_film_that_was_mined_or_not_at_all(film, tmp_path):
    vlm = ColourVLM()
    mining = miner(vlm, tmp_path)
    mined = mining.mine_batch([Question(str(film), "What?")], answer=False)
    kept = shutil.copy(film, tmp_path / "kept.mp4")
    replace(film)
    [error] = mining.answer(mined)
    assert isinstance(error, VideoError) and "not the one that was mined" in str(error)
    assert len(vlm.calls) == 1, "only the captions"
    assert isinstance(read_key_frames([mined[0]])[0], VideoError)
    os.replace(kept, film)
    [answered] = mining.answer(mined)
    assert isinstance(answered, Selection) and answered.answer


def test_a_film_replaced_between_captions_and_answer_gives_no_answer(film, tmp_path):
    class Replacing(ColourVLM):
        def generate(self, requests):
            if not self.calls:
                replace(film)
            return super().generate(requests)

    [error] = miner(Replacing(), tmp_path).mine_batch([Question(str(film), "What?")])
    assert isinstance(error, VideoError)
