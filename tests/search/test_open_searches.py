"""How many searches are open: as many as fill the engines, as far as memory holds their videos."""

from __future__ import annotations

import contextlib

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import ColourEmbedder, ColourVLM, always

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.models.server import Server
from lmms_videominer.policy.served_lm import ServedLM
from lmms_videominer.search.open_searches import OpenVideos, available_bytes, fill, held_bytes, together
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.types import Action, VideoInfo
from lmms_videominer.vlm.served_vlm import ServedVLM


def server(requests: int) -> Server:
    """A server that is not asked anything."""
    return Server("openai:model@http://localhost:9/v1", requests)


def stages(vlm, policy):
    return build_stages(MinerConfig(cache_dir="off", search="plain"), vlm, policy, ColourEmbedder())


@pytest.mark.parametrize(("captions", "decisions"), [(24, 8), (8, 24)])
def test_the_widest_engine_is_filled_whichever_model_it_serves(captions, decisions):
    served = stages(ServedVLM(server(captions)), ServedLM(server(decisions)))
    assert fill(served) == 24


def test_a_model_that_does_not_say_gets_one_request_after_the_other():
    assert fill(stages(ColourVLM(), always(Action.ACCEPT))) == 1


def test_the_user_has_the_last_word():
    served = stages(ServedVLM(server(24)), always(Action.ACCEPT))
    for setting, at_once in ((0, 24), (5, 5)):
        config = MinerConfig(cache_dir="off", search="plain", open_searches=setting)
        assert get_selector("videominer", served, config).open_searches == at_once
    with pytest.raises(ConfigError, match="open_searches=-1"):
        MinerConfig(open_searches=-1)


def test_an_open_video_holds_more_the_larger_its_pictures_and_the_more_its_reader_decodes_ahead():
    def held(backend: str, width: int, height: int, frames: int = 90_000) -> float:
        return held_bytes(VideoInfo("film.mp4", frames / 25, frames, 25.0, width, height, backend)) / 2**20

    assert held("pyav", 1280, 720) < 30 < 300 < held("decord", 1280, 720) == held("another", 1280, 720)
    assert held("decord", 3840, 2160) == pytest.approx(9 * held("decord", 1280, 720), rel=0.05)


def test_each_video_is_open_once_as_long_as_it_is_used_and_one_that_cannot_be_stands_for_its_error(film, tmp_path):
    missing = str(tmp_path / "missing.mp4")
    with contextlib.ExitStack() as stack:
        videos = OpenVideos(MinerConfig(), MemoryCache(), stack)
        video, error = videos.opened(film), videos.opened(missing)
        assert videos.opened(film) is video and video.info.frame_count == 200
        assert videos.opened(missing) is error and isinstance(error, VideoError) and "no such file" in str(error)
        videos.close_unused([film])
        assert videos.opened(film) is video and videos.opened(missing) is not error
        videos.close_unused([missing])
        assert videos.opened(film) is not video


def test_the_available_memory_is_no_more_than_there_is():
    assert 0 < available_bytes() <= psutil.virtual_memory().total


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef")), st.integers(1, 5))
def test_questions_of_one_video_stay_together_within_reason(videos, most):
    groups = list(together(videos, most))
    assert sorted(i for group in groups for i in group) == list(range(len(videos)))
    for group in groups:
        assert len({videos[i] for i in group}) == 1 and len(group) <= most
    for video in set(videos):
        sizes = [len(group) for group in groups if videos[group[0]] == video]
        assert sizes[:-1] == [most] * (len(sizes) - 1)
    assert list(dict.fromkeys(videos[group[0]] for group in groups)) == list(dict.fromkeys(videos))
