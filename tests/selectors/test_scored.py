"""Selectors by scores on real videos: what they see, what it costs, and what their results say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.families import SCORING, settings_for
from support.scripted import ColourScorer, colour_video

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, VideoError
from lmms_videominer.scoring import ScoreJob, score_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.scored import scores_of
from lmms_videominer.selectors.settings import configured
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.types import Question, Scores, Selection
from lmms_videominer.video.opening import opened

CONFIG = MinerConfig(frames=4, cache_dir="off")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> str:
    scenes = [("red", 16), ("green", 16), ("yellow", 8), ("blue", 24)]  # 64 s at 10 fps
    return colour_video(tmp_path_factory.mktemp("films") / "film.mp4", scenes)


def stages_of(scorer=None, **settings) -> tuple[Stages, MinerConfig]:
    config = configured(CONFIG, **settings_for(settings.get("selector", ""), settings))
    return build_stages(config, None, scorer=scorer or ColourScorer()), config


def select(name: str, *questions: Question, scorer=None, **settings) -> list:
    stages, config = stages_of(scorer, selector=name, **settings)
    return get_selector(name, stages, config).select(questions)


@pytest.mark.parametrize("name", SCORING)
def test_the_scene_that_fits_the_question_is_found(name, film):
    [selection] = select(name, Question(film, "What is yellow?"))
    seen = [32 <= frame.time_s < 40 for frame in selection.key_frames]
    # BOLT and AKS keep an eye on the rest, FOCUS on other clips
    assert sum(seen) >= {"topk": 4, "qframe": 4}.get(name, 1)


@pytest.mark.parametrize("name", SCORING)
def test_a_result_keeps_the_scores_that_led_to_it(name, film):
    [selection] = select(name, Question(film, "What is yellow?"))
    scores = selection.scores
    assert (scores.scorer, scores.text) == ("colours", "What is yellow?")
    assert len(scores.frame_indices) == len(scores.times_s) == len(scores.values) == selection.usage.scores
    assert scores.times_s == pytest.approx([i / 10 for i in scores.frame_indices])
    assert scores.values == pytest.approx([1.0 if 32 <= t < 40 else v for t, v in zip(scores.times_s, scores.values)])
    known = dict(zip(scores.frame_indices, scores.values))
    assert all(frame.score == known.get(frame.frame_index, frame.score) for frame in selection.key_frames)
    assert len(scores.weights) == (0 if name in ("topk", "focus") else len(scores.values))
    nodes = {node.id for node in selection.nodes}
    assert {frame.node_id for frame in selection.key_frames} <= (nodes or {None})


def test_scores_are_kept_in_the_order_of_the_frames_to_six_places():
    times_s, scores, weights = np.array([0.0, 0.5, 1.0]), {2: 0.12345678, 0: 0.5}, {2: 2 / 3, 0: 1 / 3}
    kept = Scores("m", "what", (0, 2), (0.0, 1.0), (0.5, 0.123457), (0.333333, 0.666667))
    assert scores_of("m", "what", times_s, scores, weights) == kept
    assert scores_of("m", "what", times_s, scores) == dataclasses.replace(kept, weights=())


def test_a_result_says_whether_frames_were_added_to_those_of_the_rule(tmp_path, film):
    brief = colour_video(tmp_path / "brief.mp4", [("red", 0.8)])  # eight clips of one frame; the first is the best
    [selection] = select("focus", Question(brief, "What is red?"), frames=7, focus_share=1.0)
    assert len(selection.key_frames) == 7 and selection.fallbacks == ("filled",)
    [selection] = select("topk", Question(film, "What is red?"))
    assert selection.fallbacks == ()


def test_questions_on_one_video_are_scored_on_frames_decoded_once(film):
    scorer = ColourScorer()
    questions = [Question(film, f"What is {colour}?") for colour in ("red", "blue", "yellow")]
    selections = select("topk", *questions, scorer=scorer)
    assert scorer.frames == 64  # one a second
    assert [s.usage.scores for s in selections] == [64] * 3
    assert sum(s.usage.frames_decoded for s in selections) == 64
    assert [s.key_frames[0].time_s for s in selections] == [0.5, 40.5, 32.5]


def test_selectors_share_the_scores_of_the_same_candidates(film, tmp_path):
    scorer, question = ColourScorer(), Question(film, "What is yellow?")
    [first] = select("topk", question, scorer=scorer, cache_dir=str(tmp_path))
    [second] = select("bolt", question, scorer=scorer, cache_dir=str(tmp_path))
    assert scorer.frames == 64 and second.scores.values == first.scores.values
    assert (second.usage.scores, second.usage.scores_cached, second.usage.frames_decoded) == (0, 64, 0)


def test_other_weights_or_another_question_meet_no_old_scores(film, tmp_path):
    select("topk", Question(film, "What is yellow?"), cache_dir=str(tmp_path))
    for scorer, text in ((ColourScorer("other"), "What is yellow?"), (ColourScorer(), "What is red?")):
        [selection] = select("topk", Question(film, text), scorer=scorer, cache_dir=str(tmp_path))
        assert selection.usage.scores == 64


def test_candidate_fps_sets_how_many_are_scored(film):
    assert [select("topk", Question(film, "?"), candidate_fps=fps)[0].usage.scores for fps in (0.5, 2.0)] == [32, 128]


@pytest.mark.parametrize("name", SCORING)
def test_a_video_of_fewer_seconds_than_the_budget_still_gives_the_budget(name, tmp_path):
    brief = colour_video(tmp_path / "brief.mp4", [("red", 2), ("yellow", 1)])  # 30 frames
    [selection] = select(name, Question(brief, "What is yellow?"), frames=12)
    assert len(selection.key_frames) == 12


@pytest.mark.parametrize("name", SCORING)
def test_damaged_frames_cost_no_question_and_a_lost_video_its_own(name, film, damaged_video, undecodable_video):
    asked = [Question(str(path), "What is yellow?") for path in (damaged_video, film, undecodable_video)]
    damaged, whole, lost = select(name, *asked, candidate_fps=25.0, qframe_candidates=100)
    assert isinstance(damaged, Selection) and isinstance(whole, Selection)
    assert isinstance(lost, VideoError) and "undecodable.mp4" in str(lost)


def test_scores_are_the_same_however_few_frames_are_held_at_once(film):
    with opened(film, "auto") as video:
        job = ScoreJob(video, "What is yellow?", np.arange(0, 640, 10))
        sizes = (1, 32 * 32 * 3 * 10, 2**30)
        parts = [score_frames([job], ColourScorer(), MemoryCache(), size)[0].values for size in sizes]
    assert (parts[0] == parts[1]).all() and (parts[0] == parts[2]).all()


def test_a_job_asked_twice_is_scored_once(film):
    scorer = ColourScorer()
    with opened(film, "auto") as video:
        job = ScoreJob(video, "What is yellow?", np.arange(0, 100, 10))
        first, second = score_frames([job, dataclasses.replace(job)], scorer, MemoryCache())
    assert scorer.frames == 10 and (first.values == second.values).all()
    assert (first.made, first.cached, second.made, second.cached) == (10, 0, 0, 10)


def test_scores_that_are_no_numbers_are_refused_and_not_kept(film, tmp_path: Path):
    class Broken(ColourScorer):
        def score(self, frames, texts):
            return super().score(frames, texts) * np.nan

    with pytest.raises(ModelError, match="'colours' gives scores that hold NaN"):
        select("topk", Question(film, "What is yellow?"), scorer=Broken(), cache_dir=str(tmp_path))
    assert select("topk", Question(film, "What is yellow?"), cache_dir=str(tmp_path))[0].usage.scores == 64


def test_stages_built_without_a_scorer_are_told_so(film):
    stages, config = stages_of(selector="topk")
    selector = get_selector("topk", dataclasses.replace(stages, scorer=None), config)
    [failed] = selector.select([Question(film, "What is yellow?")])
    assert isinstance(failed, ConfigError) and "no scorer is loaded" in str(failed)
