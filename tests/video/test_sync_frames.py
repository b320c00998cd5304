"""Frames that decode alone, and frames that are passed over on the way: what is read stays the same to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.videos import GOP, number_of, numbered, write_coded, write_damaged, write_joined, write_video

from lmms_videominer.video import open_video, pyav_reader

FRAMES = 60
FILMS = {  # codec and options; what the decoder may meet: hierarchical B-frames, open GOPs, hidden references
    "h264.mp4": ("libx264", {"bf": "3", "b_strategy": "2", "b-pyramid": "normal"}),
    "h264.mkv": ("libx264", {"bf": "2"}),
    "closed.mp4": ("libx265", {"x265-params": "log-level=none:open-gop=0"}),
    "open.mp4": ("libx265", {"x265-params": "log-level=none:open-gop=1"}),
    "layers.mp4": ("libx265", {"x265-params": "log-level=none:temporal-layers=3"}),
    "vp9.webm": ("libvpx-vp9", {"lag-in-frames": "16", "auto-alt-ref": "1"}),
    "mpeg4.avi": ("mpeg4", {}),
}


@pytest.fixture(scope="module", params=FILMS)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, options = FILMS[request.param]
    return write_coded(tmp_path_factory.mktemp("sync") / request.param, range(FRAMES), codec, options)


@pytest.fixture(scope="module")
def sequential(film: Path) -> np.ndarray:
    with open_video(film, "pyav") as reader:
        return reader.frames(range(FRAMES))


def test_a_sync_frame_decodes_alone_as_in_its_place(film: Path, sequential: np.ndarray):
    with open_video(film, "pyav") as reader:
        assert len(reader.sync_frames) >= FRAMES / GOP - 1 and reader.sync_frames[0] == 0
        np.testing.assert_array_equal(reader.frames(reader.sync_frames), sequential[reader.sync_frames])
        assert reader.substituted == 0


def test_any_frames_are_the_same_whatever_is_passed_over_for_them(film: Path, sequential: np.ndarray):
    draw = np.random.default_rng(0)
    with open_video(film, "pyav") as reader:
        for size in (1, 2, 5, 9, 20, 1, 3, 1, 1):
            asked = draw.choice(FRAMES, size)
            np.testing.assert_array_equal(reader.frames(asked), sequential[asked])
        assert reader.substituted == 0


def test_a_frame_that_was_passed_over_is_read_when_it_is_asked_for(film: Path, sequential: np.ndarray):
    with open_video(film, "pyav") as reader:
        for index in (5, 7, 6, 8, 9, 10, 23, 24, 25, 36):
            np.testing.assert_array_equal(reader.frames([index])[0], sequential[index])


def test_what_lies_between_the_frames_asked_for_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    film = write_video(tmp_path / "film.mp4", map(numbered, range(FRAMES)))
    came: list[int] = []
    place = pyav_reader._Cursor._index_of
    monkeypatch.setattr(pyav_reader._Cursor, "_index_of", lambda self, f: came.append(place(self, f)) or came[-1])
    with open_video(film, "pyav") as reader:
        reader.frames(reader.sync_frames)
        assert came == []  # each alone
        asked = [int(index) + 1 for index in reader.sync_frames if index + 1 < FRAMES]
        assert [number_of(frame) for frame in reader.frames(asked)] == asked


def test_a_damaged_sync_frame_costs_itself_and_what_refers_to_it(plain_video: Path, tmp_path: Path):
    with open_video(write_damaged(tmp_path / "damaged.mp4", plain_video, 24), "pyav") as reader:
        frames = reader.frames([0, 12, 24, 36, 48])
        assert [number_of(frame) for frame in frames[[0, 1, 3, 4]]] == [0, 12, 36, 48]
        assert number_of(frames[2]) != 24 and reader.damaged == {24}


def test_where_a_file_does_not_tell_there_are_no_sync_frames(plain_video: Path, tmp_path: Path):
    refreshed = write_coded(
        tmp_path / "refreshed.mp4", range(FRAMES), "libx264", {"intra-refresh": "1", "bf": "0", "preset": "veryfast"}
    )
    raw = write_coded(tmp_path / "raw.h264", range(FRAMES), "libx264", {"bf": "0"}, format="h264")
    joined = write_joined(tmp_path / "joined.ts", [write_coded(tmp_path / "part.ts", range(20))] * 2)
    for film in (refreshed, raw, joined):
        with open_video(film, "pyav") as reader:
            assert not len(reader.sync_frames)
