"""What processes exchange about trees, and the rows that come of it, by hand."""

from __future__ import annotations

import math

import pytest

from lmms_videominer.errors import ConfigError, TrainingError
from lmms_videominer.training.groups import Group, Row, TreeRecord, grouped, record, rows
from lmms_videominer.training.metrics import ending_metrics, rollout_metrics, save_trees, undecided
from lmms_videominer.training.rewards import DecisionRewards, RewardConfig
from lmms_videominer.training.rollout import DecisionSample, RolloutJob, TreeRollout
from lmms_videominer.types import Action, Node, Question, Reading, Selection, Usage, VideoInfo

PAPER = RewardConfig()
VIDEO = VideoInfo("a.mp4", 10.0, 100, 10.0, 32, 32, "pyav")
JOB = RolloutJob(Question("a.mp4", "What?"), "A", "q", 3, 7)


def sample(
    total: float, node: str = "0.0", tokens: int = 2, action: Action = Action.ACCEPT, reading: Reading = Reading.STRICT
) -> DecisionSample:
    parts = DecisionRewards(total / 2, total / 4, total / 8, 1.0, total)
    return DecisionSample(node, 1, (1, 2), tuple(range(3, 3 + tokens)), action, reading, parts)


def tree(name: str, number: int, *totals: float, **others) -> TreeRecord:
    return TreeRecord(name, number, tuple(sample(total, f"0.{i}") for i, total in enumerate(totals)), **others)


def rollout(*decisions: DecisionSample, nodes: tuple[Node, ...] = (), usage: Usage = Usage(), reward: float = 1.0):  # noqa: B008
    return TreeRollout(
        "q", 3, Selection(JOB.question, VIDEO, (), "videominer", nodes, usage), reward == 1, reward, decisions
    )


def test_a_record_has_what_the_metrics_need():
    nodes = (Node("0", 0, ()), Node("0.0", 1, ()), Node("0.1", 1, ()), Node("0.1.0", 2, ()))
    usage = Usage(vlm_calls=5, vlm_calls_cached=2)
    made = record(JOB, rollout(sample(1.0), nodes=nodes, usage=usage, reward=0.5), {})
    assert made == TreeRecord("q", 3, (sample(1.0),), 0.5, 3, 2, 5, 2)


def test_a_record_of_a_tree_without_nodes_counts_none():
    made = record(JOB, rollout(), {})
    assert (made.nodes, made.depth, made.decisions, made.logprobs, made.failure) == (0, 0, (), (), "")


def test_a_record_keeps_the_samplers_log_probabilities_of_its_decisions_in_order():
    short, long = sample(1.0, tokens=1), sample(1.0, tokens=2)
    logprobs = {((1, 2), (3, 4)): [-0.5, -1.0], ((1, 2), (3,)): [-2.0]}
    assert record(JOB, rollout(long, short), logprobs).logprobs == ((-0.5, -1.0), (-2.0,))


def test_a_record_of_an_error_says_why():
    assert record(JOB, ConfigError("no such film"), {}) == TreeRecord("q", 3, failure="no such film")


def test_groups_come_in_the_order_of_their_first_tree_with_their_trees_by_number():
    groups = grouped([tree("b", 1, 1.0), tree("a", 0, 2.0), tree("b", 0, 3.0)])
    assert [group.question_id for group in groups] == ["b", "a"]
    assert [[one.tree for one in group.trees] for group in groups] == [[0, 1], [0]]
    assert [group.failure for group in groups] == ["", ""]
    assert groups[0].rewards == [[3.0], [1.0]]


def test_one_failed_tree_fails_its_group_alone():
    groups = grouped([tree("a", 0, 1.0), tree("b", 0, 1.0), tree("a", 1, failure="cut off")])
    assert [group.failure for group in groups] == ["cut off", ""]
    assert {row.question_id for row in rows(groups, PAPER)} == {"b"}


def test_rows_are_the_decisions_with_their_advantages_over_all_trees_of_the_group():
    # rewards 1, 2 and 3: mean 2, sample standard deviation 1
    first = tree("a", 0, 1.0, 2.0, logprobs=((-0.5, -0.6), (-0.7, -0.8)))
    made = rows([Group("a", (first, tree("a", 1, 3.0)))], PAPER)
    assert made == [
        Row("a", 0, "0.0", (1, 2), (3, 4), -1 / 1.0001, (-0.5, -0.6)),
        Row("a", 0, "0.1", (1, 2), (3, 4), 0.0, (-0.7, -0.8)),
        Row("a", 1, "0.0", (1, 2), (3, 4), 1 / 1.0001, ()),
    ]
    assert str(made[2]) == "question a, tree 1, node 0.0"


def test_rows_of_a_group_do_not_depend_on_other_groups_and_follow_a_failed_one():
    alone = rows([Group("b", (tree("b", 0, 1.0, 3.0),))], PAPER)
    failed = Group("a", (tree("a", 0, 9.0),), "cut off")
    assert rows([failed, Group("b", (tree("b", 0, 1.0, 3.0),))], PAPER) == alone


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_reward_that_is_not_finite_names_its_decision_and_its_parts(value):
    with pytest.raises(TrainingError, match=rf"^question a, tree 2, node 0\.1: the reward is {value}: .*'total'"):
        rows([Group("a", (tree("a", 1, 1.0), tree("a", 2, 1.0, value)))], PAPER)


