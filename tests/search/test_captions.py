from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from support.scripted import ColourVLM, colour_video

from lmms_videominer.errors import CallError, VideoError
from lmms_videominer.search.captions import CaptionJob, caption_events
from lmms_videominer.store.cache import MemoryCache, open_cache
from lmms_videominer.types import Span
from lmms_videominer.video import open_video, video_identity
from lmms_videominer.video.reader import ReaderAround
from lmms_videominer.vlm.prompts import caption_prompt

RED, GREEN, BLUE = Span(0.0, 2.0), Span(2.0, 4.0), Span(4.0, 6.0)
QUESTION = "Which colour comes first?"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return colour_video(tmp_path_factory.mktemp("video") / "scenes.mp4", [("red", 2), ("green", 2), ("blue", 2)])


@pytest.fixture(scope="module")
def reader(path):
    with open_video(path) as reader:
        yield reader


@pytest.fixture
def vlm():
    return ColourVLM()


@pytest.fixture
def job(reader, path):
    def make(spans, question=QUESTION):
        return CaptionJob(reader, video_identity(path), (caption_prompt(question),) * len(spans), tuple(spans))

    return make


def caption(jobs, vlm, cache=None, frames=4, tokens=96, **limits):
    return caption_events(jobs, vlm, cache or MemoryCache(), frames, tokens, **limits)


def test_each_event_is_captioned_from_its_own_frames_and_the_question(job, vlm):
    (result,) = caption([job([GREEN, RED, Span(1.0, 5.0)])], vlm)
    assert [event.caption for event in result.events] == [
        "a scene in green",
        "a scene in red",
        "a scene in red and green and blue",
    ]
    assert [event.span for event in result.events] == [GREEN, RED, Span(1.0, 5.0)]
    assert {request.prompt for request in vlm.calls[0]} == {caption_prompt(QUESTION)}
    assert (result.made, result.cached, result.frames_decoded) == (3, 0, 12)


def test_frames_are_uniform_over_the_span_and_their_times_are_told(job, vlm):
    (result,) = caption([job([GREEN])], vlm, frames=4, tokens=33)
    request = vlm.calls[0][0]
    np.testing.assert_allclose(request.frame_times_s, [2.2, 2.7, 3.2, 3.7])  # frames at midpoints of 0.5 s, 10 fps
    assert result.events[0].frame_times_s == request.frame_times_s
    assert request.frames.shape == (4, 32, 32, 3) and request.max_new_tokens == 33 and request.temperature == 0


def test_all_events_of_all_jobs_are_one_call(job, vlm):
    caption([job([RED, GREEN]), job([BLUE], "Another question?"), job([])], vlm)
    assert [len(call) for call in vlm.calls] == [3]


def test_a_second_run_makes_no_call(job, vlm, tmp_path):
    first = caption([job([RED, GREEN])], vlm, open_cache(str(tmp_path)))
    again = ColourVLM()
    second = caption([job([RED, GREEN])], again, open_cache(str(tmp_path)))
    assert again.calls == []
    assert second[0].events == first[0].events
    assert (second[0].made, second[0].cached, second[0].frames_decoded) == (0, 2, 0)


def test_equal_events_of_one_batch_are_captioned_once_and_counted_for_the_first_job(job, vlm):
    one, two = caption([job([RED, GREEN]), job([GREEN, RED, BLUE, RED])], vlm)
    assert [len(call) for call in vlm.calls] == [3]
    assert (one.made, one.cached) == (2, 0)
    assert (two.made, two.cached, two.frames_decoded) == (1, 3, 4)
    assert [event.caption for event in two.events] == [
        "a scene in green",
        "a scene in red",
        "a scene in blue",
        "a scene in red",
    ]


def test_only_what_the_cache_lacks_is_asked(job, vlm):
    cache = MemoryCache()
    caption([job([RED])], vlm, cache)
    (result,) = caption([job([RED, BLUE])], vlm, cache)
    assert [len(call) for call in vlm.calls] == [1, 1]
    assert (result.made, result.cached) == (1, 1)


