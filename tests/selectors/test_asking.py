"""The selectors that ask a language model, on real videos."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.conversation import case_of, converse
from support.families import ASKING, settings_for
from support.scripted import (
    COLOURS,
    ColourEmbedder,
    ColourEncoder,
    ColourScorer,
    ColourVLM,
    ReplyingLM,
    colour_video,
    finder,
)

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, VideoError
from lmms_videominer.policy.prompt import policy_completion
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.llovi import LLoViSelector
from lmms_videominer.selectors.settings import configured
from lmms_videominer.selectors.videoagent import VideoAgentSelector
from lmms_videominer.selectors.videotree import VideoTreeSelector
from lmms_videominer.store.selection_json import to_json
from lmms_videominer.types import Action, Question, Selection

CONFIG = MinerConfig(frames=4, caption_frames=2, cache_dir="off", features="captions")
CLASSES = {"videotree": VideoTreeSelector, "videoagent": VideoAgentSelector, "llovi": LLoViSelector}


def yellow_seeker(prompt: str) -> str:
    """Replies to all three methods as one who looks for yellow."""
    lines = [line for line in prompt.splitlines() if ": a scene in " in line]
    if '"relevance"' in prompt:
        return json.dumps({"answer": "A", "confidence": 3, "relevance": [3 if "yellow" in i else 1 for i in lines]})
    if '"clips"' in prompt:
        return json.dumps({"answer": "A", "clips": [i for i, line in enumerate(lines, 1) if "yellow" in line]})
    if '"frames"' in prompt:
        return json.dumps({"frames": [{"segment": 3, "description": "a scene in yellow"}]})
    return json.dumps({"confidence": 3 if len(lines) > 5 else 1})


def stages_of(name: str, lm=None, embedder=None, **settings) -> tuple[Stages, MinerConfig]:
    config = configured(CONFIG, selector=name, **settings_for(name, settings))
    return build_stages(config, ColourVLM(), lm or ReplyingLM(yellow_seeker), embedder or ColourEmbedder()), config


def select(stages: Stages, config: MinerConfig, *questions: Question) -> list:
    return get_selector(config.selector, stages, config).select(questions)


def ask(video: str, text: str = "What is yellow?") -> Question:
    return Question(video, text)


@pytest.mark.parametrize(("name", "expected"), [("videotree", 3), ("videoagent", 1), ("llovi", 4)])
def test_the_frames_that_are_sought_are_found(film, name, expected):
    [selection] = select(*stages_of(name), ask(film))
    assert sum(12 <= frame.time_s < 15 for frame in selection.key_frames) >= expected
    assert len(selection.key_frames) == 4 and selection.nodes[0].id == "0"


@pytest.mark.parametrize(("name", "calls"), [("videotree", 1), ("videoagent", 5), ("llovi", 1)])
def test_many_questions_share_every_call(film, name, calls):
    stages, config = stages_of(name)
    selections = select(stages, config, *(ask(film, f"What is yellow, {i}?") for i in range(5)))
    assert len(stages.language_model.model.calls) == calls and {
        len(call) for call in stages.language_model.model.calls
    } == {5}
    assert [s.usage.policy_calls for s in selections] == [calls] * 5
    assert all(s.usage.prompt_tokens > 0 and s.usage.completion_tokens == calls for s in selections)


@pytest.mark.parametrize("name", ASKING)
def test_a_video_is_captioned_once_for_all_questions_unless_captions_are_to_know_them(film, name, tmp_path):
    for captioning, again in (("plain", 0), ("question", 1)):
        stages, config = stages_of(name, captioning=captioning, cache_dir=str(tmp_path / captioning))
        first, second = (select(stages, config, ask(film, f"What is yellow, {i}?"))[0].usage for i in range(2))
        assert first.vlm_calls > 0 and second.vlm_calls == first.vlm_calls * again
        assert first.vlm_calls_cached == 0  # what one search has seen it does not ask for again
        prompts = {request.prompt for call in stages.vlm.calls for request in call}
        assert any("yellow" in prompt for prompt in prompts) == bool(again)


@pytest.mark.parametrize("name", ASKING)
def test_no_more_captions_are_made_than_the_allowance(film, name):
    stages, config = stages_of(name, max_vlm_calls=6)
    [selection] = select(stages, config, ask(film))
    assert selection.usage.vlm_calls <= 6 and len(selection.key_frames) == 4


@pytest.mark.parametrize("name", ASKING)
def test_damaged_frames_cost_no_question_and_a_lost_video_its_own(film, damaged_video, undecodable_video, name):
    stages = stages_of(name, llovi_clip_s=0.1, frames=3, caption_frames=4)
    damaged, lost, whole = select(*stages, *[ask(str(path)) for path in (damaged_video, undecodable_video, film)])
    assert isinstance(damaged, Selection) and isinstance(whole, Selection)
    assert isinstance(lost, VideoError)


@pytest.mark.parametrize("name", ASKING)
def test_same_inputs_give_the_same_json_but_for_the_seconds(film, name):
    def timeless() -> str:
        [selection] = select(*stages_of(name), ask(film))
        return to_json(dataclasses.replace(selection, usage=dataclasses.replace(selection.usage, seconds={})))

    assert timeless() == timeless()


@pytest.mark.parametrize("name", ASKING)
def test_a_video_with_no_more_frames_than_the_budget_gives_all_and_asks_nobody(tmp_path, name):
    stages, config = stages_of(name)
    [selection] = select(stages, config, ask(colour_video(tmp_path / "tiny.mp4", [("red", 0.2), ("blue", 0.1)])))
    assert [frame.frame_index for frame in selection.key_frames] == [0, 1, 2]
    assert [node.note for node in selection.nodes] == ["short"]
    assert stages.language_model.model.calls == [] and stages.vlm.calls == []


def test_vectors_that_are_no_numbers_are_refused_by_name(film):
    class Broken(ColourEmbedder):
        def embed(self, texts):
            return np.full((len(texts), 3), np.nan, np.float32)

    with pytest.raises(ModelError, match=r"embedder.*NaN"):
        select(*stages_of("videotree", embedder=Broken()), ask(film))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"judge": "vote"}, "unknown judge 'vote'"),
        (
            {"similarity_accept": 0.1, "similarity_delete": 0.25},
            "similarity_delete=0.25 is above similarity_accept=0.1",
        ),
        ({"features": "clip"}, "unknown features 'clip'"),
        ({"captioning": "plane"}, "did you mean 'plain'"),
        ({"selector": "videotree", "videotree_first": 64}, "videotree_first=64 is more than videotree_most=32"),
        ({"selector": "llovi", "llovi_clip_s": 0.0}, "llovi_clip_s=0.0"),
        ({"selector": "llovi", "policy": "none"}, "set judge=policy"),
    ],
)
def test_settings_that_cannot_work_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        configured(**given)


def test_similarity_may_judge_in_place_of_a_policy(film):
    """Captions are as near to the question as their colours are: yellow alone is accepted."""
    [selection] = select(*stages_of("llovi", lm="none", judge="policy"), ask(film))
    assert [12 <= frame.time_s < 15 for frame in selection.key_frames] == [True] * 4


def test_similarity_may_decide_in_the_tree(film):
    [selection] = select(*stages_of("videominer", lm="none", search="plain", events=4, scan_frames=64), ask(film))
    assert [11.5 <= frame.time_s < 15.5 for frame in selection.key_frames] == [True] * 4
    assert selection.fallbacks == ()


def test_clusters_of_frames_caption_every_frame_by_itself(film):
    settings = {"search": "plain", "events": 4, "scan_frames": 64, "max_depth": 1}
    stages, config = stages_of("videominer", lm=finder("yellow"), clustering="frame", **settings)
    [selection] = select(stages, config, ask(film))
    assert {len(request.frames) for call in stages.vlm.calls for request in call} == {1}
    assert selection.usage.vlm_calls == 4 * 2  # events, and the frames shown of each
    below = selection.nodes[1:]
    assert sorted(node.caption for node in below) == [f"a scene in {c}" for c in ("blue", "green", "red", "yellow")]
    spans = sorted(span for node in below for span in node.spans)
    assert (spans[0].start_s, spans[-1].end_s) == pytest.approx((0, 20))
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in itertools.pairwise(spans))


def test_frames_of_short_events_are_not_cut_below_the_shortest_event(film):
    stages, config = stages_of(
        "videominer",
        lm=finder("yellow"),
        search="plain",
        clustering="frame",
        events=4,
        scan_frames=64,
        max_depth=3,
        caption_frames=8,
        min_event_s=1.0,
    )
    [selection] = select(stages, config, ask(film))
    assert min(event.span.duration_s for node in selection.nodes for event in node.events) >= 1.0 - 1e-6


def by_scorer(name: str, scorer, **settings) -> tuple[Stages, MinerConfig]:
    config = configured(CONFIG, selector=name, features="scorer", **settings)
    return build_stages(config, ColourVLM(), ReplyingLM(yellow_seeker), scorer=scorer), config


@pytest.mark.parametrize(("name", "captions"), [("videotree", 4), ("videoagent", 6)])
def test_with_image_features_only_the_frames_that_are_told_are_captioned(film, name, captions, tmp_path):
    """videotree: a representative of each of 4 colours; videoagent: the first 5 frames, and the one asked for."""
    scorer = ColourEncoder()
    stages, config = by_scorer(name, scorer, cache_dir=str(tmp_path / "cache"))
    cold, warm = (select(stages, config, ask(film))[0] for _ in range(2))
    assert stages.embedder is None
    assert cold.usage.vlm_calls == captions and warm.usage.vlm_calls == 0
    assert any(12 <= frame.time_s < 15 for frame in cold.key_frames)
    assert warm.key_frames == cold.key_frames
    assert scorer.frames == {"videotree": 20, "videoagent": 4}[name]  # candidates; those inside the gap. Once each


def test_the_frame_asked_for_has_the_score_of_its_description(film):
    [selection] = select(*by_scorer("videoagent", ColourEncoder()), ask(film))
    assert [frame.score for frame in selection.key_frames if frame.score is not None] == [1.0]
    scores = selection.scores  # those of the gap, of which the best was taken
    assert (scores.scorer, scores.text) == (ColourEncoder().identity, "a scene in yellow")
    assert scores.times_s == (10.5, 11.5, 12.5, 13.5) and scores.values == (0.2, 0.2, 1.0, 1.0)


def test_a_scorer_without_image_features_cannot_cluster_and_says_so(film):
    with pytest.raises(ConfigError, match=r"no image features.*features=captions"):
        select(*by_scorer("videotree", ColourScorer()), ask(film))


rating = st.sampled_from(["1", "2", "3"])
replies = st.one_of(
    st.text(max_size=20),
    st.lists(rating, max_size=32).map(lambda r: f'{{"relevance": [{", ".join(r)}]}}'),
    rating.map(lambda r: f'{{"confidence": {r}}}'),
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(list(COLOURS))), max_size=4).map(
        lambda wishes: json.dumps({"frames": [{"segment": s, "description": d} for s, d in wishes]})
    ),
    st.lists(st.integers(1, 60), max_size=9).map(lambda clips: json.dumps({"clips": clips})),
    st.sampled_from(Action).map(lambda action: policy_completion("so it looks", action)),
)


@pytest.mark.parametrize("judge", ["reply", "policy"])
@pytest.mark.parametrize(
    ("name", "features"), [*((name, "captions") for name in ASKING), ("videotree", "scorer"), ("videoagent", "scorer")]
)
@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(5, 70), st.integers(1, 12), st.integers(1, 60))
def test_whatever_is_replied_the_budget_is_met_exactly_in_order(name, features, judge, data, seconds, budget, most):
    config = MinerConfig(frames=min(budget, seconds), max_vlm_calls=most, judge=judge)
    drawn = data.draw(st.lists(replies, min_size=1, max_size=6))
    asked = [0]

    def reply(prompt: str) -> str:
        asked[0] += 1
        return drawn[asked[0] % len(drawn)]

    def vector(text: str) -> list[float]:
        return [len(text) % 3, sum(map(ord, text)) % 7, 1]

    case = case_of(seconds, config, features=features)
    found, _ = converse(CLASSES[name], case, reply, vector)
    assert len(case.captioned) <= most  # captions
    indices = [frame.frame_index for frame in found.key_frames]
    assert indices == sorted(set(indices)) and len(indices) == config.frames
    assert all(0 <= i < seconds for i in indices)
    ids = {node.id for node in found.nodes}
    assert {frame.node_id for frame in found.key_frames} <= ids | {None}
    assert all(node.parent_id in ids for node in found.nodes[1:]) and len(ids) == len(found.nodes)
