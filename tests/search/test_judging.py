"""Caption and verdict in one reply of the captioner, in both searches, on real videos."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from support import tiny_models
from support.read_prompts import read_judge_prompt, read_policy_prompt
from support.scripted import ColourEmbedder, ColourScorer, ColourVLM, JudgingVLM, RulePolicy, colour_video, finder

from lmms_videominer.miner import VideoMiner
from lmms_videominer.policy.prompt import judge_prompt
from lmms_videominer.search.engine import Job, run
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.settings import configured
from lmms_videominer.selectors.videominer import VideoMinerSelector
from lmms_videominer.types import Action, Decision, Node, Question, Reading, Selection, Span

SETTINGS = {
    "videominer_judge": "caption",
    "frames": 4,
    "events": 4,
    "scan_frames": 64,
    "caption_frames": 2,
    "grain_s": 1.0,
    "clustering": "none",
    "cache_dir": "off",
}
BEST_FIRST = {"search": "best-first", "wave": 2, "stop_margin": 0.5, "reach": 0.0}
PLAIN = {"search": "plain"}
SEARCHES = [pytest.param(BEST_FIRST, id="best-first"), pytest.param(PLAIN, id="plain")]
FILM = [("red", 9), ("green", 7), ("blue", 8), ("black", 8), ("red", 9), ("yellow", 7), ("green", 8), ("white", 8)]
YELLOW = Span(41.0, 48.0)
QUESTION = "What is yellow?"


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> str:
    return colour_video(tmp_path_factory.mktemp("films") / "film.mp4", FILM, fps=4)


def find_yellow(caption: str, depth: int) -> Action:
    if caption == "a scene in yellow":
        return Action.ACCEPT
    return Action.CONTINUE if "yellow" in caption else Action.DELETE


def unsure(caption: str, depth: int) -> Action | str:
    """As ``find_yellow``, but says nothing of the action where it sees white or red."""
    return caption if "white" in caption or "red" in caption else find_yellow(caption, depth)


def selector(vlm: ColourVLM, policy=None, **changed) -> VideoMinerSelector:
    config = configured(**(SETTINGS | changed))
    policy = policy or finder("yellow")
    stages = build_stages(config, vlm, policy, ColourEmbedder(), scorer=ColourScorer())
    return VideoMinerSelector(stages, config)


def mine(film: str, vlm: ColourVLM, policy=None, text: str = QUESTION, **changed) -> Selection:
    [selection] = run(selector(vlm, policy, **changed), [Job(Question(film, text))])
    assert isinstance(selection, Selection), selection
    return selection


def parts(selection: Selection) -> list[tuple[Node, Decision]]:
    return [(node, node.decision) for node in selection.nodes[1:] if node.decision]


def captions(selection: Selection) -> int:
    return selection.usage.vlm_calls + selection.usage.vlm_calls_cached


@pytest.mark.parametrize("search", SEARCHES)
def test_a_part_is_captioned_and_decided_about_in_one_call(film, search):
    vlm, policy = JudgingVLM(rule=find_yellow), finder("yellow")
    selection = mine(film, vlm, policy, **search)
    assert len(parts(selection)) == len(selection.nodes) - 1 == selection.usage.vlm_calls == len(vlm.judged)
    of_the_whole = int(search is BEST_FIRST)  # what is sought
    assert selection.usage.policy_calls == sum(map(len, policy.calls)) == of_the_whole
    assert all(read_policy_prompt(prompt).depth == 0 for call in policy.calls for prompt in call)
    assert selection.usage.decisions_unread == 0 and selection.fallbacks == ()
    assert all(YELLOW.start_s <= frame.time_s < YELLOW.end_s for frame in selection.key_frames)


@pytest.mark.parametrize("search", SEARCHES)
def test_a_decision_tells_reply_and_prompt_and_the_caption_is_without_the_verdict(film, search):
    selection = mine(film, JudgingVLM(rule=find_yellow), **search)
    for node, decision in parts(selection):
        assert decision.text == f"{node.caption}<action>{decision.action.value}</action>"
        assert decision.action is find_yellow(node.caption, node.depth) and decision.reading is Reading.STRICT
        asked = read_judge_prompt(decision.prompt)
        assert (asked.question, asked.max_depth) == (QUESTION, 3)
        assert decision.prompt_ids == decision.completion_ids == ()
    assert {node.caption for node, _ in parts(selection)} >= {"a scene in yellow"}


@pytest.mark.parametrize("search", SEARCHES)
def test_the_captioner_is_told_the_depth_and_the_last_one_where_no_closer_look_follows(film, search):
    grain_s = 2.0
    vlm = JudgingVLM()  # everything continues
    selection = mine(film, vlm, grain_s=grain_s, max_depth=4, max_vlm_calls=60, **search)
    told = {}
    for node, decision in parts(selection):
        asked = read_judge_prompt(decision.prompt)
        fine = search is BEST_FIRST and node.events[0].span.duration_s <= grain_s
        assert asked.depth == (4 if fine else node.depth)
        told.setdefault(node.depth, set()).add(asked.depth)
    assert told[1] == {1} and (search is PLAIN or any(4 in depths for depth, depths in told.items() if depth < 4))


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("action", list(Action))
def test_a_reply_that_names_no_action_takes_the_default_and_is_counted(film, search, action):
    selection = mine(film, JudgingVLM(rule=unsure), default_action=action.value, **search)
    unread = [node for node, decision in parts(selection) if decision.reading is Reading.DEFAULT]
    assert unread and {node.decision.action for node in unread} == {action}
    assert all("white" in node.caption or "red" in node.caption for node in unread)
    assert len(unread) == selection.usage.decisions_unread and "unread_decisions" in selection.fallbacks
    assert selection.usage.policy_calls <= 1  # at most about the whole


@pytest.mark.parametrize("search", SEARCHES)
def test_by_default_the_policy_is_asked_about_what_names_no_action_and_about_nothing_else(film, search):
    policy = finder("white")
    selection = mine(film, JudgingVLM(rule=unsure), policy, text="What is white?", **search)
    asked = [read_policy_prompt(prompt) for call in policy.calls for prompt in call]
    by_policy = [part for part in asked if part.depth]
    assert by_policy and all("white" in part.caption or "red" in part.caption for part in by_policy)
    assert len(by_policy) == selection.usage.decisions_unread
    accepted = [node.caption for node, decision in parts(selection) if decision.action is Action.ACCEPT]
    assert "a scene in white" in accepted


@pytest.mark.parametrize(
    ("search", "default", "needs"),
    [
        (PLAIN, "ask", {"vlm", "policy"}),
        (PLAIN, "delete", {"vlm"}),
        (BEST_FIRST, "delete", {"vlm", "policy", "scorer"}),
    ],
)
def test_no_policy_is_loaded_where_it_would_never_be_asked(film, search, default, needs):
    config = configured(**(SETTINGS | search), default_action=default)
    assert VideoMinerSelector.needs(config) == needs
    if "policy" not in needs:
        stages = build_stages(config, JudgingVLM(rule=find_yellow), "a-policy-that-is-not-there")
        assert stages.policy is None
        [selection] = VideoMinerSelector(stages, config).select([Question(film, QUESTION)])
        assert all(YELLOW.start_s <= frame.time_s < YELLOW.end_s for frame in selection.key_frames)


def test_without_a_policy_the_words_of_the_question_are_sought(film):
    vlm = JudgingVLM(rule=find_yellow)
    selection = mine(film, vlm, "none", **BEST_FIRST)
    assert selection.fallbacks == () and selection.usage.vlm_calls == BEST_FIRST["wave"]
    assert all(YELLOW.start_s <= frame.time_s < YELLOW.end_s for frame in selection.key_frames)


@pytest.mark.parametrize("search", SEARCHES)
def test_alike_events_are_one_node_only_if_their_verdicts_are_alike(tmp_path, search):
    video = colour_video(tmp_path / "red.mp4", [("red", 16), ("blue", 16), ("red", 16), ("green", 16)], fps=4)
    replies = iter(range(1000))

    def every_second_red(caption: str, depth: int) -> Action:
        return Action.ACCEPT if "red" in caption and next(replies) % 2 else Action.DELETE

    def alike(rule: Callable) -> list[tuple[int, Decision]]:
        settings = search | {"clustering": "event", "wave": 8, "max_depth": 1}  # all in one wave
        selection = mine(video, JudgingVLM(rule=rule), text="What is red?", **settings)
        return [(len(node.events), decision) for node, decision in parts(selection) if node.caption == "a scene in red"]

    [(events, decision)] = alike(lambda caption, depth: Action.ACCEPT)
    assert events >= 2 and decision.text == "a scene in red<action>accept</action>"
    assert decision.prompt == judge_prompt("What is red?", 1, 1)
    divided = alike(every_second_red)
    assert {decision.action for _, decision in divided} == {Action.ACCEPT, Action.DELETE}
    assert sum(events for events, _ in divided) == events


@pytest.mark.parametrize("search", SEARCHES)
def test_captions_with_and_without_verdicts_do_not_meet_in_the_cache(film, search, tmp_path):
    def mined(judge: str) -> Selection:
        rule = {"policy": ColourVLM, "caption": lambda: JudgingVLM(rule=find_yellow)}[judge]
        return mine(film, rule(), videominer_judge=judge, cache_dir=str(tmp_path), **search)

    first = [mined("policy"), mined("caption")]
    again = [mined("policy"), mined("caption")]
    assert all(selection.usage.vlm_calls == captions(selection) > 0 for selection in first)
    assert all(selection.usage.vlm_calls == 0 for selection in again)
    assert [selection.nodes for selection in first] == [selection.nodes for selection in again]
    assert [decision.text for _, decision in parts(first[0])] != [decision.text for _, decision in parts(first[1])]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_batch_gives_the_trees_that_each_question_gives_alone(film, search):
    jobs = [Job(Question(film, QUESTION), seed) for seed in (0, 1)] + [Job(Question(film, "What is white?"))]
    together = run(selector(JudgingVLM(rule=unsure), **search), jobs)
    alone = [run(selector(JudgingVLM(rule=unsure), **search), [job])[0] for job in jobs]
    assert [selection.nodes for selection in together] == [selection.nodes for selection in alone]
    assert together[0].nodes == together[1].nodes  # verdicts are greedy


@pytest.mark.parametrize("search", SEARCHES)
def test_the_limits_hold_for_judged_parts(film, search):
    few = mine(film, JudgingVLM(), max_vlm_calls=5, **search)
    assert captions(few) <= 5 and "max_vlm_calls" in {node.note for node in few.nodes}
    small = mine(film, JudgingVLM(), max_nodes=3, **search)
    assert len(parts(small)) <= 3 and "max_nodes" in {node.note for node in small.nodes}


@pytest.mark.parametrize("search", SEARCHES)
def test_real_models_that_were_never_taught_to_judge_leave_the_decisions_to_the_policy(film, search, tmp_path: Path):
    vlm, policy = tiny_models.tiny_qwen2_vl(tmp_path / "vlm"), tiny_models.tiny_qwen2_lm(tmp_path / "policy")
    models = {"policy": policy, "embedder": ColourEmbedder(), "scorer": ColourScorer()}
    settings = SETTINGS | search | {"caption_tokens": 8, "policy_tokens": 8, "max_vlm_calls": 6}
    selection = VideoMiner.from_pretrained(vlm, **models, **settings).mine(film, QUESTION)
    assert selection.usage.vlm_calls == captions(selection) > 0 and len(selection.key_frames) == 4
    assert selection.usage.decisions_unread >= selection.usage.vlm_calls  # the policy is no wiser
    assert "unread_decisions" in selection.fallbacks
    assert all(read_policy_prompt(decision.prompt) for _, decision in parts(selection))


def test_a_caption_that_does_not_come_is_no_verdict(film):
    @dataclasses.dataclass
    class Mute(JudgingVLM):
        def generate(self, requests):
            replies = super().generate(requests)
            return ["" if "white" in reply else reply for reply in replies]

    policy = RulePolicy(lambda caption, depth: Action.DELETE if depth else Action.CONTINUE)
    selection = mine(film, Mute(rule=find_yellow), policy, **PLAIN)
    missing = [(node, decision) for node, decision in parts(selection) if not node.caption]
    assert missing and all(read_policy_prompt(decision.prompt).caption == "(none)" for _, decision in missing)
    assert selection.usage.captions_missing == len(missing)
    assert {"captions_missing", "unread_decisions"} <= set(selection.fallbacks)
