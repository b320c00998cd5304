"""Questions about a part of a video, from film to result; the contract of all selectors is in test_selectors."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from support.scripted import ColourVLM, finder

from lmms_videominer.errors import ConfigError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.store.selection_json import from_json, to_json
from lmms_videominer.types import Selection, Span, Usage

SETTINGS = {"search": "plain", "frames": 4, "events": 4, "scan_frames": 64, "clustering": "none", "grain_s": 0.0}


def miner(colour: str = "yellow", **settings) -> VideoMiner:
    return VideoMiner.from_pretrained(
        vlm=ColourVLM(), policy=finder(colour), **({"cache_dir": "off"} | SETTINGS | settings)
    )


def without_cost(selection: Selection) -> Selection:
    return dataclasses.replace(selection, usage=Usage(), config={})


def test_only_the_part_is_searched_and_times_are_those_of_the_whole_video(film):
    mined = miner("red").mine(film, "What is there?", start_s=6, end_s=10)
    whole = miner().mine(film, "What is there?")
    assert mined.accepted == (Span(6.0, 8.0),)  # the red scene ends at 8 s, and begins long before the part
    assert all(
        6 <= frame.time_s < 8 and abs(frame.time_s - frame.frame_index / 10) < 1e-9 for frame in mined.key_frames
    )
    assert mined.nodes[0].spans == (Span(6.0, 10.0),) and mined.answer == "a scene in red"
    assert mined.searched == Span(6.0, 10.0) and mined.video == whole.video
    assert (mined.question.start_s, mined.question.end_s) == (6.0, 10.0)
    assert from_json(to_json(mined)) == mined


def test_frames_that_the_captioner_saw_have_their_times_in_the_whole_video(film):
    mined = miner().mine(film, "What is there?", start_s=6, end_s=16)
    shown = [(event.span, event.frame_times_s) for node in mined.nodes[1:] for event in node.events]
    assert shown and all(span.start_s <= t < span.end_s for span, times in shown for t in times)


def test_a_part_and_the_whole_have_nothing_of_each_other_in_the_cache(film, tmp_path):
    parts = [(0.0, None), (6.0, 16.0), (0.0, 9.0), (6.0, 16.05), (11.0, None)]
    fresh = [miner().mine(film, "What is there?", start_s=start, end_s=end) for start, end in parts]
    cached = miner(cache_dir=str(tmp_path))
    for _ in range(2):
        for (start, end), alone in zip(parts, fresh, strict=True):
            mined = cached.mine(film, "What is there?", start_s=start, end_s=end)
            assert without_cost(mined) == without_cost(alone)
    assert mined.usage.vlm_calls == 0 < mined.usage.vlm_calls_cached


def test_what_is_behind_the_end_is_left_out_and_the_whole_is_the_whole(film):
    whole, alike = (miner().mine(film, "a?", start_s=0.0, end_s=end) for end in (None, 20.0))
    assert miner("blue").mine(film, "a?", start_s=14.0, end_s=1e6).accepted == (Span(15.0, whole.video.duration_s),)
    assert whole.searched is alike.searched is None and whole.nodes == alike.nodes


@pytest.mark.parametrize(
    ("start_s", "end_s", "told"),
    [
        (20.0, None, r"start_s=20 is not in the video, which lasts 20 s"),
        (5.0, 5.0, r"start_s=5.0 and end_s=5.0: give seconds .* the end after the start"),
        (-1.0, None, "start_s=-1.0"),
        (0.0, math.nan, "end_s=nan"),
        (0.0, math.inf, "end_s=inf"),
        ("1:30", None, "start_s='1:30' .* give seconds"),
    ],
)
def test_a_part_that_is_none_is_refused_with_the_video_and_the_way_out(film, start_s, end_s, told):
    with pytest.raises(ConfigError, match=told) as caught:
        miner().mine(film, "What is there?", start_s=start_s, end_s=end_s)
    assert film in str(caught.value)


def test_numbers_of_numpy_are_seconds_too(film):
    assert miner().mine(film, "a?", start_s=np.float32(6), end_s=np.int64(16)).searched == Span(6.0, 16.0)