def test_rows_need_log_probabilities_for_every_decision_or_none():
    with pytest.raises(ValueError, match="shorter"):
        rows([Group("a", (tree("a", 0, 1.0, 2.0, logprobs=((-0.5, -0.6),)),))], PAPER)


def test_metrics_by_hand():
    decided = Group(
        "a",
        (
            TreeRecord(
                "a",
                0,
                (sample(1.0, tokens=1), sample(3.0, tokens=4, action=Action.DELETE)),
                1.0,
                4,
                2,
                6,
                1,
                correct=True,
            ),
            TreeRecord("a", 1, (sample(2.0, tokens=1, reading=Reading.LENIENT),), 0.0, 2, 1, 0, 5, in_fallback=True),
        ),
    )
    equal = Group("b", (TreeRecord("b", 0, (sample(2.0, tokens=2),), 0.0, 1, 1, 2, 0),))
    empty = Group("c", (TreeRecord("c", 0, (), 0.0, 1, 0, 4, 2, correct=True, in_fallback=True),))
    failed = Group("d", (tree("d", 0, 99.0),), "cut off")
    groups = [decided, equal, empty, failed]
    assert rollout_metrics(groups, rows(groups, PAPER)) == pytest.approx(
        {
            "groups/failed": 1.0,
            "decisions": 4.0,
            "replies": 3.0,  # two are of the same prompt and token
            "groups/no_decision": 1.0,
            "groups/no_signal": 2 / 3,  # of three groups one has rewards that differ
            "groups/all_right": 1 / 3,
            "groups/all_wrong": 1 / 3,
            "advantage/accept": -1 / 1.0001 / 3,  # of -1, 0 and 0
            "advantage/delete": 1 / 1.0001,
            "tree/reward": 0.25,
            "tree/correct": 0.5,
            "tree/fallback": 0.5,
            "tree/nodes": 2.0,
            "tree/depth": 1.0,
            "tree/vlm_calls": 3.0,
            "tree/vlm_calls_cached": 2.0,
            "reward": 2.0,  # of 1, 3, 2, 2
            "reward_std": math.sqrt(0.5),
            "reward/format": 1.0,
            "reward/length": 0.5,
            "reward/action": 0.25,
            "action/accept": 0.75,
            "action/continue": 0.0,
            "action/delete": 0.25,
            "reading/strict": 0.75,
            "reading/lenient": 0.25,
            "reading/default": 0.0,
            "completions/mean_length": 2.0,
            "completions/min_length": 1.0,
            "completions/max_length": 4.0,
        }
    )


def test_ends_of_completions_by_hand():
    made = ending_metrics([(5, 9), (5, 6, 7, 8), (9,), (5, 5, 0)], ends={9, 0})
    assert made == {
        "completions/clipped_ratio": 0.25,
        "completions/mean_terminated_length": 2.0,
        "completions/min_terminated_length": 1.0,
        "completions/max_terminated_length": 3.0,
    }
    cut = ending_metrics([(5,), (5, 6)], ends={9})
    assert cut["completions/clipped_ratio"] == 1.0 and cut["completions/mean_terminated_length"] == 0.0
    assert ending_metrics([], ends={9}) == {}


def test_metrics_without_a_good_group_or_a_decision_leave_theirs_out():
    assert rollout_metrics([]) == {"groups/failed": 0.0, "decisions": 0.0}
    assert rollout_metrics([Group("a", (), "cut off")]) == {"groups/failed": 1.0, "decisions": 0.0}
    silent = rollout_metrics([Group("a", (tree("a", 0),))])
    assert silent["groups/no_signal"] == silent["groups/no_decision"] == 1.0 and "reward" not in silent


def test_undecided_are_the_questions_none_of_whose_trees_decides_without_the_failed():
    groups = [
        Group("some", (tree("some", 0), tree("some", 1, 1.0))),
        Group("none", (tree("none", 0), tree("none", 1))),
        Group("failed", (tree("failed", 0),), "cut off"),
    ]
    assert undecided(groups) == ["none"]


def test_trees_are_saved_under_the_name_of_their_question_and_verdict(tmp_path):
    right = TreeRollout("film-1", 0, rollout().selection, True, 1.0, ())
    wrong = TreeRollout("film-1", 1, rollout().selection, False, 1.0, ())
    paths = save_trees([right, wrong], tmp_path / "new" / "trees")
    assert [path.name for path in paths] == ["film-1.tree-0.right.json", "film-1.tree-1.wrong.json"]
    assert all(path.parent == tmp_path / "new" / "trees" and path.stat().st_size for path in paths)
    assert save_trees([right], tmp_path / "new" / "trees") == paths[:1]  # again, over what is there


def test_trees_of_questions_that_differ_in_case_are_two_files_where_the_file_system_folds_it(tmp_path):
    folder = tmp_path / "trees"
    folder.mkdir()
    (tmp_path / "TREES").symlink_to(folder)  # as a file system that folds case answers
    trees = [TreeRollout(id, 0, rollout().selection, True, 1.0, ()) for id in ("film", "Film")]
    assert len({path.name.lower() for path in save_trees(trees, folder)}) == 2
