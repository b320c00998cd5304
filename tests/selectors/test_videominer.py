from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.scripted import (
    ColourEmbedder,
    ColourScorer,
    ColourVLM,
    RulePolicy,
    SamplingPolicy,
    always,
    colour_video,
    finder,
)

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.settings import configured
from lmms_videominer.selectors.videominer import VideoMinerSelector, VideoMinerSettings
from lmms_videominer.types import Action, Node, Question, Reading, Selection, Span, merge_spans

CONFIG = MinerConfig(search="plain", frames=4, events=4, scan_frames=64, caption_frames=2, grain_s=0, cache_dir="off")
FILM = [("red", 8), ("green", 8), ("blue", 8), ("yellow", 3), ("blue", 8), ("red", 8), ("white", 8)]
YELLOW = Span(24.0, 27.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def film(folder) -> str:
    return colour_video(folder / "film.mp4", FILM)


@pytest.fixture(scope="module")
def other(folder) -> str:
    return colour_video(folder / "other.mp4", [("black", 9), ("yellow", 2), ("green", 9), ("black", 5)])


@pytest.fixture(scope="module")
def embedder():
    from lmms_videominer.models.embedder import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder.from_pretrained(device="cpu")


@pytest.fixture
def make(embedder):
    def make(policy, **settings) -> tuple[Stages, MinerConfig]:
        config = dataclasses.replace(CONFIG, **settings)
        return build_stages(config, ColourVLM(), policy, embedder), config

    return make


def grow_trees(jobs, stages: Stages, config: MinerConfig, always_decide: bool = False):
    steps = config.max_depth if always_decide else 0
    return run(VideoMinerSelector(stages, config), jobs, decisions_in_step=steps)


def job(video: str, seed: int = 0, text: str = "What is yellow?") -> Job:
    return Job(Question(video, text), seed)


def children(tree: Selection, node: Node) -> list[Node]:
    return [n for n in tree.nodes if n.parent_id == node.id]


def actions(tree: Selection) -> dict[str, Action | None]:
    return {n.id: n.decision and n.decision.action for n in tree.nodes}


# growth


def test_the_policy_walks_down_to_the_scene_it_looks_for(make, film):
    [tree] = grow_trees([job(film)], *make(finder("yellow"), max_depth=5, caption_frames=8))
    accepted = [n for n in tree.nodes if n.decision and n.decision.action is Action.ACCEPT]
    assert accepted and all("yellow" in n.caption for n in accepted)
    assert all(YELLOW.start_s - 0.5 <= s.start_s < s.end_s <= YELLOW.end_s + 0.5 for n in accepted for s in n.spans)


def test_children_partition_their_parent_and_nodes_come_root_first_by_level(make, film):
    [tree] = grow_trees([job(film)], *make(always(Action.CONTINUE)))
    assert [n.depth for n in tree.nodes] == sorted(n.depth for n in tree.nodes)
    assert {n.depth for n in tree.nodes} == {0, 1, 2, 3}
    for node in tree.nodes:
        assert node.depth == node.id.count(".")
        if offspring := children(tree, node):
            assert [n.id for n in offspring] == [f"{node.id}.{i}" for i in range(len(offspring))]
            assert merge_spans([s for n in offspring for s in n.spans]) == node.spans
            assert sum(n.duration_s for n in offspring) == pytest.approx(node.duration_s)


def test_a_segmentation_yields_at_most_k_minus_one_plus_its_spans(make, film):
    [tree] = grow_trees([job(film)], *make(always(Action.CONTINUE)))
    for node in tree.nodes:
        events = [event for child in children(tree, node) for event in child.events]
        assert len(events) <= CONFIG.events - 1 + len(node.spans)


def test_only_nodes_that_continue_above_the_last_level_get_children(make, film):
    rule = RulePolicy(lambda caption, depth: Action.CONTINUE if "blue" in caption else Action.DELETE)
    [tree] = grow_trees([job(film)], *make(rule, max_depth=2))
    for node in tree.nodes[1:]:
        expandable = node.decision.action is Action.CONTINUE and node.depth < 2 and not node.note
        assert bool(children(tree, node)) == expandable


def test_decisions_hold_prompt_text_and_tokens_and_the_root_has_none(make, film):
    [tree] = grow_trees([job(film)], *make(finder("yellow")))
    assert tree.nodes[0].decision is None
    for node in tree.nodes[1:]:
        assert node.caption in node.decision.prompt and "What is yellow?" in node.decision.prompt
        assert f"Depth: {node.depth} of 3" in node.decision.prompt
        assert node.decision.reading is Reading.STRICT and node.decision.text.startswith("<think>it shows")
    assert tree.usage.policy_calls == len(tree.nodes) - 1
    assert tree.usage.prompt_tokens == sum(len(n.decision.prompt_ids) for n in tree.nodes[1:])
    assert tree.usage.completion_tokens == sum(len(n.decision.completion_ids) for n in tree.nodes[1:])


def test_a_policy_of_nonsense_takes_the_default_action_and_is_read_as_such(make, film):
    [tree] = grow_trees([job(film)], *make(RulePolicy(lambda c, d: "colourless green ideas"), default_action="delete"))
    assert {n.decision.action for n in tree.nodes[1:]} == {Action.DELETE}
    assert {n.decision.reading for n in tree.nodes[1:]} == {Reading.DEFAULT}


def test_a_policy_of_nonsense_costs_the_captions_of_one_level(make, film):
    nonsense = RulePolicy(lambda c, d: "colourless green ideas")
    [tree] = grow_trees([job(film)], *make(nonsense))
    [opened] = grow_trees([job(film)], *make(nonsense, default_action="continue"))  # as published
    assert {n.depth for n in tree.nodes} == {0, 1} and max(n.depth for n in opened.nodes) > 1
    captions = [t.usage.vlm_calls + t.usage.vlm_calls_cached for t in (tree, opened)]
    assert captions[0] == CONFIG.events < captions[1]
    assert "unread_decisions" in tree.fallbacks and tree.usage.decisions_unread == len(tree.nodes) - 1


def test_without_clustering_every_event_is_a_node(make, film):
    [tree] = grow_trees([job(film)], *make(always(Action.DELETE), clustering="none"))
    assert len(tree.nodes) == 1 + CONFIG.events
    assert tree.usage.embeddings == 0


def test_events_with_one_caption_far_apart_are_one_node(make, folder):
    video = colour_video(folder / "aba.mp4", [("red", 6), ("blue", 6), ("red", 6)])
    [tree] = grow_trees([job(video)], *make(always(Action.DELETE), events=3))
    red = next(n for n in tree.nodes[1:] if n.caption == "a scene in red")
    assert len(red.spans) == 2


# batches


def test_each_level_of_all_videos_is_one_call_of_each_model(make, film, other):
    policy = always(Action.CONTINUE)
    stages, config = make(policy)
    trees = grow_trees([job(film), job(other)], stages, config)
    assert len(stages.vlm.calls) == len(policy.calls) == 3
    for depth, prompts in enumerate(policy.calls, start=1):
        assert prompts == list(dict.fromkeys(n.decision.prompt for t in trees for n in t.nodes if n.depth == depth))


def test_a_batch_gives_the_trees_that_each_video_gives_alone(make, film, other):
    jobs = [job(film), job(other), job(film, text="What is red?")]
    together = grow_trees(jobs, *make(finder("yellow")))
    alone = [grow_trees([one], *make(finder("yellow")))[0] for one in jobs]
    assert [t.nodes for t in together] == [t.nodes for t in alone]


def test_rollouts_of_one_question_share_their_captions(make, film):
    stages, config = make(always(Action.CONTINUE), max_depth=1)
    trees = grow_trees([job(film, seed) for seed in range(3)], stages, config)
    assert [t.usage.vlm_calls for t in trees] == [4, 0, 0]
    assert [t.usage.vlm_calls_cached for t in trees] == [0, 4, 4]
    assert len(stages.vlm.calls[0]) == 4
    assert trees[0].nodes == trees[1].nodes == trees[2].nodes


def test_sampled_rollouts_differ_and_a_job_gives_the_same_rollout_whatever_the_others(make, film, other):
    def grow(*jobs):
        return [actions(t) for t in grow_trees(jobs, *make(SamplingPolicy(), temperature=1.0))]

    jobs = [job(film, seed) for seed in (0, 1, 2, 3)]
    first = grow(*jobs)
    assert any(a != first[0] for a in first)
    assert [grow(one)[0] for one in jobs] == first
    assert grow(job(other, 7), jobs[2], job(film, 9), jobs[0])[1::2] == [first[2], first[0]]


def test_every_decision_of_every_tree_samples_with_a_seed_of_its_own(make, film, other):
    policy = always(Action.CONTINUE)
    jobs = [job(film, 7), job(film, 8), job(other, 7), job(film, 7, "What is red?")]
    grow_trees(jobs, *make(policy, temperature=1.0))
    seeds = [seed for level in policy.seeds for seed in level]
    assert [len(level) for level in policy.seeds] == [len(level) for level in policy.calls]
    assert len(set(seeds)) == len(seeds) > 40 and all(0 <= seed < 2**63 for seed in seeds)


def test_equal_jobs_of_a_batch_give_equal_trees(make, film):
    first, second = grow_trees([job(film, 5)] * 2, *make(SamplingPolicy(), temperature=1.0))
    assert first.nodes == second.nodes


@pytest.mark.parametrize(("always_decide", "sizes"), [(True, [True, False, False]), (False, [True])])
def test_always_decide_calls_the_policy_once_a_level_with_an_empty_batch(make, film, always_decide, sizes):
    policy = always(Action.DELETE)
    grow_trees([job(film)], *make(policy), always_decide=always_decide)
    assert [bool(prompts) for prompts in policy.calls] == sizes


def test_always_decide_keeps_step_without_any_job_and_with_a_broken_one(make, folder):
    policy = always(Action.CONTINUE)
    stages, config = make(policy)
    grow_trees([], stages, config, always_decide=True)
    grow_trees([job(str(folder / "absent.mp4"))], stages, config, always_decide=True)
    assert policy.calls == [[]] * 6


# limits and ends


def test_max_nodes_leaves_later_children_undecided_and_expands_nothing_more(make, film):
    [tree] = grow_trees([job(film)], *make(always(Action.CONTINUE), clustering="none", max_nodes=6))
    undecided = [n for n in tree.nodes[1:] if n.decision is None]
    assert tree.usage.policy_calls + tree.usage.policy_calls_cached == 6
    assert undecided and all(n.note == "max_nodes" and not children(tree, n) for n in undecided)
    assert max(n.depth for n in tree.nodes) == 2
    assert all(n.note == "max_nodes" for n in tree.nodes if n.depth == 2)


def test_max_vlm_calls_is_never_exceeded_and_marks_what_is_not_expanded(make, film):
    [tree] = grow_trees([job(film)], *make(always(Action.CONTINUE), clustering="none", max_vlm_calls=9))
    assert tree.usage.vlm_calls == 8  # 4 events of the root, 4 of the first child, the second's would be 12
    assert actions(tree)["0.1"] is Action.CONTINUE
    assert [n.note for n in tree.nodes if n.id in ("0.0", "0.1")] == ["", "max_vlm_calls"]


def test_max_vlm_calls_counts_cached_captions_so_that_a_warm_cache_grows_the_same_tree(make, film, tmp_path):
    settings = {"max_vlm_calls": 9, "cache_dir": str(tmp_path)}
    [cold] = grow_trees([job(film)], *make(always(Action.CONTINUE), **settings))
    [warm] = grow_trees([job(film)], *make(always(Action.CONTINUE), **settings))
    assert warm.nodes == cold.nodes
    assert warm.usage.vlm_calls == 0 < cold.usage.vlm_calls
    assert warm.usage.vlm_calls_cached == cold.usage.vlm_calls + cold.usage.vlm_calls_cached


def test_max_vlm_calls_below_the_first_segmentation_leaves_a_tree_of_one_node(make, film):
    stages, config = make(always(Action.CONTINUE), max_vlm_calls=1)
    [tree] = grow_trees([job(film)], stages, config)
    assert [(n.id, n.note) for n in tree.nodes] == [("0", "max_vlm_calls")]
    assert not stages.vlm.calls


def test_a_node_at_the_least_event_length_is_atomic(make, folder):
    video = colour_video(folder / "brief.mp4", [("red", 2), ("blue", 2)])
    [tree] = grow_trees([job(video)], *make(always(Action.CONTINUE), events=2, min_event_s=2.0))
    assert [n.note for n in tree.nodes[1:]] == ["atomic", "atomic"]


def test_one_event_gives_one_child_that_is_decided_and_then_atomic(make, folder):
    video = colour_video(folder / "plain.mp4", [("red", 2)])
    [tree] = grow_trees([job(video)], *make(always(Action.CONTINUE), min_event_s=2.0))
    assert [(n.id, n.note) for n in tree.nodes] == [("0", ""), ("0.0", "atomic")]


@pytest.mark.parametrize("frames", [1, 4])
def test_a_video_no_longer_than_the_budget_is_not_searched(make, folder, frames):
    video = colour_video(folder / f"tiny{frames}.mp4", [("red", frames / 10)])
    policy = always(Action.CONTINUE)
    stages, config = make(policy)
    [tree] = grow_trees([job(video)], stages, config)
    assert [(n.id, n.note) for n in tree.nodes] == [("0", "short")]
    assert not stages.vlm.calls and not policy.calls


# faults


def test_a_broken_video_fails_only_its_own_jobs(make, film, folder):
    (folder / "empty.mp4").touch()
    jobs = [job(str(folder / "empty.mp4")), job(film), job(str(folder / "absent.mp4"))]
    empty, tree, absent = grow_trees(jobs, *make(finder("yellow")))
    assert isinstance(empty, VideoError) and "empty.mp4" in str(empty)
    assert isinstance(absent, VideoError) and "absent.mp4" in str(absent)
    assert tree.nodes == grow_trees([job(film)], *make(finder("yellow")))[0].nodes


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_a_video_damaged_inside_costs_no_question(make, film, folder, reader):
    whole = bytearray(Path(film).read_bytes())
    third = len(whole) // 3
    whole[third : 2 * third] = bytes(third)
    (folder / "damaged.mp4").write_bytes(whole)
    damaged, tree = grow_trees([job(str(folder / "damaged.mp4")), job(film)], *make(finder("yellow"), reader=reader))
    assert isinstance(damaged, Selection) and len(damaged.key_frames) > 0
    assert isinstance(tree, Selection) and len(tree.nodes) > 1


def test_a_model_that_was_not_loaded_is_named(make, film):
    with pytest.raises(ConfigError, match="no policy is loaded"):
        grow_trees([job(film)], *make(None, selector="uniform", clustering="none"))


def test_a_programming_error_propagates(make, film, monkeypatch):
    monkeypatch.setattr("lmms_videominer.search.trees.kept_nodes", lambda nodes: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        grow_trees([job(film), job(film)], *make(always(Action.ACCEPT)))


# which frames

LONG = [("red", 20), ("yellow", 2), ("red", 20), ("green", 20), ("blue", 20)]  # 2 s of yellow in 42 of red


@pytest.fixture(scope="module")
def long_film(folder) -> str:
    return colour_video(folder / "long.mp4", LONG)


class RoundingScorer(ColourScorer):
    """What other frames in its batch may change in the last digit of a float32."""

    def score(self, frames, texts):
        scores = super().score(frames, texts)
        return scores + np.float32(6e-8) * (np.arange(scores.size).reshape(scores.shape) % 3)


def chosen(film, accepted, scorer=None, **own):
    """The key frames, and the nodes of which ``accepted`` is true of the caption, which are accepted."""
    policy = RulePolicy(lambda caption, depth: Action.ACCEPT if accepted(caption) else Action.DELETE)
    config = dataclasses.replace(CONFIG, events=2, max_depth=1, caption_frames=4, own=VideoMinerSettings(**own))
    stages = build_stages(config, ColourVLM(), policy, ColourEmbedder(), scorer=scorer or ColourScorer())
    [tree] = grow_trees([job(film)], stages, config)
    return tree.key_frames, [n for n in tree.nodes if n.decision and n.decision.action is Action.ACCEPT]


def test_frames_that_the_captioner_saw_are_taken_where_it_is_asked_for(long_film):
    frames, nodes = chosen(long_film, lambda caption: "red" in caption, key_frames="seen")
    seen = [t for n in nodes for e in n.events for t in e.frame_times_s]
    assert [f.time_s for f in frames] == seen and len(seen) == 4


def test_frames_that_fit_the_question_are_taken_where_it_is_asked_for(long_film):
    plain, _ = chosen(long_film, lambda caption: "red" in caption)
    scored, nodes = chosen(long_film, lambda caption: "red" in caption, key_frames="scored")
    assert not any(20 <= f.time_s < 22 for f in plain)
    assert any(20 <= f.time_s < 22 for f in scored)
    assert all(f.score is not None and f.node_id in {n.id for n in nodes} for f in scored)


def test_frames_that_fit_alike_are_spread_whatever_the_rounding_of_the_scorer(long_film):
    exact, rounded = (
        chosen(long_film, lambda caption: "blue" in caption, scorer, key_frames="scored")[0]
        for scorer in (ColourScorer(), RoundingScorer())
    )
    assert [f.frame_index for f in rounded] == [f.frame_index for f in exact] and len(exact) == 4


def test_a_share_of_the_frames_is_kept_for_the_whole_video(long_film):
    frames, _ = chosen(long_film, lambda caption: "red" in caption, uniform_share=0.5)
    assert [f.node_id is None for f in frames].count(True) == 2
    assert [f.time_s for f in frames if f.node_id is None] == pytest.approx([20.5, 61.5], abs=0.2)


@pytest.mark.parametrize("own", [{"key_frames": "seen"}, {"key_frames": "scored"}, {"uniform_share": 0.5}])
def test_a_tree_that_keeps_the_whole_video_gives_uniform_frames_under_any_setting(long_film, own):
    frames, _ = chosen(long_film, lambda caption: False, **own)
    assert [f.frame_index for f in frames] == [f.frame_index for f in chosen(long_film, lambda caption: False)[0]]


@pytest.mark.parametrize("own", [{"key_frames": "shown"}, {"uniform_share": 1.5}, {"uniform_share": -0.1}])
def test_settings_out_of_range_are_refused(own):
    with pytest.raises(ConfigError, match="videominer_"):
        VideoMinerSettings(**own)


@pytest.mark.parametrize("index", [1, 2])
def test_captions_with_verdicts_are_of_one_question_so_an_index_is_refused(index):
    with pytest.raises(ConfigError, match=rf"index={index} with videominer_judge=caption: .*leave out one"):
        configured(index=index, videominer_judge="caption")
    assert configured(index=0, videominer_judge="caption") and configured(index=index)


def test_the_scorer_is_loaded_and_its_calls_are_told_where_frames_are_scored():
    scored = dataclasses.replace(CONFIG, own=VideoMinerSettings(key_frames="scored"))
    assert VideoMinerSelector.needs(scored) - VideoMinerSelector.needs(CONFIG) == {"scorer"}
    assert VideoMinerSelector.calls_at_most(scored, 3600.0).scored == CONFIG.scan_frames
    assert VideoMinerSelector.calls_at_most(CONFIG, 3600.0).scored == 0


# accounts


def test_same_jobs_grow_the_same_trees(make, film, other):
    first, second = (grow_trees([job(film), job(other)], *make(finder("yellow"))) for _ in range(2))
    assert [t.nodes for t in first] == [t.nodes for t in second]


def test_seconds_are_shared_by_stage_over_the_trees_that_take_part(make, film, folder):
    short = colour_video(folder / "short.mp4", [("red", 0.3)])
    long_tree, short_tree = grow_trees([job(film), job(short)], *make(finder("yellow")))
    assert set(long_tree.usage.seconds) == {"open", "segment", "caption", "embed", "policy"}
    assert set(short_tree.usage.seconds) == {"open"}
    assert short_tree.usage.seconds["open"] == long_tree.usage.seconds["open"] > 0


def test_progress_is_shown_when_asked_for_and_only_then(make, film, capsys):
    selector = VideoMinerSelector(*make(finder("yellow")))
    selector.select([job(film).question])
    assert capsys.readouterr().err == ""
    selector.select([job(film).question], progress=True)
    assert "videominer" in capsys.readouterr().err