@pytest.mark.parametrize("change", ["question", "frames", "tokens", "captioner", "video"])
def test_whatever_matters_makes_another_caption(job, vlm, change):
    cache = MemoryCache()
    caption([job([RED])], vlm, cache)
    other = ColourVLM("another" if change == "captioner" else "colours")
    asked = job([RED], "Another?" if change == "question" else QUESTION)
    if change == "video":
        asked = CaptionJob(asked.reader, "another", asked.prompts, asked.spans)
    caption([asked], other, cache, frames=3 if change == "frames" else 4, tokens=50 if change == "tokens" else 96)
    assert len(other.calls) == 1


def test_an_event_shorter_than_its_frames_shows_each_frame_once(job, vlm):
    (result,) = caption([job([Span(3.0, 3.1), Span(4.0, 4.0)])], vlm, frames=8)
    assert [len(request.frames) for request in vlm.calls[0]] == [1, 1]
    assert [event.caption for event in result.events] == ["a scene in green", "a scene in blue"]


def test_no_job_and_no_span_make_no_call(job, vlm):
    assert caption([], vlm) == []
    assert caption([job([])], vlm)[0].events == ()
    assert vlm.calls == []


class Silent(ColourVLM):
    """Says nothing of green; ``said`` is what it says of it."""

    said: str | CallError = " \n"

    def generate(self, requests):
        return [self.said if "green" in text else text for text in super().generate(requests)]


def test_an_empty_caption_is_asked_for_again_apart_and_counted_and_not_kept(job):
    cache, silent = MemoryCache(), Silent()
    (result,) = caption([job([RED, GREEN, BLUE])], silent, cache)
    assert [event.caption for event in result.events] == ["a scene in red", "", "a scene in blue"]
    assert [len(call) for call in silent.calls] == [3, 1]
    assert (result.made, result.missing, result.usage.captions_missing, result.fault) == (3, 1, 1, None)
    (result,) = caption([job([RED, GREEN, BLUE])], ColourVLM(), cache)
    assert (result.made, result.cached, result.missing) == (1, 2, 0)


def test_a_reply_that_does_not_come_is_told_and_the_others_are_kept(job):
    cache, silent = MemoryCache(), Silent()
    silent.said = CallError("the service is busy")
    one, other = caption([job([RED, GREEN]), job([GREEN], "Another?")], silent, cache)
    assert [event.caption for event in (*one.events, *other.events)] == ["a scene in red", "", ""]
    assert (one.missing, one.fault, other.missing) == (1, silent.said, 1)
    assert [len(call) for call in silent.calls] == [3]
    (result,) = caption([job([RED, GREEN])], ColourVLM(), cache)
    assert (result.made, result.cached) == (1, 1)


def test_frames_beyond_the_memory_limit_go_in_several_calls_with_the_same_result(job, vlm):
    frame_bytes = 32 * 32 * 3
    whole = caption([job([RED, GREEN, BLUE])], ColourVLM())
    parts = caption([job([RED, GREEN, BLUE])], vlm, max_batch_bytes=8 * frame_bytes)
    assert [len(call) for call in vlm.calls] == [2, 1]
    assert parts == whole
    one_each = ColourVLM()
    assert caption([job([RED, GREEN, BLUE])], one_each, max_batch_bytes=1) == whole
    assert [len(call) for call in one_each.calls] == [1, 1, 1]


class Broken:
    """A reader whose file can no longer be decoded."""

    def __init__(self, reader):
        self.info, self.timestamps_s, self.frame_size = reader.info, reader.timestamps_s, reader.frame_size

    def frames(self, indices):
        raise VideoError("broken.mp4", "frame 3 cannot be decoded", "Re-encode it")


def test_a_video_that_cannot_be_decoded_fails_its_own_jobs_alone(job, vlm, reader):
    broken = CaptionJob(Broken(reader), "broken", (caption_prompt(QUESTION),), (RED,))
    results = caption([job([RED]), broken, job([BLUE]), broken], vlm)
    assert isinstance(results[1], VideoError) and isinstance(results[3], VideoError)
    assert [results[i].events[0].caption for i in (0, 2)] == ["a scene in red", "a scene in blue"]


