"""Films as people have them: each kind is read rightly by every reader, or refused with the way out."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import av
import numpy as np
import pytest
from support import videos
from support.readers import needs
from support.videos import FPS, HEIGHT, WIDTH, number_of, write_coded

from lmms_videominer.errors import VideoError
from lmms_videominer.video import VideoReader, open_video, video_identity


def numbers(frames: np.ndarray) -> list[int]:
    return [number_of(frame) for frame in frames]


def read(path: Path, backend: str) -> VideoReader:
    """The reader; all but PyAV may refuse a film, and name that one then."""
    needs(backend)
    try:
        return open_video(path, backend)
    except VideoError as error:
        if backend in ("auto", "pyav"):
            raise
        assert f"{backend} would return wrong frames" in error.reason and "reader=pyav" in error.remedy
        pytest.skip(f"refused: {error.reason}")


def check_numbers(reader: VideoReader, expected: list[int]) -> None:
    """Count, times and pictures, in order and at random."""
    count = len(expected)
    assert reader.info.frame_count == count
    np.testing.assert_allclose(reader.timestamps_s, np.arange(count) / FPS, atol=1.5e-3)
    assert reader.info.duration_s == pytest.approx(count / FPS, abs=2e-3)
    assert numbers(reader.frames(range(count))) == expected
    order = np.random.default_rng(2).permutation(count).tolist()
    assert [number_of(reader.frames([index])[0]) for index in order] == [expected[index] for index in order]
    assert reader.substituted == 0


every_reader = pytest.mark.parametrize("backend", ["auto", "pyav", "decord", "torchcodec"])


@every_reader
@pytest.mark.parametrize("number", [1, 12, 13, 17, 22, 23, 50, 95])
def test_an_edit_list_may_begin_anywhere(plain_video: Path, tmp_path: Path, number: int, backend: str):
    with read(videos.write_cut(tmp_path / "cut.mp4", plain_video, number), backend) as reader:
        check_numbers(reader, list(range(number, 100)))


@every_reader
def test_tags_need_not_be_utf8(plain_video: Path, tmp_path: Path, backend: str):
    with read(videos.write_latin1_tag(tmp_path / "tag.mp4", plain_video), backend) as reader:
        check_numbers(reader, list(range(100)))


@every_reader
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("x.asf", "libx264"),
        ("x.avi", "libx264"),
        ("x.mxf", "libx264"),
        ("x.wmv", "mpeg4"),
        ("m.asf", "mpeg2video"),
        ("m.avi", "mpeg4"),
        ("x.nut", "libx264"),
        ("x.flv", "libx264"),
        ("d.wmv", "msmpeg4"),
        ("x.m2ts", "libx264"),
        ("x.3gp", "libx264"),
        ("x.mkv", "libx264"),
        ("x.rm", "rv20"),
    ],
)
def test_frames_without_true_times_are_counted(tmp_path: Path, name: str, codec: str, backend: str):
    options = {"bf": "0" if codec in ("msmpeg4", "rv20") else "2"}
    with read(write_coded(tmp_path / name, range(60), codec, options), backend) as reader:
        check_numbers(reader, list(range(60)))


def test_counting_is_said_once_and_done_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write_coded(tmp_path / "b.asf", range(60), options={"bf": "2"})
    with caplog.at_level(logging.WARNING, "lmms_videominer"):
        for _ in range(3):
            assert open_video(path, "pyav").info.frame_count == 60
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: one packet may not be one frame; counting its frames by decoding it once"
    ]


@every_reader
def test_packets_of_hidden_pictures_are_no_frames(tmp_path: Path, backend: str):
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}
    path = write_coded(tmp_path / "alt.webm", range(60), "libvpx", options)
    with read(path, backend) as reader:
        check_numbers(reader, list(range(60)))


@every_reader
@pytest.mark.parametrize("start_s", [0.0, 3.0, 4000.0])
@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_clocks_that_go_back_or_jump_are_set_right(tmp_path: Path, suffix: str, start_s: float, backend: str):
    codec = "mpeg2video" if suffix == "mpg" else "libx264"
    parts = [
        write_coded(tmp_path / f"0.{suffix}", range(50), codec),
        write_coded(tmp_path / f"1.{suffix}", range(50, 100), codec, start_s=start_s),
    ]
    with read(videos.write_joined(tmp_path / f"joined.{suffix}", parts), backend) as reader:
        if start_s == 3.0:  # a second is missing: that is a gap, not a clock
            assert reader.info.frame_count == 100 and reader.info.duration_s == pytest.approx(4.8, abs=0.4)
            assert numbers(reader.frames(range(100))) == list(range(100))
        else:
            check_numbers(reader, list(range(100)))


@every_reader
def test_one_of_several_streams_is_read_throughout(tmp_path: Path, backend: str):
    with read(videos.write_streams(tmp_path / "two.mp4", [range(60), range(100, 160)]), backend) as reader:
        first = number_of(reader.frames([0])[0])
        check_numbers(reader, list(range(first, first + 60)))


@every_reader
def test_a_playlist_is_read_as_its_parts(tmp_path: Path, backend: str):
    write_coded(
        tmp_path / "list.m3u8", range(100), format="hls", container_options={"hls_time": "1", "hls_list_size": "0"}
    )
    assert len(list(tmp_path.glob("*.ts"))) > 2
    with read(tmp_path / "list.m3u8", backend) as reader:
        check_numbers(reader, list(range(100)))


def test_playlists_of_the_same_text_are_told_apart(tmp_path: Path):
    for name, first in (("a", 0), ("b", 100)):
        (tmp_path / name).mkdir()
        write_coded(tmp_path / name / "list.m3u8", range(first, first + 30), format="hls")
    paths = [tmp_path / name / "list.m3u8" for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert video_identity(paths[0]) != video_identity(paths[1])


def test_an_unfinished_playlist_is_refused(tmp_path: Path):
    write_coded(tmp_path / "list.m3u8", range(30), format="hls")
    text = (tmp_path / "list.m3u8").read_text().replace("#EXT-X-ENDLIST", "")
    (tmp_path / "list.m3u8").write_text(text)
    with pytest.raises(VideoError, match=r"not finished.*#EXT-X-ENDLIST"):
        open_video(tmp_path / "list.m3u8")


@every_reader
@pytest.mark.parametrize(
    ("matrix", "shown"),
    {
        (1, 0, 0, 1): lambda picture: picture,
        (-1, 0, 0, 1): np.fliplr,
        (1, 0, 0, -1): np.flipud,
        (-1, 0, 0, -1): lambda picture: np.rot90(picture, 2),
        (0, 1, -1, 0): lambda picture: np.rot90(picture, -1),
        (0, -1, 1, 0): np.rot90,
        (0, 1, 1, 0): lambda picture: picture.swapaxes(0, 1),
        (0, -1, -1, 0): lambda picture: np.rot90(picture, 2).swapaxes(0, 1),
    }.items(),
)
def test_a_matrix_turns_and_mirrors(plain_video: Path, tmp_path: Path, matrix, shown, backend: str):
    with (
        open_video(plain_video, "pyav") as upright,
        read(videos.write_matrix(tmp_path / "turned.mp4", plain_video, *matrix), backend) as turned,
    ):
        expected = shown(upright.frames([8])[0])
        assert (turned.info.height, turned.info.width) == expected.shape[:2]
        np.testing.assert_array_equal(turned.frames([8])[0], expected)


@every_reader
@pytest.mark.parametrize(("angle", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_the_first_picture_may_state_a_rotation(
    plain_video: Path, tmp_path: Path, angle: int, turns: int, backend: str
):
    said = f"h264_metadata=display_orientation=insert:rotate={angle}"
    with (
        open_video(plain_video, "pyav") as upright,
        read(videos.write_filtered(tmp_path / "sei.mp4", plain_video, said), backend) as turned,
    ):
        asked = [0, 1, 50, 99]
        expected = np.rot90(upright.frames(asked), turns, axes=(1, 2))
        assert (turned.info.height, turned.info.width) == expected.shape[1:3]
        np.testing.assert_array_equal(turned.frames(asked), expected)


@every_reader
@pytest.mark.parametrize("sizes", [[(96, 64), (192, 128)], [(192, 128), (96, 64)], [(96, 64), (384, 256), (96, 64)]])
@pytest.mark.parametrize(("suffix", "codec"), [("webm", "libvpx"), ("webm", "libvpx-vp9"), ("ts", "libx264")])
def test_sizes_that_change_are_scaled_to_the_first(tmp_path: Path, suffix: str, codec: str, sizes, backend: str):
    parts = [
        write_coded(tmp_path / f"{i}.{suffix}", range(i * 30, i * 30 + 30), codec, size=size)
        for i, size in enumerate(sizes)
    ]
    join = videos.write_joined if suffix == "ts" else videos.write_sizes
    with read(join(tmp_path / f"sizes.{suffix}", parts), backend) as reader:
        assert (reader.info.width, reader.info.height) == sizes[0]
        frames = reader.frames(range(reader.info.frame_count))
        assert frames.shape == (30 * len(sizes), sizes[0][1], sizes[0][0], 3)
        small = frames[:, :: sizes[0][1] // HEIGHT, :: sizes[0][0] // WIDTH]
        assert numbers(small) == list(range(30 * len(sizes)))


@every_reader
@pytest.mark.parametrize(("bits", "codec"), [(8, "libx264"), (10, "libx265"), (10, "libx264")])
@pytest.mark.parametrize("colorspace", [1, 5, 6])  # BT.709, BT.601 twice
@pytest.mark.parametrize("color_range", [1, 2])
def test_the_range_of_colours_is_kept(
    tmp_path: Path, bits: int, codec: str, colorspace: int, color_range: int, backend: str
):
    levels = [16, 20, 64, 128, 180, 220, 235, 240] if color_range == 2 else [16, 20, 64, 128, 180, 220, 230, 235]
    path = videos.write_levels(tmp_path / "gray.mp4", levels, bits, colorspace, color_range, codec)
    expected = levels if color_range == 2 else [(level - 16) * 255 / 219 for level in levels]
    with read(path, backend) as reader:
        stripes = reader.frames([1])[0].reshape(32, len(levels), -1, 3).astype(float)
    middle = stripes[4:-4, :, 4:-4].mean(axis=(0, 2))
    rounding = 2.5 if (bits, color_range) == (10, 1) else 1.0  # of FFmpeg itself
    np.testing.assert_allclose(middle, np.array(expected)[:, None].repeat(3, 1), atol=rounding)


@every_reader
def test_a_damaged_tail_costs_its_frames(plain_video: Path, tmp_path: Path, backend: str):
    with av.open(str(plain_video)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size][-2:]
    data = bytearray(plain_video.read_bytes())
    for packet in packets:
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path = tmp_path / "tail.mp4"
    path.write_bytes(data)
    with read(path, backend) as reader:
        assert reader.info.frame_count == 100
        frames = reader.frames(range(100))
        assert reader.substituted == 2
        lost = [index for index in range(90, 100) if number_of(frames[index]) != index]
        assert all(number_of(frames[index]) in range(90, 100) for index in lost)
        assert numbers(frames[:90]) == list(range(90))


@every_reader
def test_the_stated_times_of_fast_films_are_kept(tmp_path: Path, backend: str):
    frames = [videos.numbered(number) for number in range(40)]
    path = videos.write_video(tmp_path / "fast.mkv", frames, times_s=np.arange(40) / 1000)
    with read(path, backend) as reader:
        np.testing.assert_allclose(reader.timestamps_s, np.arange(40) / 1000, atol=1e-6)
        assert numbers(reader.frames(range(40))) == list(range(40))


@every_reader
@pytest.mark.parametrize("name", ["slow.mp4", "slow.mkv", "slow.ts", "slow.nut"])
@pytest.mark.parametrize("step_s", [2, 15])
def test_slow_films_have_no_jumps(tmp_path: Path, name: str, step_s: int, backend: str):
    frames = [videos.numbered(number) for number in range(40)]
    with read(videos.write_video(tmp_path / name, frames, times_s=np.arange(40) * step_s), backend) as reader:
        np.testing.assert_allclose(reader.timestamps_s, np.arange(40) * step_s, atol=1e-3)
        assert numbers(reader.frames(range(40))) == list(range(40))


@every_reader
@pytest.mark.parametrize("name", ["2024-05-01T12:30:00.mp4", "a:b.mp4", "http:x.mp4", "50%d.mp4", "#1?.mp4"])
def test_names_may_hold_colons(plain_video: Path, tmp_path: Path, monkeypatch, name: str, backend: str):
    (tmp_path / name).write_bytes(plain_video.read_bytes())
    monkeypatch.chdir(tmp_path)
    with read(Path(name), backend) as reader:
        assert reader.info.path == name
        check_numbers(reader, list(range(100)))


@every_reader
@pytest.mark.parametrize("as_bytes", [True, False])
def test_names_need_not_be_utf8(plain_video: Path, tmp_path: Path, as_bytes: bool, backend: str):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4")
    with open(path, "wb") as file:
        file.write(plain_video.read_bytes())
    with read(path if as_bytes else Path(os.fsdecode(path)), backend) as reader:
        check_numbers(reader, list(range(100)))
    assert video_identity(path) == video_identity(plain_video)


@pytest.mark.parametrize("address", ["https://example.org/a.mp4", "rtmp://host/live", "HTTP://example.org/a.mp4"])
def test_addresses_are_refused_with_the_way_out(address: str):
    with pytest.raises(VideoError, match=r"is an address, not a file.*Download it first"):
        open_video(address)


@every_reader
@pytest.mark.parametrize(
    "edits", [[(10, 35), (60, 85)], [(60, 85), (10, 35)], [(10, 30), (10, 30)], [(3, 13), (33, 43), (77, 87)]]
)
def test_several_edits_follow_each_other(plain_video: Path, tmp_path: Path, edits, backend: str):
    with read(videos.write_edits(tmp_path / "edits.mp4", plain_video, edits), backend) as reader:
        expected = [number for first, stop in edits for number in range(first, stop)]
        assert reader.info.frame_count == len(expected)
        np.testing.assert_allclose(reader.timestamps_s, np.arange(len(expected)) / FPS, atol=0.1)
        assert (np.diff(reader.timestamps_s) > 0).all()
        assert numbers(reader.frames(range(len(expected)))) == expected
        order = np.random.default_rng(2).permutation(len(expected)).tolist()
        assert [number_of(reader.frames([index])[0]) for index in order] == [expected[index] for index in order]


@every_reader
@pytest.mark.parametrize("name", ["refreshed.mp4", "refreshed.ts"])
def test_pictures_may_be_refreshed_bit_by_bit(tmp_path: Path, name: str, backend: str):
    options = {"x264-params": "intra-refresh=1:keyint=24:bframes=2:scenecut=0"}
    with read(write_coded(tmp_path / name, range(60), "libx264", options), backend) as reader:
        check_numbers(reader, list(range(60)))
        frames = reader.frames(range(60))
    with read(tmp_path / name, backend) as reader:
        for index in (35, 59, 28, 50, 5):
            np.testing.assert_array_equal(reader.frames([index])[0], frames[index])


@every_reader
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_open_gops_lose_and_mix_up_nothing(tmp_path: Path, suffix: str, codec: str, backend: str):
    options = {
        "libx264": {"x264-params": "open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"},
        "libx265": {"x265-params": "log-level=none:open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"},
    }
    path = write_coded(tmp_path / f"open.{suffix}", range(100), codec, options[codec])
    with read(path, backend) as reader:
        check_numbers(reader, list(range(100)))


@every_reader
def test_a_palette_holds_until_the_next(tmp_path: Path, backend: str):
    with read(videos.write_palette(tmp_path / "palette.avi", range(30)), backend) as reader:
        assert number_of(reader.frames([29])[0]) == 29
        check_numbers(reader, list(range(30)))


@every_reader
@pytest.mark.parametrize(("name", "codec"), [("x.avi", "h263"), ("x.h263", "h263"), ("x.h261", "h261")])
def test_key_frames_need_not_be_marked(tmp_path: Path, name: str, codec: str, backend: str):
    path = write_coded(tmp_path / name, range(60), codec, size=(176, 144))
    with read(path, backend) as reader:
        count = reader.info.frame_count
        frames = reader.frames(range(count))
        assert count == 60
        for index in (7, 3, 40, 31, 59):
            np.testing.assert_array_equal(reader.frames([index])[0], frames[index])


@every_reader
def test_frames_without_a_time_that_do_not_decode_are_none(tmp_path: Path, backend: str):
    source = write_coded(tmp_path / "open.mp4", range(60), options={"x264-params": "open-gop=1:bframes=3:b-adapt=0"})
    with read(videos.write_cut_at_key(tmp_path / "cut.mkv", source, 1), backend) as reader:
        first = number_of(reader.frames([0])[0])
        assert reader.info.frame_count == 60 - first
        check_numbers(reader, list(range(first, 60)))


@every_reader
def test_frames_may_share_a_time(tmp_path: Path, backend: str):
    path = write_coded(
        tmp_path / "fast.mkv", range(60), options={"qp": "20"}, rate=5000
    )  # Matroska counts milliseconds
    with read(path, backend) as reader:
        assert numbers(reader.frames(range(60))) == list(range(60))
        np.testing.assert_allclose(reader.timestamps_s, np.arange(60) / 5000, atol=1.1e-3)
        assert (np.diff(reader.timestamps_s) > 0).all()
        assert [number_of(reader.frames([index])[0]) for index in (31, 7, 59)] == [31, 7, 59]


@every_reader
@pytest.mark.parametrize(
    ("name", "shown_s"), [("gap.ts", 0.0), ("gap.flv", 15.0), ("gap.mkv", 15.0), ("gap.mp4", 15.0)]
)
def test_a_gap_between_b_frames_mixes_up_nothing(tmp_path: Path, name: str, shown_s: float, backend: str):
    times_s = np.arange(60) / FPS + 15.0 * (np.arange(60) > 25)
    path = videos.write_video(tmp_path / name, map(videos.numbered, range(60)), times_s=times_s.tolist())
    with read(path, backend) as reader:
        assert numbers(reader.frames(range(60))) == list(range(60)) and reader.substituted == 0
        expected = np.arange(60) / FPS + shown_s * (np.arange(60) > 25)
        np.testing.assert_allclose(reader.timestamps_s, expected, atol=0.041)


def test_a_list_of_films_is_refused_with_the_way_out(plain_video: Path, tmp_path: Path):
    (tmp_path / "film.mp4").write_bytes(plain_video.read_bytes())
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile film.mp4\n")
    with pytest.raises(VideoError, match=r"a list of videos.*ffmpeg -f concat"):
        open_video(tmp_path / "list.ffconcat")


def test_a_playlist_without_its_parts_says_so(tmp_path: Path):
    write_coded(tmp_path / "list.m3u8", range(30), format="hls")
    for part in tmp_path.glob("*.ts"):
        part.unlink()
    with pytest.raises(VideoError, match=r"names no part that can be read.*Keep its parts where it says"):
        open_video(tmp_path / "list.m3u8")


FILMS = Path(os.environ.get("VIDEOMINER_FILMS", "films"))
SEEN = {
    "cut_mid_gop.mp4": (167, 6.68),
    "latin1_tag.mp4": (200, 8.0),
    "field_pictures.ts": (17, 0.68),
    "clock_restarts.ts": (400, 16.0),
    "two_video_streams.mp4": (100, 4.0),
    "full_range_ramp.mp4": (25, 1.0),
    "hls/list.m3u8": (200, 8.0),
    "bframes.asf": (200, 8.0),
    "rotation_in_sei.mp4": (200, 8.0),
    "mirrored.mp4": (200, 8.0),
    "size_changes.webm": (300, 10.0),
    "damaged_tail.mp4": (200, 8.0),
    "3000_fps.mp4": (30, 0.01),
    "4000x8.mp4": (100, 4.0),
}


@every_reader
@pytest.mark.parametrize("name", SEEN)
def test_given_films(name: str, backend: str):
    """Films in a folder that VIDEOMINER_FILMS names: counted as FFmpeg counts, the same in any order."""
    if not (FILMS / name).exists():
        pytest.skip("VIDEOMINER_FILMS names no folder with this film")
    with read(FILMS / name, backend) as reader:
        count, duration_s = SEEN[name]
        assert reader.info.frame_count == count and reader.info.duration_s == pytest.approx(duration_s, abs=0.05)
        frames = reader.frames(range(count))
        assert frames.shape == (count, reader.info.height, reader.info.width, 3)
        for index in np.random.default_rng(3).integers(0, count, 12).tolist():
            np.testing.assert_array_equal(reader.frames([index])[0], frames[index])
        assert reader.substituted == (2 if name == "damaged_tail.mp4" else 0)
        if name == "full_range_ramp.mp4":
            assert abs(int(frames[0, 0, 20, 0]) - 20) <= 1 and abs(int(frames[0, 0, 240, 0]) - 240) <= 1
