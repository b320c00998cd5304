"""Which backend opens a file, and what is said of a file that none can open."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import psutil
import pytest
from support.readers import needs
from support.videos import number_of, write_coded, write_damaged

from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.video import open_video, track, video_identity
from lmms_videominer.video.opening import opened

REASONS = {
    "empty_file": r"the file is empty \(0 bytes\)",
    "cut_off_video": r"the file is cut off: \d+ of \d+ bytes",
    "cut_off_download": r"the file is cut off: \d+ of \d+ bytes",
    "cut_off_mkv": r"the file is cut off: \d+ of \d+ bytes",
    "sound_only": "holds sound only",
    "not_a_video": "not a video",
    "video_dir": "is a folder",
}


@pytest.mark.parametrize("backend", ["auto", "decord", "pyav", "torchcodec"])
@pytest.mark.parametrize("name", REASONS)
def test_bad_file_is_named_with_its_reason(name: str, backend: str, request: pytest.FixtureRequest):
    path = request.getfixturevalue(name)
    with pytest.raises(VideoError, match=REASONS[name]) as caught:
        open_video(path, backend)
    assert caught.value.path == str(path) and str(path) in str(caught.value)
    assert caught.value.remedy


def test_missing_file():
    with pytest.raises(VideoError, match=r"no/such\.mp4: no such file"):
        open_video("no/such.mp4")


@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_first_frame_damaged(plain_video: Path, tmp_path: Path, backend: str):
    with open_video(write_damaged(tmp_path / "first.mp4", plain_video, 0), backend) as reader:
        assert reader.info.frame_count == 100
        assert [number_of(frame) for frame in reader.frames([0, 5, 12, 50])] == [12, 12, 12, 50]  # all refer to it
        assert reader.substituted == 2


def test_nothing_decodes(undecodable_video: Path):
    with pytest.raises(VideoError, match=r"the frame at 0\.00 s cannot be decoded"):
        open_video(undecodable_video)


def test_never_finished_mp4(plain_video: Path, tmp_path: Path):
    data = plain_video.read_bytes()
    path = tmp_path / "unfinished.mp4"
    path.write_bytes(data[: data.find(b"moov") - 4])
    with pytest.raises(VideoError, match=r"never finished: its index \(moov\) is missing"):
        open_video(path)


def test_text_is_no_video(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("FFmpeg would render this\n" * 50)
    with pytest.raises(VideoError, match="not a video"):
        open_video(path)


def test_auto_reads_with_pyav(plain_video: Path, transport_stream: Path):
    for film in (plain_video, transport_stream):
        with open_video(film) as reader:
            assert reader.info.backend == "pyav"
            assert [number_of(reader.frames([i])[0]) for i in (0, 40, 13, 99)] == [0, 40, 13, 99]


@pytest.mark.parametrize("backend", ["decord", "torchcodec"])
def test_what_may_be_misplaced_is_refused(transport_stream: Path, backend: str):
    needs(backend)
    with pytest.raises(VideoError, match=rf"{backend} would return wrong frames: .*reader=pyav"):
        open_video(transport_stream, backend)


@pytest.mark.parametrize(
    ("backend", "remedy"),
    [("decord", "pip install decord"), ("torchcodec", r"pip install 'lmms-videominer\[torchcodec\]', and FFmpeg's")],
)
def test_without_its_library(plain_video: Path, backend: str, remedy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, backend, None)  # what Python itself does for a module that cannot be imported
    with pytest.raises(ConfigError, match=remedy):
        open_video(plain_video, backend)


def test_torchcodec_without_ffmpeg(plain_video: Path, monkeypatch: pytest.MonkeyPatch):
    needs("torchcodec")
    monkeypatch.setattr("torchcodec.ffmpeg_major_version", None)  # what torchcodec says where it finds none
    with pytest.raises(ConfigError, match=r"finds no FFmpeg.*apt-get install ffmpeg"):
        open_video(plain_video, "torchcodec")


def test_unknown_backend_names_the_nearest(plain_video: Path):
    with pytest.raises(ConfigError, match=r"'decrod'; did you mean 'decord'\?"):
        open_video(plain_video, "decrod")


def test_a_video_is_open_for_a_search_and_closed_after_it(plain_video: Path):
    def is_open() -> bool:
        return str(plain_video) in [file.path for file in psutil.Process().open_files()]

    with opened(str(plain_video), "pyav") as video:
        assert video.identity == video_identity(plain_video) and video.info.frame_count == 100
        assert number_of(video.reader.frames([40])[0]) == 40 and is_open()
    assert not is_open()
    with pytest.raises(VideoError, match=r"no/such\.mp4: no such file"), opened("no/such.mp4", "pyav"):
        pytest.fail("there is nothing to open")


def test_identity_follows_content_not_name(plain_video: Path, vfr_video: Path, tmp_path: Path):
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(plain_video.read_bytes())
    assert video_identity(copy) == video_identity(plain_video) != video_identity(vfr_video)
    with pytest.raises(VideoError, match="no such file"):
        video_identity(tmp_path / "gone.mp4")


@pytest.mark.parametrize("changed", [0, 3 << 20, (6 << 20) - 1])
def test_identity_sees_both_ends_and_the_middle(tmp_path: Path, changed: int):
    path = tmp_path / "large.bin"
    data = bytearray(6 << 20)
    path.write_bytes(data)
    before = video_identity(path)
    data[changed] = 1
    path.write_bytes(data)
    assert video_identity(path) != before


@pytest.mark.launches
def test_import_is_light():
    code = (
        "import lmms_videominer.video, lmms_videominer.segmenters, sys; "
        "assert not {'av', 'decord', 'torch', 'torchcodec', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_index_of_a_film_is_made_in_little_more_memory_than_it_takes(tmp_path: Path):
    film = str(write_coded(tmp_path / "long.mp4", (i % 100 for i in range(4000)), size=(32, 32)))
    track.read_track(film)
    tracemalloc.start()
    try:
        track.read_track(film)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 160 * 4000  # the columns take 42 bytes a frame, Python numbers 250
