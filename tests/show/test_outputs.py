"""The pictures of a selection's key frames in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import videos

from lmms_videominer.show.outputs import write_outputs
from lmms_videominer.types import KeyFrame, Question, Selection
from lmms_videominer.video import open_video


@pytest.fixture(scope="module")
def fast_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3000 frames a second."""
    path = tmp_path_factory.mktemp("fast") / "fast.mp4"
    return videos.write_coded(path, range(30), rate=3000)


def selection(path: Path, indices: list[int]) -> Selection:
    with open_video(path) as reader:
        frames = tuple(KeyFrame(float(reader.timestamps_s[index]), index) for index in indices)
        return Selection(Question(str(path), "What?"), reader.info, frames, "uniform")


def test_every_key_frame_has_a_file_at_any_frame_rate(fast_film: Path, tmp_path: Path):
    list(write_outputs(selection(fast_film, list(range(16))), frames_dir=tmp_path))
    pictures = sorted(tmp_path.iterdir())
    assert [videos.number_of(np.array(Image.open(path))) for path in pictures] == list(range(16))


def test_pictures_of_an_earlier_run_go_and_other_files_stay(plain_video: Path, tmp_path: Path):
    others = ["holiday.png", "00h00m00.040s.txt", "notes.txt"]
    for name in others:
        (tmp_path / name).write_text("mine")
    list(write_outputs(selection(plain_video, [0, 1, 2, 50]), frames_dir=tmp_path))
    list(write_outputs(selection(plain_video, [1, 25]), frames_dir=tmp_path))
    names = {"00h00m00.040s.png", "00h00m01.000s.png", *others}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_no_key_frames_leave_no_pictures_of_others(plain_video: Path, tmp_path: Path):
    for indices in ([3], []):
        list(write_outputs(selection(plain_video, indices), frames_dir=tmp_path))
    assert not list(tmp_path.iterdir())
