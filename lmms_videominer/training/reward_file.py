"""The rewards and advantages of the trees that training saves, as lines of JSON beside them: a line a decision.

A tree itself holds what mining found; what it earned depends on its group and on the settings of training.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.errors import SchemaError
from lmms_videominer.show.view.found import trees_below
from lmms_videominer.show.view.shown import NodeReward, Shown
from lmms_videominer.store.atomic import written
from lmms_videominer.store.lines import line_of, read_lines
from lmms_videominer.store.records import read_record

if TYPE_CHECKING:
    from lmms_videominer.training.groups import Row
    from lmms_videominer.training.rollout import TreeRollout

FILE = "rewards.jsonl"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RewardLine:
    """One decision: its tree's file in the folder, its node, and what it earned."""

    file: str
    node: str
    reward: NodeReward


def save_rewards(saved: Iterable[tuple[TreeRollout, Path]], rows: Sequence[Row], folder: Path) -> Path:
    """Write the rewards of ``saved`` trees, each with its file, to ``folder``.

    Args:
        rows: The decisions of the rollout, with their advantages; a tree whose group was left out has none.
    """
    advantages = {(row.question_id, row.tree, row.node_id): row.advantage for row in rows}
    lines = []
    for rollout, path in saved:
        for sample in rollout.decisions:
            advantage = advantages.get((rollout.question_id, rollout.tree, sample.node_id))
            if advantage is not None:
                reward = NodeReward(**asdict(sample.rewards), advantage=advantage)
                lines.append(line_of(asdict(RewardLine(path.name, sample.node_id, reward))))
    with written(folder / FILE) as part:
        part.write_bytes(b"".join(lines))
    return folder / FILE


def shown_trees(folder: Path) -> list[Shown]:
    """The trees below ``folder``, with their rewards where these are known; lines that are none are logged.

    Raises:
        ConfigError: There is no tree.
    """
    rewards: dict[Path, dict[str, NodeReward]] = {}
    for file in sorted(folder.rglob(FILE)):
        values, damaged = read_lines(file)
        for value in values:
            try:
                line = read_record(RewardLine, value, "line")
            except SchemaError:
                damaged += 1
                continue
            rewards.setdefault(file.parent / line.file, {})[line.node] = line.reward
        if damaged:
            logger.warning("%s: %d lines are no rewards and are left out", file, damaged)
    return [replace(tree, rewards=rewards.get(tree.file or folder, {})) for tree in trees_below(folder)]
