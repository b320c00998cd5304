from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from support import videos
from support.videos import Tone

from lmms_videominer.errors import VideoError
from lmms_videominer.types import Span
from lmms_videominer.video import frames_beginning_in, frames_shown_at, open_video
from lmms_videominer.video.cutting import cut_out


def cut(source: Path, start_s: float, end_s: float, target: Path) -> Path:
    [clip] = cut_out(str(source), [(Span(start_s, end_s), target)])
    return clip


def shown(path: Path) -> tuple[list[int], np.ndarray, float]:
    """The numbers of the frames, their times, and how long the film is."""
    with open_video(path) as reader:
        numbers = [videos.number_of(frame) for frame in reader.frames(range(reader.info.frame_count))]
        return numbers, reader.timestamps_s, reader.info.duration_s


@pytest.mark.parametrize("film", ["plain_video", "vfr_video", "shifted_video", "transport_stream"])
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 0.5), (1.0, 2.52), (0.7, 3.01)])
def test_a_clip_has_the_frames_of_its_part_at_their_times(film, start_s, end_s, request, tmp_path):
    source = request.getfixturevalue(film)
    with open_video(source) as reader:
        times_s = reader.timestamps_s
    first = int(frames_shown_at(times_s, [start_s])[0])  # what is shown when the part begins, in whatever group
    stop = frames_beginning_in(times_s, Span(start_s, end_s))[1]
    numbers, clip_s, length_s = shown(cut(source, start_s, end_s, tmp_path / "clip.mp4"))
    assert numbers == list(range(first, stop))
    assert clip_s == pytest.approx(np.maximum(times_s[first:stop] - start_s, 0), abs=1e-4)
    assert length_s == pytest.approx(end_s - start_s, abs=1e-3)


def test_a_part_between_two_frames_shows_the_earlier_one_as_long_as_it_lasts(vfr_video, tmp_path):
    numbers, times_s, length_s = shown(cut(vfr_video, 0.5, 0.7, tmp_path / "clip.mp4"))  # frame 9 is shown from 0.36 on
    assert numbers == [9] and times_s.tolist() == [0.0] and length_s == pytest.approx(0.2, abs=1e-3)


def test_a_clip_of_a_turned_film_stands_upright(rotated_video, tmp_path):
    clip = cut(rotated_video, 1.0, 2.0, tmp_path / "clip.mp4")
    with open_video(rotated_video) as whole, open_video(clip) as part:
        assert (part.info.width, part.info.height) == (whole.info.width, whole.info.height) == (64, 96)
        difference = part.frames([0]).astype(int) - whole.frames([25]).astype(int)
    assert np.abs(difference).mean() < 10  # turned wrongly it is 80


@pytest.mark.parametrize("film", ["plain_video", "hd_color_video"])
def test_colours_stay_as_they_are(film, request, tmp_path):
    source = request.getfixturevalue(film)
    with open_video(cut(source, 0.0, 1.0, tmp_path / "clip.mp4")) as part, open_video(source) as whole:
        difference = part.frames(range(20)).astype(int) - whole.frames(range(20)).astype(int)
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 1.5  # a wrong matrix shifts whole channels


def test_an_odd_size_becomes_even(tmp_path):
    source = videos.write_coded(tmp_path / "odd.mkv", range(30), codec="ffv1", size=(95, 63))
    with open_video(cut(source, 0.4, 0.8, tmp_path / "clip.mp4")) as part:
        assert (part.info.width, part.info.height, part.info.frame_count) == (94, 62, 10)


@pytest.mark.parametrize(("name", "start_s"), [("film.mp4", 0.0), ("film.mkv", 1.0), ("film.ts", 0.0)])
def test_every_sound_track_is_there_and_in_time_with_the_pictures(name, start_s, tmp_path):
    tones = [Tone(2.0, 2.5, language="eng"), Tone(1.5, 2.2, language="deu", rate=44100, layout="stereo")]
    source = videos.write_with_sound(tmp_path / name, range(100), tones, start_s)
    clip = cut(source, 1.2, 3.2, tmp_path / "clip.mp4")
    with av.open(str(clip)) as container:
        assert [stream.metadata["language"] for stream in container.streams.audio] == ["eng", "deu"]
        assert [stream.channels for stream in container.streams.audio] == [1, 2]
        assert all(float(s.duration * s.time_base) == pytest.approx(2.0, abs=0.03) for s in container.streams)
    assert videos.loud_s(clip, 0) == pytest.approx((0.8, 1.3), abs=0.03)
    assert videos.loud_s(clip, 1) == pytest.approx((0.3, 1.0), abs=0.03)
    assert shown(clip)[0] == list(range(30, 80))


def test_sound_that_comes_late_or_ends_early_is_silent_where_it_is_missing(tmp_path):
    tones = [Tone(2.0, 2.5, begins_s=1.9, codec="flac"), Tone(0.5, 1.4, length_s=1.5, rate=22050)]
    source = videos.write_with_sound(tmp_path / "film.mkv", range(100), tones)
    clip = cut(source, 1.0, 3.0, tmp_path / "clip.mp4")
    assert videos.loud_s(clip, 0) == pytest.approx((1.0, 1.5), abs=0.03)
    assert videos.loud_s(clip, 1) == pytest.approx((0.0, 0.4), abs=0.03)
    with av.open(str(clip)) as container:
        assert all(float(s.duration * s.time_base) == pytest.approx(2.0, abs=0.05) for s in container.streams.audio)


def test_pictures_and_sound_lie_side_by_side_in_the_file(tmp_path):
    source = videos.write_with_sound(tmp_path / "film.mp4", range(100), [Tone(1.0, 2.0)])
    clip = cut(source, 0.0, 4.0, tmp_path / "clip.mp4")
    with av.open(str(clip)) as container:
        kinds = [packet.stream.type for packet in container.demux() if packet.size]
    assert sum(a != b for a, b in pairwise(kinds)) > 10  # or a player would have to jump


def test_a_film_without_sound_gives_a_clip_without(plain_video, tmp_path):
    with av.open(str(cut(plain_video, 1.0, 2.0, tmp_path / "clip.mp4"))) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_damaged_frame_has_its_neighbour_in_its_place(damaged_video, tmp_path):
    numbers, _, _ = shown(cut(damaged_video, 1.8, 2.2, tmp_path / "clip.mp4"))
    assert len(numbers) == 10 and numbers[:4] == [45, 46, 47, 48] and 50 not in numbers


def test_a_clip_that_fails_leaves_no_file(undecodable_video, tmp_path):
    with pytest.raises(VideoError, match=r"undecodable\.mp4"):
        cut(undecodable_video, 1.0, 2.0, tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())
