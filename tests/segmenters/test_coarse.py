"""Which videos are scanned at their sync frames: those whose sync frames show what the others show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lmms_videominer.segmenters import coarse
from lmms_videominer.segmenters.coarse import coarse_frames, known_coarse_frames, settled, strangers
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.video import VideoReader, open_video

GOP, SYNC = 8, 160
SIZE = 48
RED, GREEN, BLUE, WHITE = (200, 40, 40), (40, 180, 60), (50, 60, 200), (250, 250, 250)


def write(path: Path, colour_at: Callable[[int], tuple[int, int, int]], gop: int = GOP) -> Path:
    """``SYNC * GOP`` frames of a colour over a gray half, a key frame every ``gop`` and nowhere else."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"preset": "ultrafast", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.gop_size, stream.codec_context.thread_count = gop, 1
        for number in range(SYNC * GOP):
            picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
            picture[: SIZE // 2] = colour_at(number)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shots(length: int) -> Callable[[int], tuple[int, int, int]]:
    """Shots of ``length`` frames, each of another colour, none twice."""
    colours = np.random.default_rng(0).integers(0, 255, (SYNC * GOP // length + 1, 3))
    return lambda number: tuple(colours[number // length])


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., VideoReader]]:
    readers = []

    def open_film(*how: object) -> VideoReader:
        readers.append(open_video(write(tmp_path / f"{len(readers)}.mp4", *how), "pyav"))
        return readers[-1]

    yield open_film
    for reader in readers:
        reader.close()


@pytest.mark.parametrize("length", [SYNC * GOP, 100, 30, 5], ids=["one shot", "long shots", "shots", "quick shots"])
def test_a_film_that_is_cut_regardless_of_its_sync_frames_is_scanned_there(opened, length: int):
    reader = opened(shots(length))
    assert len(reader.sync_frames) == SYNC
    np.testing.assert_array_equal(coarse_frames(reader), reader.sync_frames)


@pytest.mark.parametrize(
    "colour_at",
    [
        lambda number: RED if number % GOP < GOP // 2 else GREEN,
        lambda number: WHITE if number % GOP == 0 else BLUE,
        lambda number: (RED, GREEN, BLUE)[number // GOP % 3] if number % GOP < 3 else (200, 200, 0),
    ],
    ids=["two cameras in turn", "a flash at each", "three cameras and what they miss"],
)
def test_a_film_whose_sync_frames_keep_step_with_its_edits_is_not(opened, colour_at):
    assert not len(coarse_frames(opened(colour_at)))


def test_a_film_of_few_sync_frames_is_not_and_is_not_read_for_it(opened, monkeypatch: pytest.MonkeyPatch):
    reader = opened(shots(30), SYNC * GOP // (coarse.FEWEST - 1) + 1)
    monkeypatch.setattr(reader, "frames", lambda indices: pytest.fail("read"))
    assert 1 < len(reader.sync_frames) < coarse.FEWEST and not len(coarse_frames(reader))


@pytest.mark.parametrize("tell", [True, False])
def test_what_is_known_of_a_film_is_not_looked_at_again(opened, monkeypatch: pytest.MonkeyPatch, tell: bool):
    reader = opened(shots(30) if tell else lambda number: RED if number % GOP < GOP // 2 else GREEN)
    cache = MemoryCache()
    first = known_coarse_frames(reader, "a film", cache)
    monkeypatch.setattr(reader, "frames", lambda indices: pytest.fail("read"))
    again = known_coarse_frames(reader, "a film", cache)
    assert len(first) == (SYNC if tell else 0)
    np.testing.assert_array_equal(again, first)


def test_where_the_encoder_set_a_key_frame_for_a_change_the_scan_looks_half_a_second_later():
    times_s, sync = np.arange(100) / 8, np.array([0, 16, 20, 22, 38, 54])
    assert settled(sync, times_s).tolist() == [0, 16, 26, 38, 54]  # after 20 the next one comes too soon


def test_strangers_are_unlike_more_than_nine_in_ten():
    own = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0], [8.0], [20.0]])  # the last one is alone
    assert strangers(own, np.array([[0.5], [8.9], [-1.0], [14.0], [40.0]])) == 2
    assert strangers(np.zeros((10, 2)), np.array([[0.0, 0.1], [0.0, 0.15]])) == 1