def test_where_every_video_is_broken_the_captioner_is_not_called(vlm, reader):
    (result,) = caption([CaptionJob(Broken(reader), "broken", (caption_prompt(QUESTION),), (RED,))], vlm)
    assert isinstance(result, VideoError) and vlm.calls == []


def test_each_video_is_read_once_a_batch(job, vlm, reader):
    reads = []

    class Recording:
        info, timestamps_s, damaged = reader.info, reader.timestamps_s, reader.damaged
        frame_size = reader.frame_size

        def frames(self, indices):
            reads.append(list(indices))
            return reader.frames(indices)

    recording = CaptionJob(Recording(), "recorded", (caption_prompt(QUESTION),) * 2, (BLUE, RED))
    caption([recording, CaptionJob(recording.reader, "recorded", (caption_prompt("Another?"),), (RED,))], vlm, frames=2)
    assert reads == [[5, 15, 45, 55]]  # in the order of the file


class PairsVLM(ColourVLM):
    """Serves two requests at once; ``between`` is called while it works."""

    def __init__(self, between=lambda: None):
        super().__init__()
        self.between = between

    def parts(self, requests):
        return [list(range(start, min(start + 2, len(requests)))) for start in range(0, len(requests), 2)]

    def generate(self, requests):
        self.between()
        return super().generate(requests)


class WatchedReader(ReaderAround):
    """A reader that tells how many times it has been asked, and in which threads."""

    def __init__(self, reader, failing: int = 0):
        super().__init__(reader)
        self.asked, self.threads, self.told, self.failing = 0, set(), threading.Condition(), failing

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        with self.told:
            self.asked += 1
            self.threads.add(threading.current_thread().name.partition("_")[0])
            self.told.notify_all()
        if self.asked == self.failing:
            raise VideoError(self.info.path, "the disk is gone", "Mount it again")
        return super().frames(indices)


HALVES = [Span(k / 2, k / 2 + 0.5) for k in range(12)]  # of a second, six parts of two


def watched(path, reader, vlm, spans=HALVES):
    job = CaptionJob(reader, video_identity(path), (caption_prompt(QUESTION),) * len(spans), tuple(spans))
    return caption([job], vlm)[0]


def still_reading() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_the_frames_of_one_part_more_are_read_while_the_model_works(path, reader):
    watch, seen = WatchedReader(reader), []

    def between():
        with watch.told:
            next_part = min(len(seen) + 2, 6)
            assert watch.told.wait_for(lambda: watch.asked >= next_part, timeout=60)
            assert not watch.told.wait_for(lambda: watch.asked > next_part, timeout=0.05)
        seen.append(watch.asked)

    result = watched(path, watch, PairsVLM(between))
    assert seen == [2, 3, 4, 5, 6, 6] and watch.threads == {"read-ahead"} and not still_reading()
    at_once = watched(path, reader, ColourVLM())
    assert result == at_once and result.frames_decoded == 48


def test_a_single_part_is_read_without_a_thread(path, reader):
    watch = WatchedReader(reader)
    watched(path, watch, PairsVLM(), HALVES[:2])
    assert watch.threads == {"MainThread"}


def test_a_video_that_fails_while_the_model_works_is_an_error_of_its_own(path, reader, job):
    watch, vlm = WatchedReader(reader, failing=3), PairsVLM()
    failing = CaptionJob(watch, "another video", (caption_prompt(QUESTION),) * 12, tuple(HALVES))
    error, sound = caption([failing, job([RED])], vlm)
    assert isinstance(error, VideoError) and error.reason == "the disk is gone"
    assert [event.caption for event in sound.events] == ["a scene in red"]
    assert watch.asked == 3 and not still_reading()  # it is not read again
    assert [len(call) for call in vlm.calls] == [2, 2, 1]


def test_a_key_press_ends_reading_ahead(path, reader):
    def between():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(path, WatchedReader(reader), PairsVLM(between))
    assert not still_reading()
