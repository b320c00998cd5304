from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path

import pytest
from support.scripted import ColourScorer, ColourVLM, RulePolicy, SamplingPolicy, always, colour_video, finder

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, VideoError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.training.rewards import RewardConfig
from lmms_videominer.training.rollout import RolloutJob, TreeRollout, roll_out
from lmms_videominer.types import Action, Question, Reading, Span
from lmms_videominer.world import render_world

CONFIG = MinerConfig(
    search="plain",
    frames=4,
    events=4,
    scan_frames=64,
    caption_frames=2,
    max_depth=2,
    clustering="none",
    temperature=1.0,
    grain_s=0,
    cache_dir="off",
)
REWARDS = RewardConfig(
    lambda_auxin=1.0, target_length=8, length_sigma=4.0, length_weight=0.5, format_full=1.0, format_partial=0.25
)
OPTIONS = ("a scene in red", "a scene in yellow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("films")


def job(video: str, tree: int = 0, answer: str | int = 1, id: str = "q", text: str = "What is there?", seed: int = 0):
    return RolloutJob(Question(video, text, OPTIONS), answer, id, tree, seed or tree + 1)


def make(policy, **settings) -> tuple[Stages, MinerConfig, RewardConfig]:
    config = dataclasses.replace(CONFIG, **settings)
    return build_stages(config, ColourVLM(), policy, embedder=None, scorer=ColourScorer()), config, REWARDS


# rewards


def test_rewards_by_hand(film):
    [right, wrong] = roll_out([job(film), job(film, 1, answer=0)], *make(finder("yellow")))
    assert (right.question_id, right.tree, right.selection.answer) == ("q", 0, "a scene in yellow")
    assert (right.tree_reward, wrong.tree_reward) == (1.0, 0.0)
    accepted = next(d for d in right.decisions if d.action is Action.ACCEPT)
    # "<think>it shows a scene in yellow</think><action>accept</action>": six words, which are RulePolicy's tokens
    assert len(accepted.completion_ids) == 6
    length = 0.5 * math.exp(-((6 - 8) ** 2) / (2 * 4.0**2))
    assert accepted.rewards.length == pytest.approx(length)
    assert (accepted.rewards.format, accepted.rewards.action, accepted.rewards.tree) == (1.0, pytest.approx(0.9), 1.0)
    assert accepted.rewards.total == pytest.approx(1 + (length + 0.9) * 1)
    deleted = next(d for d in right.decisions if d.action is Action.DELETE)
    assert deleted.rewards.action == pytest.approx(1.1)
    same = next(d for d in wrong.decisions if d.node_id == accepted.node_id)
    assert same.rewards.length == pytest.approx(length) and same.rewards.total == pytest.approx(1.0)


def test_without_the_trees_reward_a_wrong_tree_earns_as_much_as_a_right_one(film):
    stages, config, _ = make(finder("yellow"))
    right, wrong = roll_out(
        [job(film), job(film, 1, answer=0)], stages, config, dataclasses.replace(REWARDS, reward="rf")
    )
    assert (right.tree_reward, wrong.tree_reward) == (1.0, 0.0)
    assert [d.rewards.total for d in right.decisions] == [d.rewards.total for d in wrong.decisions]


@pytest.mark.parametrize("policy", [always(Action.DELETE), always(Action.CONTINUE)])
@pytest.mark.parametrize(("fallback_reward", "expected"), [("paper", 1.0), ("none", 0.0), ("above_uniform", 0.0)])
def test_a_tree_that_accepts_nothing_earns_no_r_tree_if_so_set(film, policy, fallback_reward, expected):
    stages, config, rewards = make(policy, frames=2)
    options = ("a scene in green and yellow", "a scene in pink")  # what two uniform frames show
    asked = dataclasses.replace(job(film, answer=0), question=Question(film, "What is there?", options))
    settings = dataclasses.replace(rewards, fallback_reward=fallback_reward)
    [rollout] = roll_out([asked], stages, config, settings)
    assert rollout.correct and rollout.in_fallback and rollout.tree_reward == expected
    assert {d.rewards.tree for d in rollout.decisions} == {expected}
    assert all(d.rewards.total == pytest.approx(1.0) for d in rollout.decisions) is (expected == 0.0)


def hesitant(caption: str, depth: int) -> Action:
    """Continues yellow until the depth is spent, deletes the rest: its open leaves are kept, and show yellow alone."""
    promising = "yellow" in caption if depth == 1 else caption == "a scene in yellow"
    return Action.CONTINUE if promising else Action.DELETE


def test_a_fallback_that_beats_uniform_frames_earns_the_difference(film):
    stages, config, rewards = make(RulePolicy(hesitant))
    settings = dataclasses.replace(rewards, fallback_reward="above_uniform")
    right, wrong = roll_out([job(film), job(film, 1, answer=0)], stages, config, settings)
    assert right.in_fallback and (right.tree_reward, wrong.tree_reward) == (1.0, 0.0)


def test_a_question_without_an_answer_from_uniform_frames_fails_and_is_not_paid_in_full(film):
    class Failing(ColourVLM):
        def generate(self, requests):
            replies = super().generate(requests)
            if any("red" in text for text, request in zip(replies, requests) if request.prompt.endswith("directly.")):
                raise RuntimeError("out of memory")  # at the answer from uniform frames alone
            return replies

    stages, config, rewards = make(RulePolicy(hesitant))
    stages = dataclasses.replace(stages, vlm=Failing())
    [paid] = roll_out([job(film)], stages, config, rewards)
    assert paid.tree_reward == 1.0
    [outcome] = roll_out([job(film)], stages, config, dataclasses.replace(rewards, fallback_reward="above_uniform"))
    assert isinstance(outcome, ModelError) and "out of memory" in str(outcome)


@pytest.mark.parametrize("fallback_reward", ["paper", "none", "above_uniform"])
def test_a_tree_that_accepts_earns_r_tree_whatever_fallbacks_earn(film, fallback_reward):
    stages, config, rewards = make(finder("yellow"))
    [rollout] = roll_out([job(film)], stages, config, dataclasses.replace(rewards, fallback_reward=fallback_reward))
    assert not rollout.in_fallback and rollout.tree_reward == 1.0


# best first


@pytest.mark.parametrize("policy", [finder("yellow"), always(Action.ACCEPT), SamplingPolicy()])
def test_best_first_the_root_is_a_decision_too_and_processes_stay_in_step(film, policy):
    settings = {"search": "best-first", "max_vlm_calls": 9, "grain_s": 1.0}
    stages, config, rewards = make(policy, **settings)
    rollouts = roll_out([job(film, tree) for tree in range(3)], stages, config, rewards)
    for rollout in rollouts:
        nodes = rollout.selection.nodes
        assert [sample.node_id for sample in rollout.decisions] == [node.id for node in nodes]
        assert rollout.decisions[0].action is nodes[0].decision.action
    if isinstance(policy, RulePolicy):  # the root, and a round a wave at most, of whichever there is anything to decide
        policy.calls.clear()
        roll_out([], stages, config, rewards)
        assert policy.calls == [[]] * 10
        policy.calls.clear()
        roll_out([job(film, 7)], stages, config, rewards)
        assert len(policy.calls) == 10 and len(policy.calls[0]) == 1


def test_the_whole_video_cannot_be_deleted_and_that_earns_no_more_than_to_search_it(film):
    def at_root(action: Action) -> TreeRollout:
        policy = RulePolicy(lambda caption, depth: finder("yellow").rule(caption, depth) if depth else action)
        policy.sought = "a scene in yellow"
        [rollout] = roll_out([job(film)], *make(policy, search="best-first", max_vlm_calls=9, grain_s=1.0))
        assert rollout.tree_reward == 1.0 and rollout.decisions[0].action is action
        return rollout

    deleted, continued = at_root(Action.DELETE), at_root(Action.CONTINUE)
    assert deleted.selection.key_frames == continued.selection.key_frames
    assert deleted.decisions[0].rewards == continued.decisions[0].rewards
    assert {sample.rewards.action for sample in deleted.decisions if sample.action is Action.DELETE} == {1.0, 1.1}


def test_best_first_equal_jobs_give_equal_trees_whatever_grows_beside_them(film):
    settings = {"search": "best-first", "max_vlm_calls": 9, "grain_s": 1.0}
    jobs = [job(film, tree, seed=tree % 3 + 1) for tree in range(6)]
    together = roll_out(jobs, *make(SamplingPolicy(), **settings))
    [alone] = roll_out(jobs[4:5], *make(SamplingPolicy(), **settings))
    assert together[1].decisions == together[4].decisions == alone.decisions
    assert len({rollout.selection.nodes for rollout in together}) > 1


EVIDENCE = (Span(24.0, 27.0),)  # the yellow scene


@pytest.mark.parametrize(
    ("colour", "answer", "expected"),
    [
        ("yellow", 1, 1.0),  # right, from its evidence
        ("yellow", 0, 0.2),  # wrong, near the evidence
        ("red", 1, 0.0),  # wrong, far from it
        ("red", 0, 0.0),  # right by luck
    ],
)
def test_an_answer_earns_what_its_evidence_is_worth(film, colour, answer, expected):
    stages, config, rewards = make(finder(colour))
    asked = job(film, answer=answer)
    asked = dataclasses.replace(asked, question=dataclasses.replace(asked.question, evidence=EVIDENCE))
    settings = dataclasses.replace(rewards, evidence_target=0.5, evidence_ungated=0.2)
    [rollout] = roll_out([asked], stages, config, settings)
    assert rollout.tree_reward == pytest.approx(expected)
    [without] = roll_out([job(film, answer=answer)], stages, config, settings)
    assert without.tree_reward == float(without.correct)  # no evidence: the answer alone


def test_an_answer_earns_the_probability_of_the_right_option(film):
    @dataclasses.dataclass
    class Scoring(ColourVLM):
        def reply_logprobs(self, request, replies):
            return [math.log(0.6 if reply == "a scene in yellow" else 0.1) for reply in replies]

    stages, config, rewards = make(finder("yellow"))
    settings = dataclasses.replace(rewards, answer_reward="probability")
    stages = dataclasses.replace(stages, vlm=Scoring())
    right, wrong = roll_out([job(film), job(film, 1, answer="A")], stages, config, settings)
    assert (right.tree_reward, wrong.tree_reward) == (pytest.approx(0.7 / 0.9), pytest.approx(0.2 / 0.9))
    assert (right.correct, wrong.correct) == (True, False)
    opened = dataclasses.replace(job(film, answer="a scene in yellow"), question=Question(film, "What is there?"))
    [open_question] = roll_out([opened], stages, config, settings)
    assert open_question.tree_reward == 1.0  # without options, right or wrong


def test_half_right_and_unreadable_completions_earn_part_of_the_format_and_nothing(film):
    rule = RulePolicy(lambda caption, depth: "Action: accept" if "yellow" in caption else "hm")
    [rollout] = roll_out([job(film)], *make(rule, default_action="delete", max_depth=1))
    earned = {d.reading: d.rewards.format for d in rollout.decisions}
    assert earned == {Reading.LENIENT: 0.25, Reading.DEFAULT: 0.0}


def test_every_decision_of_the_tree_is_a_sample_with_the_tokens_of_the_policy(film):
    [rollout] = roll_out([job(film)], *make(always(Action.CONTINUE)))
    nodes = {node.id: node for node in rollout.selection.nodes if node.decision}
    assert [d.node_id for d in rollout.decisions] == list(nodes) and {d.depth for d in rollout.decisions} == {1, 2}
    for sample in rollout.decisions:
        decision = nodes[sample.node_id].decision
        assert (sample.prompt_ids, sample.completion_ids) == (decision.prompt_ids, decision.completion_ids)
        assert (sample.action, sample.reading) == (decision.action, decision.reading)


# what is shared


def test_trees_of_one_question_share_captions_and_an_equal_answer(film):
    stages, *rest = make(always(Action.CONTINUE))
    rollouts = roll_out([job(film, tree) for tree in range(3)], stages, *rest)
    usages = [rollout.selection.usage for rollout in rollouts]
    captions = usages[0].vlm_calls
    assert [u.vlm_calls for u in usages] == [captions, 0, 0]
    assert [u.answer_calls for u in usages] == [1, 0, 0]
    assert [len(call) for call in stages.vlm.calls] == [4, captions - 4, 1]  # two levels, then one answer for three


def test_a_second_epoch_asks_the_video_llm_nothing(film, tmp_path):
    jobs = [job(film, tree, id=id, text=text) for id, text in (("a", "a?"), ("b", "b?")) for tree in range(4)]
    settings = {"cache_dir": str(tmp_path), "clustering": "none"}
    first = roll_out(jobs, *make(SamplingPolicy(), **settings))
    stages, *rest = make(SamplingPolicy(), **settings)
    second = roll_out(jobs, stages, *rest)
    assert not stages.vlm.calls
    assert [r.decisions for r in second] == [r.decisions for r in first]
    assert [r.selection.answer for r in second] == [r.selection.answer for r in first]


def test_a_tree_is_the_same_alone_and_among_others(film, folder):
    other = colour_video(folder / "other.mp4", [("black", 9), ("yellow", 2), ("green", 9)])
    jobs = [*(job(film, tree) for tree in range(4)), *(job(other, tree, id="o") for tree in range(4))]
    together = roll_out(jobs, *make(SamplingPolicy()))
    alone = [roll_out([one], *make(SamplingPolicy()))[0] for one in jobs]
    assert [r.decisions for r in together] == [r.decisions for r in alone]
    assert len({r.decisions for r in together[:4]}) > 1


# keeping step, faults


@pytest.mark.parametrize("kind", ["none", "decided at once", "short", "broken"])
def test_the_policy_is_called_once_a_level_whatever_the_jobs(film, folder, kind):
    short = colour_video(folder / "short.mp4", [("red", 0.3)])
    jobs = {"none": [], "decided at once": [job(film)], "short": [job(short)], "broken": [job(str(folder / "no.mp4"))]}
    policy = always(Action.DELETE)
    roll_out(jobs[kind], *make(policy, max_depth=3))
    assert len(policy.calls) == 3


def test_a_video_with_nothing_to_search_gives_a_tree_without_decisions(folder):
    short = colour_video(folder / "brief.mp4", [("red", 0.3)])
    [rollout] = roll_out([job(short, answer=0)], *make(always(Action.DELETE)))
    assert rollout.decisions == () and rollout.tree_reward == 1.0


def test_a_broken_video_drops_its_group_and_is_named_once(film, folder, caplog):
    (folder / "empty.mp4").touch()
    jobs = [job(str(folder / "empty.mp4"), 0, id="bad"), job(film), job(str(folder / "empty.mp4"), 1, id="bad")]
    with caplog.at_level(logging.WARNING, logger="lmms_videominer"):
        first, good, second = roll_out(jobs, *make(finder("yellow")))
    assert isinstance(first, VideoError) and isinstance(second, VideoError) and "empty.mp4" in str(first)
    assert isinstance(good, TreeRollout) and good.tree_reward == 1.0
    named = [record.getMessage() for record in caplog.records if "bad" in record.getMessage()]
    assert len(named) == 1 and "empty.mp4" in named[0]


def test_a_group_of_which_one_tree_fails_is_dropped_whole(film):
    whole, broken, other = roll_out([job(film), job(film, 1, text=" "), job(film, id="other")], *make(finder("yellow")))
    assert isinstance(whole, ConfigError) and whole is broken
    assert isinstance(other, TreeRollout)


def test_a_policy_without_tokens_cannot_be_trained_and_is_told_so(film):
    stages, *rest = make(None)  # the video LLM itself
    with pytest.raises(ConfigError, match="no token ids"):
        roll_out([job(film)], stages, *rest)


# the shipped models on world videos


@dataclasses.dataclass
class CountingVLM:
    """A video LLM that counts what it is asked."""

    vlm: object
    asked: int = 0

    @property
    def identity(self) -> str:
        return self.vlm.identity

    def generate(self, requests):
        self.asked += len(requests)
        return self.vlm.generate(requests)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> list[RolloutJob]:
    """Three trees of a question on each of two videos of a minute."""
    folder = tmp_path_factory.mktemp("world")
    path = render_world(folder, 1, 2, 3_000_017, workers=1, progress=False, questions=1)
    jobs = []
    for row in map(json.loads, path.read_text().splitlines()):
        question = Question(str(folder / row["video"]), row["question"], tuple(row["options"]))
        jobs += [RolloutJob(question, row["answer"], row["id"], tree, seed=100 + tree) for tree in range(3)]
    return jobs


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> VideoMiner:
    config = MinerConfig(
        search="plain",
        frames=4,
        events=4,
        scan_frames=32,
        caption_frames=1,
        max_depth=2,
        temperature=2.0,
        caption_tokens=24,
        policy_tokens=48,
        cache_dir=str(tmp_path_factory.mktemp("cache")),
    )
    return VideoMiner.from_pretrained("videominer-world", config=config, device="cpu")


def test_the_shipped_models_roll_out_share_and_repeat(world, bundle):
    vlm = CountingVLM(bundle.stages.vlm)
    stages = dataclasses.replace(bundle.stages, vlm=vlm)
    first = roll_out(world, stages, bundle.config, REWARDS)
    usages = [rollout.selection.usage for rollout in first]
    assert vlm.asked == sum(u.vlm_calls + u.answer_calls for u in usages)
    assert usages[0].vlm_calls >= 4  # the first level at least
    assert all(u.vlm_calls_cached >= 4 for u in (*usages[1:3], *usages[4:]))  # the first level at least
    for rollout in first:
        for sample in rollout.decisions:
            assert sample.prompt_ids and 0 < len(sample.completion_ids) <= 48
    assert len({tuple(d.completion_ids for d in r.decisions) for r in first[:3]}) == 3  # samples do differ

    vlm.asked = 0
    second = roll_out(world, stages, bundle.config, REWARDS)
    assert vlm.asked == 0
    assert [r.decisions for r in second] == [r.decisions for r in first]
    assert roll_out(world[4:5], stages, bundle.config, REWARDS)[0].decisions == first[4].decisions
