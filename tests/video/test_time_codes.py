"""Times as people read them."""

from __future__ import annotations

import pytest

from lmms_videominer.types import Span
from lmms_videominer.video.time_codes import clock, clock_spans, file_stamp, file_stamps, is_file_stamp, seconds


@pytest.mark.parametrize(
    ("time_s", "decimals", "text"),
    [
        (0, 0, "0:00:00"),
        (59.99, 0, "0:01:00"),
        (59.99, 1, "0:01:00.0"),
        (3725.04, 1, "1:02:05.0"),
        (36_000, 0, "10:00:00"),
        (61.25, 2, "0:01:01.25"),
    ],
)
def test_clock(time_s, decimals, text):
    assert clock(time_s, decimals) == text


def test_short_spans_show_tenths_and_long_lists_are_counted():
    spans = [Span(0, 90), Span(100, 102.5), Span(200, 300), Span(400, 500), Span(600, 700)]
    assert clock_spans(spans) == "0:00:00-0:01:30, 0:01:40.0-0:01:42.5, 0:03:20-0:05:00 and 2 more"


def test_file_stamps_sort_by_time():
    times = [0.0, 9.5, 59.9996, 60.5, 3599.0, 3600.0, 36_000.0]
    stamps = [file_stamp(time_s) for time_s in times]
    assert stamps == sorted(stamps)
    assert stamps[1] == "00h00m09.500s"


@pytest.mark.parametrize("fps", [25, 999, 1000, 3000, 240_000, 90_000_000])
def test_file_stamps_differ_at_any_frame_rate_and_sort_by_time(fps):
    times = [3599.99 + number / fps for number in range(30)]
    stamps = file_stamps(times)
    assert len(set(stamps)) == 30 and stamps == sorted(stamps)
    assert all(is_file_stamp(stamp) for stamp in stamps)


def test_file_stamps_of_ordinary_films_have_milliseconds():
    assert file_stamps([0.04, 0.08]) == ["00h00m00.040s", "00h00m00.080s"]
    assert file_stamps([]) == []


@pytest.mark.parametrize("text", ["holiday", "00h00m01s", "00h00m61.000s", "x00h00m01.000s", "00h00m01.000s-2"])
def test_other_names_are_no_file_stamps(text):
    assert not is_file_stamp(text)


@pytest.mark.parametrize(
    ("text", "time_s"),
    [
        ("90", 90.0),
        ("90.25", 90.25),
        ("1:30", 90.0),
        ("0:01:30.5", 90.5),
        ("100:00", 6000.0),
        ("1:5:00", 3900.0),
        (" 7. ", 7.0),
    ],
)
def test_seconds_are_read_as_people_write_them(text, time_s):
    assert seconds(text) == time_s


@pytest.mark.parametrize("time_s", [0.0, 59.99, 3725.04, 36_000.5])
def test_seconds_reads_what_clock_writes(time_s):
    assert seconds(clock(time_s, 2)) == pytest.approx(time_s, abs=0.005)


@pytest.mark.parametrize("text", ["", "-3", "1:90", "1:60:00", "1:61.5", ":30", "1::2", "1:2:3:4", "nan", "1e3", "12s"])
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(ValueError, match=r"is no time: write seconds, m:ss or h:mm:ss, as in 90, 1:30"):
        seconds(text)
