"""The rewards of saved trees are beside them, and their page shows them."""

from __future__ import annotations

import pytest
from support.mined import mined_selection

from lmms_videominer.training.groups import Row
from lmms_videominer.training.metrics import save_trees
from lmms_videominer.training.reward_file import FILE, save_rewards, shown_trees
from lmms_videominer.training.rewards import DecisionRewards
from lmms_videominer.training.rollout import DecisionSample, TreeRollout


@pytest.fixture
def rollouts() -> list[TreeRollout]:
    """Two trees of one question, the second right."""
    selection = mined_selection()
    decided = [node for node in selection.nodes if node.decision]

    def sample(node, tree):
        rewards = DecisionRewards(1.0, 0.25, 0.9, float(tree), 1.0 + 1.15 * tree)
        return DecisionSample(node.id, node.depth, (1,), (2, 3), node.decision.action, node.decision.reading, rewards)

    return [
        TreeRollout("q7", tree, selection, bool(tree), float(tree), tuple(sample(node, tree) for node in decided))
        for tree in range(2)
    ]


def test_saved_trees_are_shown_with_their_rewards_and_advantages(rollouts, tmp_path):
    folder = tmp_path / "step-000048"
    rows = [
        Row(rollout.question_id, rollout.tree, sample.node_id, (1,), (2,), advantage=rollout.tree - 0.5)
        for rollout in rollouts
        for sample in rollout.decisions
    ]
    save_rewards(zip(rollouts, save_trees(rollouts, folder)), rows, folder)
    first, second = shown_trees(tmp_path)
    assert (first.name, first.group, first.correct) == ("tree 0", "step-000048 · q7", False)
    assert second.correct and second.rewards["0.1"].advantage == 0.5
    assert second.rewards["0.1"].total == pytest.approx(2.15) and "0" not in second.rewards


def test_trees_of_a_group_that_was_left_out_have_no_rewards(rollouts, tmp_path):
    save_rewards(zip(rollouts, save_trees(rollouts, tmp_path)), [], tmp_path)
    assert [tree.rewards for tree in shown_trees(tmp_path)] == [{}, {}]


def test_a_damaged_line_costs_its_reward_alone(rollouts, tmp_path, caplog):
    save_trees(rollouts, tmp_path)
    (tmp_path / FILE).write_text('{"file": "q7.tree-0.wrong.json", "node": "0.1"}\n{half')
    assert len(shown_trees(tmp_path)) == 2 and "2 lines are no rewards" in caplog.text
