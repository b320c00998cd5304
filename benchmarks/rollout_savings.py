"""Measures what growing a question's trees together saves, compared with one after another with separate caches.

    python benchmarks/rollout_savings.py --minutes 15 --questions 3 --trees 8

Both ways run the same code on the same jobs in one process, so that they grow the same trees. The models are loaded
and warmed up before the measurement. Each question is one rollout of its trees with an empty cache.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.store.cache import open_cache
from lmms_videominer.training.rewards import RewardConfig
from lmms_videominer.training.rollout import RolloutJob, TreeRollout, roll_out
from lmms_videominer.types import Question
from lmms_videominer.world import render_world

STAGES = ("open", "segment", "caption", "embed", "policy", "frames", "answer")


@dataclasses.dataclass
class Cost:
    """The cost of rollouts: calls and wall-clock seconds."""

    seconds: float = 0.0
    captions: int = 0
    answers: int = 0
    decisions: int = 0
    stages: dict[str, float] = dataclasses.field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def add(self, rollouts: Sequence[TreeRollout], seconds: float) -> None:
        self.seconds += seconds
        for usage in (rollout.selection.usage for rollout in rollouts):
            self.captions += usage.vlm_calls
            self.answers += usage.answer_calls
            self.decisions += usage.policy_calls
            for stage in STAGES:
                self.stages[stage] += usage.seconds.get(stage, 0.0)


def questions(folder: Path, minutes: float, count: int, seed: int) -> list[tuple[str, Question, str]]:
    """Id, question and letter of the correct option, for the first question on each of ``count`` videos."""
    path = render_world(folder, minutes, count, seed, questions=1)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        (row["id"], Question(str(folder / row["video"]), row["question"], tuple(row["options"])), row["answer"])
        for row in rows
    ]


def measure(jobs: Sequence[RolloutJob], stages: Stages, config: MinerConfig, cost: Cost) -> list[TreeRollout]:
    """Roll out ``jobs`` with an empty cache and add the cost to ``cost``."""
    fresh = dataclasses.replace(stages, cache=open_cache("off"))
    started = time.perf_counter()
    results = roll_out(jobs, fresh, config, RewardConfig())
    elapsed_s = time.perf_counter() - started
    rollouts = []
    for result in results:
        if isinstance(result, VideoMinerError):
            raise result
        rollouts.append(result)
    cost.add(rollouts, elapsed_s)
    return rollouts


def same_tree(one: TreeRollout, other: TreeRollout) -> bool:
    """Whether both have the same decisions on the same nodes."""
    return [(d.node_id, d.completion_ids) for d in one.decisions] == [
        (d.node_id, d.completion_ids) for d in other.decisions
    ]


def report(together: Cost, apart: Cost) -> str:
    """A Markdown table of both costs and their ratios."""
    costs = [
        ("caption calls", apart.captions, together.captions),
        ("answer calls", apart.answers, together.answers),
        ("decisions", apart.decisions, together.decisions),
        ("seconds", apart.seconds, together.seconds),
    ]
    costs += [(f"seconds: {stage}", apart.stages[stage], together.stages[stage]) for stage in STAGES]
    return markdown_table(
        ["", "one after another", "together", "ratio"],
        [
            [name, f"{before:.5g}", f"{after:.5g}", f"{before / after:.1f}" if after else ""]
            for name, before, after in costs
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--questions", type=int, default=3, help="number of questions, each on its own video")
    parser.add_argument("--trees", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--model", default="videominer-world", help="a bundle, or a video LLM")
    parser.add_argument("--policy", help="policy (default: the bundle's)")
    parser.add_argument("--device")
    parser.add_argument("--videos", type=Path, help="folder for the rendered videos (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="mining settings")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run(arguments, arguments.videos or Path(scratch))


def run(arguments: argparse.Namespace, folder: Path) -> None:
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    config = from_strings({"cache_dir": "off", "temperature": arguments.temperature, **settings})
    stages = VideoMiner.from_pretrained(
        arguments.model, policy=arguments.policy, config=config, device=arguments.device
    ).stages
    rows = questions(folder, arguments.minutes, arguments.questions, seed=1)
    jobs = [
        [RolloutJob(question, right, id, tree, seed=tree) for tree in range(arguments.trees)]
        for id, question, right in rows
    ]
    measure(jobs[0][:1], stages, config, Cost())  # warm-up
    together, apart, same = Cost(), Cost(), 0
    for number, group in enumerate(jobs, start=1):
        joint = measure(group, stages, config, together)
        single = [measure([job], stages, config, apart)[0] for job in group]
        same += sum(map(same_tree, joint, single))
        print(
            f"After {number} of {len(jobs)} questions with {arguments.trees} trees each, {same} trees are identical "
            f"token by token.\n\n{report(together, apart)}\n",
            flush=True,
        )
    if arguments.out:
        numbers = {
            "together": dataclasses.asdict(together),
            "apart": dataclasses.asdict(apart),
            "same_trees": same,
            "arguments": {name: str(value) for name, value in vars(arguments).items()},
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
