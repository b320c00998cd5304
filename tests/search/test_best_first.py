"""The best-first search on real videos: what is looked at first, when it ends, and what its limits are."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.read_prompts import read_policy_prompt
from support.scripted import (
    ColourEmbedder,
    ColourScorer,
    ColourVLM,
    RulePolicy,
    SamplingPolicy,
    always,
    colour_video,
    colours_of,
    finder,
)

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ModelError
from lmms_videominer.policy.language_model import Completion
from lmms_videominer.search.best_first import cut_of, frames_at_most, sought
from lmms_videominer.search.engine import Job, run
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.selector import by_level
from lmms_videominer.selectors.videominer import VideoMinerSelector
from lmms_videominer.types import Action, Decision, Node, Question, Reading, Selection, Span
from lmms_videominer.video import uniform_times

CONFIG = MinerConfig(
    search="best-first",
    look="scorer",
    wave=2,
    stop_margin=0.5,
    reach=0.0,
    frames=4,
    events=4,
    scan_frames=64,
    caption_frames=2,
    grain_s=1.0,
    clustering="none",
    cache_dir="off",
)
# 64 s: the first cut has the square root of its seconds, 8 events, and these are its scenes
FILM = [("red", 9), ("green", 7), ("blue", 8), ("black", 8), ("red", 9), ("yellow", 7), ("green", 8), ("white", 8)]
YELLOW, WHITE = Span(41.0, 48.0), Span(56.0, 64.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def film(folder) -> str:
    return colour_video(folder / "film.mp4", FILM)


@pytest.fixture(scope="module")
def twice(folder) -> str:
    """80 s, with yellow at 10 to 20 s and at 60 to 64 s."""
    scenes = [("red", 10), ("yellow", 10), ("blue", 10), ("red", 15), ("green", 15), ("yellow", 4), ("black", 16)]
    return colour_video(folder / "twice.mp4", scenes)


def selector(policy, vlm: ColourVLM | None = None, scorer=None, **changed) -> VideoMinerSelector:
    config = dataclasses.replace(CONFIG, **changed)
    stages = build_stages(config, vlm or ColourVLM(), policy, ColourEmbedder(), scorer=scorer or ColourScorer())
    return VideoMinerSelector(stages, config)


def job(video: str, seed: int = 0, text: str = "What is yellow?") -> Job:
    return Job(Question(video, text), seed)


def mine(video: str, policy, vlm: ColourVLM | None = None, text: str = "What is yellow?", **changed) -> Selection:
    [selection] = run(selector(policy, vlm, **changed), [job(video, text=text)])
    assert isinstance(selection, Selection), selection
    return selection


def seeker(*lines: str, rule: Callable[[str, int], Action]) -> RulePolicy:
    """Seeks ``lines`` and decides by ``rule`` about what is captioned."""
    return RulePolicy(
        lambda caption, depth: rule(caption, depth) if depth else Action.CONTINUE, sought="\n".join(lines)
    )


def waves(vlm: ColourVLM) -> list[list[str]]:
    """The colours of each event that was captioned, by wave."""
    return [[" and ".join(colours_of(request.frames)) for request in call] for call in vlm.calls]


def accepted(selection: Selection) -> list[Node]:
    return [node for node in selection.nodes if node.decision and node.decision.action is Action.ACCEPT]


def times(selection: Selection) -> list[float]:
    return [frame.time_s for frame in selection.key_frames]


def within(span: Span, time_s: float) -> bool:
    return span.start_s - 1e-6 <= time_s < span.end_s - 1e-6


# the order


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_the_most_promising_event_is_captioned_first(film, wave):
    vlm = ColourVLM()
    mine(film, finder("yellow"), vlm, wave=wave)
    # by the scorer the next are white, 0.5, then blue, 0.3
    assert waves(vlm)[0] == ["yellow", "white", "blue"][:wave]


def test_what_is_sought_and_the_question_count_alike(film):
    # white: (0.5 + 1) / 2, yellow: (1 + 0.4) / 2
    vlm = ColourVLM()
    never = seeker("a scene in yellow", rule=lambda caption, depth: Action.DELETE)
    mine(film, never, vlm, text="What is white?", wave=1)
    assert waves(vlm)[:2] == [["white"], ["yellow"]]


def test_what_fits_far_worse_than_the_best_is_out_of_reach(film):
    vlm = ColourVLM()
    never = seeker("a scene in yellow", rule=lambda caption, depth: Action.DELETE)
    selection = mine(film, never, vlm, wave=1, reach=1.5)
    assert ["yellow"] in waves(vlm) and selection.usage.vlm_calls < len(FILM)
    assert selection.fallbacks and all(within(YELLOW, frame.time_s) for frame in selection.key_frames)


def test_events_are_captioned_in_the_order_of_their_fit(film):
    vlm = ColourVLM()
    never = seeker("a scene in yellow", rule=lambda caption, depth: Action.DELETE)
    mine(film, never, vlm, wave=1)
    # green twice, red and black alike: of equal ones, that farthest from what is captioned comes first
    assert waves(vlm) == [[colour] for colour in ("yellow", "white", "blue", "green", "green", "black", "red", "red")]


def test_what_continues_is_cut_again_and_looked_at_before_what_fits_worse(film):
    vlm = ColourVLM()
    closer = seeker("a scene in yellow", rule=lambda caption, depth: Action.ACCEPT if depth > 1 else Action.CONTINUE)
    selection = mine(film, closer, vlm, wave=1, stop_margin=0.0)
    assert waves(vlm)[:2] == [["yellow"], ["yellow"]]
    assert {node.depth for node in accepted(selection)} == {2}
    assert all(YELLOW.start_s - 0.5 <= s.start_s < s.end_s <= YELLOW.end_s + 0.5 for s in accepted(selection)[0].spans)


# the end


def test_it_stops_once_what_is_sought_is_found(film):
    vlm = ColourVLM()
    selection = mine(film, finder("yellow"), vlm)
    assert selection.usage.vlm_calls == CONFIG.wave and len(vlm.calls) == 1
    assert selection.usage.policy_calls == 1 + CONFIG.wave and selection.fallbacks == ()
    assert len(times(selection)) == 4 and all(within(YELLOW, time_s) for time_s in times(selection))
    assert {frame.node_id for frame in selection.key_frames} == {node.id for node in accepted(selection)}


def test_what_was_to_be_looked_at_more_closely_says_that_all_was_found(film):
    closer = seeker(
        "a scene in yellow", rule=lambda caption, depth: Action.ACCEPT if "yellow" in caption else Action.CONTINUE
    )
    selection = mine(film, closer)
    assert [(node.caption, node.note) for node in selection.nodes[1:]] == [
        ("a scene in yellow", ""),
        ("a scene in white", "found"),
    ]


def test_it_goes_on_as_long_as_anything_fits_as_well(twice):
    selection = mine(twice, finder("yellow"), wave=1)
    middles = [(span.start_s + span.end_s) / 2 for node in accepted(selection) for span in node.spans]
    assert any(within(Span(10.0, 20.0), middle) for middle in middles)
    assert any(within(Span(60.0, 64.0), middle) for middle in middles)


@pytest.mark.parametrize("lines", [("a scene in yellow", "a scene in white"), ("a scene in yellow",)])
def test_of_several_moments_each_is_found_before_it_stops(film, lines):
    # white is recognised at a closer look only
    def rule(caption: str, depth: int) -> Action:
        if "yellow" in caption:
            return Action.ACCEPT
        return (Action.ACCEPT if depth > 1 else Action.CONTINUE) if "white" in caption else Action.DELETE

    vlm = ColourVLM()
    selection = mine(film, seeker(*lines, rule=rule), vlm, text="What happens?", wave=1)
    found = {node.caption for node in accepted(selection)}
    assert found == set(lines) and selection.fallbacks == ()
    if len(lines) == 1:
        assert waves(vlm) == [["yellow"]]
    else:  # the second wave on is for white alone: four pieces, each of which fits as well
        assert waves(vlm) == [["yellow", "white"], *[["white"]] * 4]
        assert any(within(WHITE, time_s) for time_s in times(selection))
        assert any(within(YELLOW, time_s) for time_s in times(selection))


@pytest.mark.parametrize("look", ["scorer", "none"])
def test_no_more_moments_are_sought_than_key_frames_can_show(film, look):
    lines = [f"a scene in yellow, {i}" for i in range(4)]
    within_limit = mine(film, seeker(*lines, rule=lambda caption, depth: Action.ACCEPT), look=look)
    beyond = mine(film, seeker(*lines, "a scene in white", rule=lambda caption, depth: Action.ACCEPT), look=look)
    assert beyond.fallbacks == (*within_limit.fallbacks, "lines_cut")
    assert beyond.key_frames == within_limit.key_frames


def test_what_cannot_be_accepted_is_told_and_its_best_fitting_frames_are_shown_beside_the_others(film):
    def rule(caption: str, depth: int) -> Action:
        return Action.ACCEPT if "yellow" in caption else Action.CONTINUE

    both = seeker("a scene in yellow", "a scene in white", rule=rule)
    selection = mine(film, both, text="What happens?", max_vlm_calls=2)
    assert selection.fallbacks == ("unfound",)
    assert sorted({within(WHITE, time_s) - within(YELLOW, time_s) for time_s in times(selection)}) == [-1, 1]


@pytest.mark.parametrize(("action", "fallback"), [(Action.DELETE, "all_deleted"), (Action.CONTINUE, "none_accepted")])
@pytest.mark.parametrize("most", [1, 5, 200])
def test_where_nothing_is_accepted_the_best_fitting_frames_are_taken(film, action, fallback, most):
    never = seeker("a scene in yellow", rule=lambda caption, depth: action)
    selection = mine(film, never, max_vlm_calls=most)
    assert selection.fallbacks == (fallback, "unfound")
    assert len(times(selection)) == 4 and all(within(YELLOW, time_s) for time_s in times(selection))


# the root


def test_a_question_about_the_whole_gets_uniform_frames_and_costs_one_decision(film):
    vlm, scorer = ColourVLM(), ColourScorer()
    selection = mine(film, always(Action.ACCEPT), vlm, scorer=scorer)
    assert times(selection) == pytest.approx(uniform_times([Span(0.0, 64.0)], 4))
    assert not vlm.calls and not scorer.frames and selection.usage.policy_calls == 1
    assert [(node.id, node.decision.action) for node in selection.nodes] == [("0", Action.ACCEPT)]
    assert selection.fallbacks == () and {frame.node_id for frame in selection.key_frames} == {"0"}


def test_the_policy_is_asked_about_the_whole_first_with_its_length(film):
    policy = finder("yellow")
    selection = mine(film, policy)
    [first] = policy.calls[0]
    asked = read_policy_prompt(first)
    assert (asked.question, asked.depth, asked.context) == ("What is yellow?", 0, ("Length: 0:01:04",))
    assert selection.nodes[0].decision.prompt == first


@pytest.mark.parametrize("said", ["", "\n \n"])
def test_a_policy_that_does_not_say_what_it_seeks_seeks_the_question(film, said):
    policy = dataclasses.replace(finder("yellow"), sought=said)
    assert all(within(YELLOW, time_s) for time_s in times(mine(film, policy)))


@pytest.mark.parametrize("reply", ["<think>a scene in yellow</think><action>delete</action>", "colourless green ideas"])
def test_a_root_that_is_not_accepted_is_searched(film, reply):
    never = RulePolicy(lambda caption, depth: Action.DELETE if depth else reply)
    assert mine(film, never).usage.vlm_calls == 8  # all events


def test_what_it_seeks_is_what_it_said_before_it_was_asked_again_for_the_action(film):
    class Forgetful(RulePolicy):
        """Names the action only where it is asked for one word."""

        def complete(self, prompts, temperature, seeds):
            made = super().complete(prompts, temperature, seeds)
            return [Completion("continue") if p.endswith("delete.") else done for p, done in zip(prompts, made)]

    vlm = ColourVLM()
    policy = Forgetful(lambda caption, depth: Action.DELETE if depth else "<think>a scene in yellow\n</think>")
    selection = mine(film, policy, vlm, text="What comes last?", wave=1)
    assert selection.nodes[0].decision.text == "continue" and waves(vlm)[0] == ["yellow"]


def test_options_that_are_too_long_to_be_told_are_cut_and_counted(film):
    policy = finder("yellow")
    [short, long] = run(
        selector(policy, search_options="always"),
        [Job(Question(film, "What is yellow?", tuple(f"{i} {'x' * n}" for i in range(26)))) for n in (40, 80)],
    )
    assert (short.fallbacks, long.fallbacks) == ((), ("options_cut",))
    asked = [read_policy_prompt(prompt).question for prompt in policy.calls[0]]
    assert "25 x" in asked[0] and [len(text) <= 2000 for text in asked] == [True, True]


# the limits


def test_a_part_no_longer_than_the_grain_is_asked_about_as_at_the_last_depth_and_never_opened(film):
    policy = seeker("a scene in yellow", rule=lambda caption, depth: Action.CONTINUE)
    selection = mine(film, policy, grain_s=2.0, max_depth=6)
    parents = {node.parent_id for node in selection.nodes}
    depths = set()
    for node in selection.nodes[1:]:
        fine = all(event.span.duration_s <= 2.0 for event in node.events)
        asked = read_policy_prompt(node.decision.prompt)
        assert (asked.depth, asked.max_depth) == (6 if fine else node.depth, 6)
        assert not (fine and node.id in parents)
        depths.add((fine, node.depth))
    assert {fine for fine, _ in depths} == {True, False} and max(depth for _, depth in depths) < 6


@pytest.mark.parametrize("setting", ["max_vlm_calls", "max_nodes"])
@pytest.mark.parametrize("most", [1, 2, 7])
def test_limits_are_used_up_exactly_and_named_where_they_stop_the_search(film, setting, most):
    policy = seeker("a scene in yellow", rule=lambda caption, depth: Action.CONTINUE)
    selection = mine(film, policy, **{setting: most})
    assert selection.usage.vlm_calls == len(selection.nodes) - 1 == most  # without clustering a caption is a node
    parents = {node.parent_id for node in selection.nodes}
    left = [node for node in selection.nodes if node.id not in parents and node.duration_s > CONFIG.grain_s]
    assert left and {node.note for node in left} == {setting}


@pytest.fixture(scope="module")
def long(folder) -> str:
    scenes = [("red", 50), ("blue", 9), ("green", 40), ("yellow", 5), ("white", 60), ("blue", 30), ("black", 46)]
    return colour_video(folder / "long.mp4", scenes, fps=2)


POLICIES = {
    "finder": lambda: finder("yellow"),
    "undecided": lambda: seeker("a scene in yellow", "a scene in blue", rule=lambda caption, depth: Action.CONTINUE),
    "never": lambda: seeker("a scene in yellow", rule=lambda caption, depth: Action.DELETE),
    "any": SamplingPolicy,
}


@settings(deadline=None, max_examples=25)
@given(
    policy=st.sampled_from(sorted(POLICIES)),
    changed=st.fixed_dictionaries(
        {
            "max_vlm_calls": st.integers(1, 30),
            "max_nodes": st.integers(1, 30),
            "max_depth": st.integers(1, 4),
            "wave": st.integers(1, 5),
            "stop_margin": st.sampled_from([0.0, 0.5, 3.0]),
            "events": st.integers(2, 8),
            "frames": st.integers(1, 12),
            "grain_s": st.sampled_from([0.0, 0.7, 4.0, 500.0]),
            "min_event_s": st.sampled_from([0.0, 0.5, 30.0]),
            "clustering": st.sampled_from(["none", "event"]),
            "look": st.sampled_from(["scorer", "none"]),
            "seed": st.integers(0, 3),
        }
    ),
)
def test_under_any_settings_limits_hold_and_the_tree_is_whole(long, policy, changed):
    miner = selector(POLICIES[policy](), temperature=1.0, **changed)
    config = miner.config
    # a search that asks more often than this raises
    [tree] = run(miner, [job(long, changed["seed"])], decisions_in_step=miner.rounds_at_most(config))
    usage = tree.usage
    captions, decisions = usage.vlm_calls + usage.vlm_calls_cached, usage.policy_calls + usage.policy_calls_cached
    scored = usage.scores + usage.scores_cached
    most = miner.calls_at_most(config, tree.video.duration_s)
    assert captions <= config.max_vlm_calls and len(tree.nodes) - 1 <= config.max_nodes
    assert captions <= most.vlm and decisions <= most.llm and scored <= most.scored
    assert scored > 0 or config.look == "none" or len(tree.nodes) == 1

    by_id = {node.id: node for node in tree.nodes}
    assert len(by_id) == len(tree.nodes) and tree.nodes == by_level(tree.nodes)
    for node in tree.nodes:
        assert node.decision is not None and node.depth == node.id.count(".") <= config.max_depth
        if node.depth:
            parent = by_id[node.parent_id]
            assert parent.decision.action is not Action.ACCEPT
            assert all(any(p.start_s <= s.start_s and s.end_s <= p.end_s for p in parent.spans) for s in node.spans)
    events = [event.span for node in tree.nodes[1:] for event in node.events]
    assert len(events) == len(set(events)) == captions

    indices = [frame.frame_index for frame in tree.key_frames]
    assert indices == sorted(set(indices)) and 0 < len(indices) <= config.frames
    assert {frame.node_id for frame in tree.key_frames} <= {*by_id, None}


# alike captions


class Same(ColourVLM):
    """Says the same of everything."""

    def generate(self, requests):
        super().generate(requests)
        return ["a room" for _ in requests]


@pytest.fixture(scope="module")
def lecture(folder) -> str:
    """15 minutes of one scene, but for 3 s."""
    return colour_video(folder / "lecture.mp4", [("black", 623), ("yellow", 3), ("black", 274)], fps=2)


@pytest.mark.parametrize("clustering", ["event", "none"])
@pytest.mark.parametrize("most", [40, 1000])
def test_alike_captions_do_not_end_the_search_and_the_needle_is_found(lecture, clustering, most):
    undecided = seeker("a scene in yellow", rule=lambda caption, depth: Action.CONTINUE)
    changed = {"clustering": clustering, "max_vlm_calls": most, "max_nodes": 1000, "grain_s": 8.0, "max_depth": 9}
    selection = mine(lecture, undecided, Same(), **changed)
    parents = {node.parent_id for node in selection.nodes}
    leaves = [event.span for node in selection.nodes if node.id not in parents for event in node.events]
    captions = selection.usage.vlm_calls + selection.usage.vlm_calls_cached
    assert captions == most or all(span.duration_s <= 8.0 for span in leaves)
    assert captions > 30  # more than the first cut has events
    assert any(within(Span(623.0, 626.0), time_s) for time_s in times(selection))


def test_a_needle_that_the_scan_does_not_show_is_met_where_all_else_is_alike(lecture):
    # a frame of the scan every 15 s, and none within the needle
    policy = finder("yellow")
    policy.rule = lambda caption, depth: Action.ACCEPT if "yellow" in caption else Action.CONTINUE
    changed = {"scan_frames": 4, "events": 4, "max_vlm_calls": 1000, "max_nodes": 1000, "grain_s": 8.0, "max_depth": 9}
    selection = mine(lecture, policy, **changed)
    assert accepted(selection) and any(within(Span(623.0, 626.0), time_s) for time_s in times(selection))


# the second look: 15 minutes, of which the first one compares a frame every 7.5 s

BETWEEN = {"scan_frames": 4, "grain_s": 3.0, "wave": 1}


def with_needle(folder: Path, start_s: float) -> tuple[str, Span]:
    """A black film, white from 750 to 780 s, with 3 s of yellow."""
    needle, path = Span(start_s, start_s + 3), folder / f"needle-{start_s:g}.mp4"
    borders = sorted({0.0, 750.0, 780.0, 900.0, needle.start_s, needle.end_s})
    scenes = [
        ("yellow" if a == start_s else "white" if 750.0 <= a < 780.0 else "black", b - a)
        for a, b in itertools.pairwise(borders)
    ]
    return str(path) if path.exists() else colour_video(path, scenes, fps=2), needle


@pytest.mark.parametrize("start_s", [34.5, 439.5, 619.5])
def test_a_moment_between_the_frames_compared_first_is_found_where_coarse_captions_are_deleted(folder, start_s):
    video, needle = with_needle(folder, start_s)
    # coarse captions show but four frames of 30 s, and the policy deletes all that does not show what it seeks
    selection = mine(video, finder("yellow"), **BETWEEN)
    assert [node.caption for node in accepted(selection)][:1] == ["a scene in yellow"]
    assert selection.fallbacks == () and all(within(needle, time_s) for time_s in times(selection))
    # the first ten captions cost as much as the second look, 300 frames; then the needle fits best by far
    assert selection.usage.vlm_calls <= 16


def test_a_part_that_was_deleted_is_looked_at_again_if_a_new_frame_fits_better(folder):
    video, needle = with_needle(folder, 762.0)  # in the scene that is captioned first
    nodes = mine(video, finder("yellow"), **BETWEEN).nodes
    holding = [node for node in nodes[1:] if any(within(span, needle.start_s + 1) for span in node.spans)]
    assert [node.decision.action for node in holding] == [Action.DELETE, Action.CONTINUE, Action.ACCEPT]
    assert [node.depth for node in holding] == [1, 1, 2]


def test_before_a_search_ends_for_want_of_events_within_reach_it_looks_again(folder):
    video, needle = with_needle(folder, 619.5)
    # white alone is within reach, and is deleted
    selection = mine(video, finder("yellow"), reach=1.0, **BETWEEN)
    assert selection.fallbacks == () and all(within(needle, time_s) for time_s in times(selection))
    assert selection.usage.vlm_calls < 10


def test_what_the_first_look_finds_costs_no_second_one(folder):
    video, _ = with_needle(folder, 619.5)
    selection = mine(video, finder("white"), text="What is white?", **BETWEEN)
    assert selection.fallbacks == ()
    # compared with what is sought and with the question: the first look, and four frames for each key frame
    assert selection.usage.scores + selection.usage.scores_cached <= 2 * (120 + 4 * 4)


@pytest.mark.parametrize(("most", "looks"), [(1, 1), (9, 1), (12, 2)])
def test_no_second_look_is_taken_that_no_caption_can_follow(folder, most, looks):
    video, _ = with_needle(folder, 619.5)
    policy = seeker("a scene in yellow", rule=lambda caption, depth: Action.DELETE)
    selection = mine(video, policy, max_vlm_calls=most, **BETWEEN)
    assert selection.usage.vlm_calls == most and len(selection.nodes) == most + 1
    compared = (selection.usage.scores + selection.usage.scores_cached) / 2
    assert compared <= 120 + 4 * 4 if looks == 1 else compared >= 120 + 290


@pytest.mark.parametrize("seconds", [0.5, 2, 30])
def test_a_video_in_which_nothing_happens_and_a_brief_one_give_the_budget(folder, seconds):
    video = colour_video(folder / f"plain{seconds}.mp4", [("blue", seconds)])
    for policy in (finder("yellow"), finder("blue"), always(Action.CONTINUE), always(Action.DELETE)):
        selection = mine(video, policy, min_event_s=0.5)
        assert len(selection.key_frames) == 4 and selection.nodes[0].decision is not None


def test_a_video_of_no_more_frames_than_the_budget_is_not_searched(folder):
    video = colour_video(folder / "tiny.mp4", [("red", 0.2), ("blue", 0.2)])
    policy, vlm = finder("blue"), ColourVLM()
    selection = mine(video, policy, vlm)
    assert [node.note for node in selection.nodes] == ["short"] and not vlm.calls and not policy.calls
    assert [frame.frame_index for frame in selection.key_frames] == [0, 1, 2, 3]


# key frames


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 13])
def test_key_frames_are_shared_by_the_accepted_parts_and_spread_over_each(twice, frames):
    selection = mine(twice, finder("yellow"), frames=frames)
    indices = [frame.frame_index for frame in selection.key_frames]
    assert indices == sorted(set(indices)) and len(indices) == frames
    assert all(frame.time_s == pytest.approx(frame.frame_index / 10) for frame in selection.key_frames)
    by_part = {
        node.id: [f.time_s for f in selection.key_frames if f.node_id == node.id] for node in accepted(selection)
    }
    counts = [len(part) for part in by_part.values()]
    assert sum(counts) == frames and max(counts) - min(counts) <= 1 and len(counts) == 2
    for node in accepted(selection):
        span, shown = node.spans[0], by_part[node.id]
        around = Span(
            span.start_s - CONFIG.grain_s / 2, span.end_s + CONFIG.grain_s / 2
        )  # half the grain on either side
        assert all(within(around, time_s) for time_s in shown)
        edges = [span.start_s, *shown, span.end_s]
        gaps = [b - a for a, b in itertools.pairwise(edges)]
        assert not shown or max(gaps) <= 1.6 * span.duration_s / len(shown)


def test_within_an_accepted_part_the_frames_are_those_that_fit(folder):
    # yellow is shorter than the least event: the part that is accepted holds green, too
    video = colour_video(folder / "mixed.mp4", [("red", 16), ("green", 10), ("yellow", 3), ("green", 11), ("red", 24)])
    policy = seeker("a scene in yellow", rule=lambda c, depth: Action.ACCEPT if "green" in c else Action.DELETE)
    selection = mine(video, policy, min_event_s=6.0, frames=2, wave=1)
    [node] = accepted(selection)
    assert node.duration_s >= 6.0 and all(within(Span(26.0, 29.0), time_s) for time_s in times(selection))
    assert all(frame.score == 1.0 for frame in selection.key_frames)


def test_of_frames_that_fit_alike_the_rounding_of_the_scorer_chooses_none(folder):
    class Rounding(ColourScorer):
        """What other frames in its batch may change in the last digit of a float32."""

        def score(self, frames, texts):
            scores = super().score(frames, texts)
            return scores + np.float32(6e-8) * (np.arange(scores.size).reshape(scores.shape) % 3)

    video = colour_video(folder / "second.mp4", [("black", 20), ("yellow", 1), ("black", 20)])
    policy = seeker("a scene in yellow", rule=finder("yellow").rule)
    exact, rounded = (
        run(selector(policy, scorer=scorer, frames=12), [job(video)])[0] for scorer in (ColourScorer(), Rounding())
    )
    assert sum(within(Span(20.0, 21.0), time_s) for time_s in times(exact)) == 10 and times(rounded) == times(exact)


@pytest.mark.parametrize("sought", ["yellow", "red"], ids=["never found", "everywhere"])
@pytest.mark.parametrize("digit", [6e-8, -6e-8], ids=["up", "down"])
def test_where_all_fits_alike_the_rounding_of_the_scorer_decides_nothing(folder, sought, digit):
    class Drifting(ColourScorer):
        """What the texts and the frames beside may change in the last digit of a float32, from call to call."""

        calls = 0

        def score(self, frames, texts):
            self.calls += 1
            return super().score(frames, texts) + np.float32(digit * min(self.calls, 12))

    video = colour_video(folder / "alike.mp4", [("red", 70)])
    policy = finder(sought)
    exact, drifted = (
        run(selector(policy, scorer=scorer, wave=4, max_vlm_calls=60), [job(video)])[0]
        for scorer in (ColourScorer(), Drifting())
    )
    assert drifted.nodes == exact.nodes and len(exact.nodes) > 10
    assert times(drifted) == times(exact) and drifted.fallbacks == exact.fallbacks


def test_key_frames_tell_how_well_they_fit(film):
    for frame in mine(film, finder("yellow")).key_frames:
        assert frame.score == 1.0


# what it depends on


def test_same_inputs_give_the_same_tree(film):
    first, second = (mine(film, finder("yellow"), wave=1) for _ in range(2))
    assert (first.nodes, first.key_frames) == (second.nodes, second.key_frames)


@pytest.mark.parametrize(
    ("make", "temperature", "clustering"),
    [(POLICIES["undecided"], 0.0, "event"), (SamplingPolicy, 1.0, "event"), (SamplingPolicy, 1.0, "none")],
)
def test_a_question_among_others_gives_what_it_gives_alone(film, twice, long, make, temperature, clustering):
    jobs = [
        *(job(video, 1) for video in (film, twice, long)),
        job(film, 2),
        job(film, 1, "What is red?"),
        job(twice, 3, "What is yellow and what is blue?"),
    ]
    changed = {"temperature": temperature, "clustering": clustering, "max_vlm_calls": 9}
    together = run(selector(make(), **changed), jobs)
    alone = [run(selector(make(), **changed), [single])[0] for single in jobs]
    assert [(s.nodes, s.key_frames, s.fallbacks) for s in together] == [
        (s.nodes, s.key_frames, s.fallbacks) for s in alone
    ]
    assert len({s.nodes for s in together}) > 2


@pytest.mark.parametrize("at_once", [2, 5])
def test_several_parts_in_one_decision_give_the_same_tree_for_fewer_calls(twice, at_once):
    alone = mine(twice, finder("yellow"), wave=4)
    together = mine(twice, finder("yellow"), wave=4, parts_per_decision=at_once)

    def told(selection: Selection) -> list[tuple]:
        return [(node.id, node.spans, node.decision.action, node.decision.text) for node in selection.nodes]

    assert told(together) == told(alone) and together.key_frames == alone.key_frames
    assert together.usage.policy_calls < alone.usage.policy_calls  # which are fewer than nodes where captions are equal
    assert together.usage.decisions_unread == 0


def test_without_reasoning_the_policy_is_asked_for_the_action_alone_but_still_says_what_it_seeks(film):
    policy = finder("yellow")
    mine(film, policy, policy_reasoning=False)
    prompts = [prompt for call in policy.calls for prompt in call]
    assert ["<think>" in prompt for prompt in prompts] == [True] + [False] * (len(prompts) - 1)


def test_cached_captions_count_so_that_a_warm_cache_grows_the_same_tree(film, tmp_path):
    undecided = POLICIES["undecided"]()
    cold, warm = (mine(film, undecided, max_vlm_calls=9, cache_dir=str(tmp_path)) for _ in range(2))
    assert (warm.nodes, warm.key_frames) == (cold.nodes, cold.key_frames)
    assert (cold.usage.vlm_calls, warm.usage.vlm_calls, warm.usage.vlm_calls_cached) == (9, 0, 9)
    assert warm.usage.scores == 0 < warm.usage.scores_cached


def test_a_scorer_that_fails_on_one_question_costs_that_question_alone(film):
    class Failing(ColourScorer):
        def score(self, frames, texts):
            if any("red" in text for text in texts):
                raise RuntimeError("out of memory")
            return super().score(frames, texts)

    jobs = [job(film, text="What is red?"), job(film)]
    failed, found = run(selector(finder("yellow"), scorer=Failing()), jobs)
    assert isinstance(failed, ModelError) and "out of memory" in str(failed) and "What is red?" in str(failed)
    assert found.nodes == mine(film, finder("yellow")).nodes


def test_without_an_image_text_model_none_is_needed(film):
    config = dataclasses.replace(CONFIG, look="none", scorer="no/such")
    stages = build_stages(config, ColourVLM(), finder("yellow"), ColourEmbedder())
    [selection] = run(VideoMinerSelector(stages, config), [job(film)])
    assert stages.scorer is None and selection.usage.scores == 0
    assert all(within(YELLOW, time_s) for time_s in times(selection)) and selection.fallbacks == ()


def test_the_policy_is_told_of_the_search_what_is_asked_for(film):
    policy = POLICIES["undecided"]()
    mine(film, policy, policy_context="place+budget+accepted", max_vlm_calls=20)
    _, first, second, *_ = [[read_policy_prompt(prompt) for prompt in call] for call in policy.calls]
    captioned = 0
    for wave in (first, second):
        captioned += len(wave)
        for asked in wave:
            told, left, place = asked.context
            assert told == "Accepted so far: none" and left == f"Captions left: {20 - captioned} of 20"
            assert place.endswith(" of 0:01:04")
    assert first[0].context[2] == "Part: 0:00:41.0-0:00:48.0 of 0:01:04"


def test_without_a_setting_it_is_told_nothing_of_the_search(film):
    policy = finder("yellow")
    mine(film, policy)
    assert {read_policy_prompt(prompt).context for prompt in policy.calls[1]} == {()}


# by hand


@pytest.mark.parametrize(
    ("duration_s", "first", "changed", "expected"),
    [
        (3600.0, True, {}, (60, 256)),  # as many events as each has seconds
        (10_000.0, True, {}, (100, 400)),  # four frames an event are more than scan_frames
        (61.0, True, {}, (8, 256)),  # 7.8, rounded up
        (64.0, True, {}, (8, 256)),  # the root of a square, exactly
        (64.0, True, {"scan_frames": 16}, (8, 32)),
        (3.0, True, {}, (2, 256)),
        (0.4, True, {}, (2, 256)),  # two at the least; the segmenter says whether they can be had
        (100.0, True, {"min_event_s": 20.0}, (5, 256)),
        (60.0, False, {}, (15, 60)),  # events of grain_s, 4 s
        (61.0, False, {}, (16, 64)),
        (600.0, False, {}, (16, 64)),  # no more than events
        (600.0, False, {"events": 8}, (8, 32)),
        (9.0, False, {}, (3, 12)),
        (4.0, False, {}, (2, 8)),
        (1.0, False, {}, (2, 8)),
        (9.0, False, {"grain_s": 0.0}, (16, 64)),  # by min_event_s, half a second, then by events
        (3.0, False, {"grain_s": 0.0}, (6, 24)),
        (9.0, False, {"min_event_s": 4.0, "grain_s": 1.0}, (2, 8)),
        (0.0, True, {}, (2, 256)),
        (0.0, False, {}, (2, 8)),
    ],
)
def test_the_number_of_events_of_a_cut_by_hand(duration_s, first, changed, expected):
    assert cut_of(duration_s, MinerConfig(**changed), first) == expected


@given(
    st.floats(0.0, 1e5),
    st.booleans(),
    st.integers(2, 64),
    st.sampled_from([0.0, 0.5, 4.0, 100.0]),
    st.sampled_from([0.0, 0.04, 0.5, 20.0]),
)
def test_a_cut_has_at_least_two_events_each_as_long_as_the_least(duration_s, first, events, grain_s, min_event_s):
    config = MinerConfig(events=events, grain_s=grain_s, min_event_s=min_event_s)
    count, frames = cut_of(duration_s, config, first)
    assert count >= 2 and frames >= 4 * count
    assert count == 2 or duration_s / count >= min_event_s
    assert first or count <= events
    assert not first or count <= max(2, math.ceil(math.sqrt(duration_s)))


def test_the_most_frames_that_a_search_looks_at_by_hand():
    config = MinerConfig(max_vlm_calls=10, events=16, frames=8, scan="exact")
    # the second look at an hour compares what ten captions pay for, at 10,000 s the first one is as close as that
    assert frames_at_most(config, 3600.0) == 256 + 2 * 320 + 10 * 4 * 16 + 4 * 8
    assert frames_at_most(config, 10_000.0) == 400 + 10 * 4 * 16 + 4 * 8
    more = dataclasses.replace(config, max_vlm_calls=200)
    assert frames_at_most(more, 3600.0) == 256 + 2 * 900 + 200 * 4 * 16 + 4 * 8  # a frame every 4 s
    assert frames_at_most(more, 900.0) == 256 + 200 * 4 * 16 + 4 * 8  # the first look has them 3.5 s apart
    assert frames_at_most(config, math.inf) == math.inf
    coarse = dataclasses.replace(config, scan="sync")  # key frames of the codec may lie so that it takes twice as many
    assert frames_at_most(coarse, 3600.0) == 2 * (256 + 2 * 320 + 10 * 4 * 16) + 4 * 8


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("<think>a red disc</think><action>continue</action>", ("a red disc",)),
        (
            "<think>a red disc\n  a blue box \n\na red disc\n</think><action>continue</action>",
            ("a red disc", "a blue box"),
        ),
        ("<think></think><action>continue</action>", ()),
        ("<think> \n </think><action>continue</action>", ()),
        ("<think>a red disc", ("a red disc",)),  # cut off
        ("continue", ()),
        ("a red disc</think><action>continue</action>", ()),
        ("", ()),
    ],
)
def test_what_is_sought_is_a_line_a_moment(text, lines):
    assert sought(Decision(Action.CONTINUE, text, Reading.STRICT)) == lines
