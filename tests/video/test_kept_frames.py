"""Frames that are kept in memory: each is decoded once, and memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.videos import HEIGHT, WIDTH, number_of

from lmms_videominer.video.kept_frames import KeepingReader, KeptFrames
from lmms_videominer.video.opening import open_video, opened

FRAME = HEIGHT * WIDTH * 3


class Read:
    """The indices that a reader was asked for."""

    def __init__(self, reader: object, monkeypatch: pytest.MonkeyPatch):
        self.indices: list[int] = []
        frames = reader.frames
        monkeypatch.setattr(reader, "frames", lambda asked: self.indices.extend(asked) or frames(asked))


@pytest.fixture
def reading(plain_video: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[KeepingReader, Read]]:
    with open_video(plain_video, "pyav") as reader:
        read = Read(reader, monkeypatch)
        yield KeepingReader(reader, KeptFrames(10 * FRAME)), read


def test_each_frame_is_decoded_once(reading):
    reader, read = reading
    assert [number_of(frame) for frame in reader.frames([30, 4, 4, 7])] == [30, 4, 4, 7]
    assert [number_of(frame) for frame in reader.frames([4, 9, 30, 9])] == [4, 9, 30, 9]
    assert reader.frames([]).shape == (0, HEIGHT, WIDTH, 3)
    assert read.indices == [4, 7, 30, 9]


def test_what_is_kept_is_bounded_and_what_was_asked_for_last_stays(reading):
    reader, read = reading
    reader.frames(range(10))
    reader.frames([0])
    reader.frames([50])  # in the place of 1
    read.indices.clear()
    assert [number_of(frame) for frame in reader.frames([0, 1, 2])] == [0, 1, 2]
    assert read.indices == [1]
    assert [number_of(frame) for frame in reader.frames(range(100))] == list(range(100))


def test_what_is_returned_belongs_to_the_caller(reading):
    reader, _ = reading
    reader.frames([3])[:] = 0
    reader.frames([3])[:] = 0
    assert number_of(reader.frames([3])[0]) == 3


def test_videos_that_are_open_together_share_the_room_and_not_the_frames(plain_video: Path, shifted_video: Path):
    kept, pixels = KeptFrames(), HEIGHT * WIDTH // 4
    with (
        opened(str(plain_video), "pyav", pixels, kept=kept) as one,
        opened(str(shifted_video), "pyav", pixels, kept=kept) as other,
    ):
        first = one.reader.frames([5, 60])
        assert first.shape == (2, HEIGHT // 2, WIDTH // 2, 3)
        np.testing.assert_array_equal(one.reader.frames([5, 60]), first)
        assert other.reader.frames([8]).shape == first[:1].shape
        assert one.shown_as == f"{one.identity}@{WIDTH // 2}x{HEIGHT // 2}"
        assert one.reader.coarse_frames.size == 0


def test_a_video_that_is_small_enough_stays_as_it_is(plain_video: Path):
    with opened(str(plain_video), "pyav", pixels=HEIGHT * WIDTH) as video:
        assert video.reader.frame_size == (HEIGHT, WIDTH) and video.shown_as == video.identity
