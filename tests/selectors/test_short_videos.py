"""Videos too short for a search to pay: the frames of uniform selection, at its cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import ColourEmbedder, ColourVLM, always, colour_video

from lmms_videominer.config import MinerConfig
from lmms_videominer.miner import VideoMiner
from lmms_videominer.search.stages import Stages
from lmms_videominer.search.wishes import Case
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.videominer import VideoMinerSelector
from lmms_videominer.store.cache import open_cache
from lmms_videominer.types import Action, Question, Selection, Usage, VideoInfo
from lmms_videominer.video.opening import OpenVideo

CONFIG = MinerConfig(search="plain", frames=4, events=6, grain_s=0.5, scan_frames=16, max_depth=1, cache_dir="off")
REACH_S = 3.0  # 6 events of half a second
NO_MODELS = Stages(vlm=None, segmenter=None, clusterer=None, cache=open_cache("off"))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """``film(31)``: a video of 31 frames, in two colours; ``film(31, 24)``: at 24 frames a second instead of 10."""
    folder, made = tmp_path_factory.mktemp("films"), {}

    def film(frames: int, fps: int = 10) -> str:
        if (frames, fps) not in made:
            scenes = [("red", frames // 2 / fps), ("blue", (frames - frames // 2) / fps)]
            made[frames, fps] = colour_video(Path(folder) / f"{frames}-{fps}.mp4", scenes, fps=fps)
        return made[frames, fps]

    return film


def select(video: str, stages: Stages = NO_MODELS, **given_settings) -> Selection:
    config = dataclasses.replace(CONFIG, **given_settings)
    [selection] = get_selector(config.selector, stages, config).select([Question(video, "What is red?")])
    return selection


def models() -> Stages:
    return build_stages(CONFIG, ColourVLM(), always(Action.DELETE), ColourEmbedder())


def shown(selection: Selection) -> list[tuple[int, float]]:
    return [(frame.frame_index, frame.time_s) for frame in selection.key_frames]


@pytest.mark.parametrize("reader", ["decord", "pyav"])
@pytest.mark.parametrize("frames", [3, 4, 5, 29, 30])
def test_its_frames_are_those_of_uniform_selection_and_no_stage_is_needed(film, frames, reader):
    selection = select(film(frames), reader=reader)
    assert shown(selection) == shown(select(film(frames), selector="uniform", reader=reader))
    assert [(node.id, node.note, node.decision) for node in selection.nodes] == [("0", "short", None)]
    assert selection.fallbacks == () and {frame.node_id for frame in selection.key_frames} == {"0"}
    assert dataclasses.replace(selection.usage, seconds={}) == Usage() and set(selection.usage.seconds) == {"open"}


def test_mining_it_decodes_the_frames_of_the_answer_and_asks_for_the_answer_alone(film):
    policy = always(Action.DELETE)
    found = {}
    for selector in ("videominer", "uniform"):
        config = dataclasses.replace(CONFIG, selector=selector)
        miner = VideoMiner.from_pretrained(vlm=ColourVLM(), policy=policy, embedder=ColourEmbedder(), config=config)
        found[selector] = miner.mine(film(30), "What is red?")
        assert [len(call) for call in miner.stages.vlm.calls] == [1]
    mined, uniform = found["videominer"], found["uniform"]
    assert (shown(mined), mined.answer) == (shown(uniform), uniform.answer) and not policy.calls
    assert dataclasses.replace(mined.usage, seconds={}) == Usage(answer_calls=1, frames_decoded=4)
    assert set(mined.usage.seconds) == set(uniform.usage.seconds)


@pytest.mark.parametrize("fps", [10, 24, 25, 30])
def test_a_video_of_the_reach_is_not_searched_and_one_frame_more_is(film, fps):
    frames = round(REACH_S * fps)
    assert select(film(frames, fps), models()).nodes[0].note == "short"
    longer = select(film(frames + 1, fps), models())
    assert longer.nodes[0].note == "" and len(longer.nodes) > 1 and longer.usage.vlm_calls > 0


@pytest.mark.parametrize(("frames", "searched"), [(4, False), (5, True), (30, True)])
def test_without_a_grain_every_video_that_has_more_frames_than_the_budget_is_searched(film, frames, searched):
    assert (len(select(film(frames), models(), grain_s=0).nodes) > 1) == searched


def test_among_long_videos_it_adds_nothing_to_any_call(film):
    stages = models()
    questions = [Question(film(frames), "What is red?") for frames in (30, 60, 30)]
    short, long, again = get_selector("videominer", stages, CONFIG).select(questions)
    assert [selection.question for selection in (short, long, again)] == questions
    assert long.usage.vlm_calls == sum(map(len, stages.vlm.calls)) > 0
    assert shown(short) == shown(again) == shown(select(film(30), selector="uniform"))


@settings(deadline=None)
@given(
    st.floats(0.04, 1000),
    st.floats(1, 60),
    st.integers(1, 64),
    st.integers(2, 64),
    st.floats(0, 20),
    st.floats(0.001, 1),
    st.integers(0, 64),
)
def test_the_rule_is_monotone_in_duration_frames_and_events(duration_s, fps, frames, events, grain_s, share, more):
    def aside(duration_s: float, **changed) -> bool:
        config = MinerConfig(**{"search": "plain", "frames": frames, "events": events, "grain_s": grain_s, **changed})
        info = VideoInfo("", duration_s, max(1, int(duration_s * fps)), fps, 32, 32, "none")
        video = OpenVideo(SimpleNamespace(info=info), "film")
        case = Case(Question("", "What is red?"), video, np.arange(info.frame_count) / fps, config)
        return next(VideoMinerSelector(NO_MODELS, config).begin(case), None) is None  # asks nothing

    if aside(duration_s):  # so is what is shorter, and so it is for a larger budget, and for more events
        assert aside(duration_s * share)
        assert aside(duration_s, frames=frames + more) and aside(duration_s, events=events + more)
        assert aside(duration_s, grain_s=grain_s + share)
    else:
        assert not aside(duration_s / share) and not aside(duration_s, grain_s=grain_s * share)
        assert not aside(duration_s, grain_s=0) or int(duration_s * fps) <= frames
