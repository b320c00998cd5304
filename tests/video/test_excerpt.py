from __future__ import annotations

import numpy as np
import pytest
from support.videos import VFR_TIMES_S, number_of

from lmms_videominer.types import Span
from lmms_videominer.video import open_video
from lmms_videominer.video.excerpt import ExcerptReader


def numbers(reader: ExcerptReader, indices) -> list[int]:
    return [number_of(frame) for frame in reader.frames(indices)]


def test_a_part_is_a_video_of_its_own(plain_video):
    with open_video(plain_video) as whole:
        part = ExcerptReader(whole, Span(1.0, 2.5))
        assert numbers(part, range(part.info.frame_count)) == list(range(25, 63))
        np.testing.assert_allclose(part.timestamps_s, np.arange(38) / 25, atol=1e-9)
        assert part.timestamps_s[0] == 0 and part.info.duration_s == 1.5 and part.info.path == str(plain_video)
        assert part.info.average_fps == pytest.approx(38 / 1.5)
        assert part.sync_frames.tolist() == [i - 25 for i in whole.sync_frames.tolist() if 25 <= i < 63] != []
        np.testing.assert_array_equal(part.gray_histograms([3]), whole.gray_histograms([28]))


@pytest.mark.parametrize("index", [-1, 38])
def test_what_is_outside_the_part_cannot_be_read(plain_video, index):
    with open_video(plain_video) as whole, pytest.raises(IndexError, match="no frame"):
        ExcerptReader(whole, Span(1.0, 2.5)).frames([index])


@pytest.mark.parametrize(
    ("span", "first", "stop"),
    [
        (Span(1.01, 1.19), 25, 30),  # frame 25 is shown when the part starts
        (Span(1.0, 1.04), 25, 26),
        (Span(3.5, 99.0), 87, 100),
    ],
)
def test_the_first_frame_is_the_one_that_is_shown_then_and_the_last_begins_before_the_end(
    plain_video, span, first, stop
):
    with open_video(plain_video) as whole:
        part = ExcerptReader(whole, span)
        assert numbers(part, range(part.info.frame_count)) == list(range(first, stop))
        assert part.span.end_s <= whole.info.duration_s
        ends = [part.time_of(i) for i in (0, part.info.frame_count - 1)]
        assert ends == whole.timestamps_s[[first, stop - 1]].tolist()


def test_a_part_between_two_frames_has_the_one_that_is_shown(vfr_video):
    with open_video(vfr_video) as whole:
        part = ExcerptReader(whole, Span(0.5, 0.7))
        assert numbers(part, [0]) == [9] and part.timestamps_s.tolist() == [0.0]
        assert part.info.duration_s == pytest.approx(0.2) and part.time_of(0) == pytest.approx(VFR_TIMES_S[9])


def test_damage_is_counted_within_the_part(damaged_video):
    with open_video(damaged_video) as whole:
        before, around = ExcerptReader(whole, Span(0.0, 1.0)), ExcerptReader(whole, Span(1.9, 2.2))
        around.frames(range(around.info.frame_count))
        assert 50 - 47 in around.damaged and around.substituted == len(around.damaged) == whole.substituted
        assert before.substituted == 0
