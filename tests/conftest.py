"""What every test has: no hub, a cache of its own, and videos that one session makes once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import marks, videos
from support.redis_server import RedisServer
from support.scripted import colour_video
from support.stores import DiskStore, RedisStore
from support.videos import CUTS_S, VFR_TIMES_S

CUT_LEVELS = (30, 200, 90, 150)  # gray level of each of the four scenes


def pytest_collection_finish() -> None:
    gc.freeze()  # to look for garbage among what is imported takes a tenth of the time


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with marks.held_against(item):
        return (yield)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIDEOMINER_WORLD", raising=False)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_store(redis_server: RedisServer) -> Iterator[RedisStore]:
    """An empty cache on a server."""
    store = RedisStore(redis_server.address)
    store.client.flushdb()
    yield store
    store.client.close()


@pytest.fixture
def disk_store(tmp_path: Path) -> DiskStore:
    """An empty cache in a folder."""
    return DiskStore(tmp_path)


@pytest.fixture(scope="session")
def video_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def film(video_dir: Path) -> str:
    """20 s of four plain scenes at 10 fps: red until 8 s, green until 12, yellow until 15, blue."""
    return colour_video(video_dir / "film.mp4", [("red", 8), ("green", 4), ("yellow", 3), ("blue", 5)])


@pytest.fixture(scope="session")
def plain_video(video_dir: Path) -> Path:
    """4 s, 100 numbered frames at 25 fps, key frames every 12, B-frames."""
    return videos.write_video(video_dir / "plain.mp4", map(videos.numbered, range(100)))


@pytest.fixture(scope="session")
def vfr_video(video_dir: Path) -> Path:
    """100 numbered frames at ``VFR_TIMES_S``: every tenth gap is 0.5 s, the others 0.04 s."""
    return videos.write_video(video_dir / "vfr.mp4", map(videos.numbered, range(100)), times_s=VFR_TIMES_S.tolist())


@pytest.fixture(scope="session")
def shifted_video(video_dir: Path) -> Path:
    """The frames of ``plain_video``, the first shown at 1 s on the file's own clock."""
    return videos.write_video(video_dir / "shifted.mkv", map(videos.numbered, range(100)), start_s=1.0)


@pytest.fixture(scope="session")
def transport_stream(video_dir: Path) -> Path:
    """The frames of ``plain_video`` as MPEG-TS."""
    return videos.write_video(video_dir / "plain.ts", map(videos.numbered, range(100)))


@pytest.fixture(scope="session")
def cuts_video(video_dir: Path) -> Path:
    """5.2 s of four plain scenes with hard cuts at ``CUTS_S``."""
    times_s = np.arange(130) / videos.FPS
    scenes = np.searchsorted(CUTS_S, times_s + 1e-9, side="right")
    return videos.write_video(video_dir / "cuts.mp4", [videos.plain_color(CUT_LEVELS[s]) for s in scenes])


@pytest.fixture(scope="session")
def static_video(video_dir: Path) -> Path:
    """8 s in which nothing happens."""
    return videos.write_video(video_dir / "static.mp4", [videos.plain_color(90)] * 200)


@pytest.fixture(scope="session")
def one_frame_video(video_dir: Path) -> Path:
    return videos.write_video(video_dir / "one.mp4", [videos.numbered(5)])


@pytest.fixture(scope="session")
def rotated_video(video_dir: Path, plain_video: Path) -> Path:
    """``plain_video`` with the mark of an upright phone: shown 64 wide and 96 high."""
    return videos.write_turned(video_dir / "rotated.mp4", plain_video)


@pytest.fixture(scope="session")
def hd_color_video(video_dir: Path) -> Path:
    """Frames coded with the colour matrix of HD television (BT.709)."""
    return videos.write_video(video_dir / "bt709.mp4", map(videos.numbered, range(30)), colorspace=1)


@pytest.fixture(scope="session")
def damaged_video(video_dir: Path, plain_video: Path) -> Path:
    """``plain_video`` with the coded picture of frame 50 overwritten."""
    return videos.write_damaged(video_dir / "damaged.mp4", plain_video, 50)


@pytest.fixture(scope="session")
def undecodable_video(video_dir: Path, plain_video: Path) -> Path:
    """``plain_video`` with all its coded pictures overwritten."""
    return videos.write_damaged(video_dir / "undecodable.mp4", plain_video, *range(100))


@pytest.fixture(scope="session")
def cut_off_video(video_dir: Path, plain_video: Path) -> Path:
    """The first half of ``plain_video``: its index, at the end, is lost."""
    return videos.write_cut_off(video_dir / "cut_off.mp4", plain_video)


@pytest.fixture(scope="session")
def cut_off_download(video_dir: Path, plain_video: Path) -> Path:
    """The first part of an MP4 with its index in front: it opens, and lacks its last frames."""
    whole = videos.write_moov_first(video_dir / "moov_first.mp4", plain_video)
    return videos.write_cut_off(video_dir / "cut_off_download.mp4", whole, 0.8)


@pytest.fixture(scope="session")
def cut_off_mkv(video_dir: Path, shifted_video: Path) -> Path:
    return videos.write_cut_off(video_dir / "cut_off.mkv", shifted_video)


@pytest.fixture(scope="session")
def sound_only(video_dir: Path) -> Path:
    return videos.write_sound(video_dir / "sound.m4a")


@pytest.fixture(scope="session")
def empty_file(video_dir: Path) -> Path:
    path = video_dir / "empty.mp4"
    path.touch()
    return path


@pytest.fixture(scope="session")
def not_a_video(video_dir: Path) -> Path:
    path = video_dir / "letter.mp4"
    path.write_text("Dear reader,\n" * 500)
    return path
