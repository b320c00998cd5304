"""Measures the effect of training: no training, RF (without R_tree) and T-GRPO, and T-GRPO at several lambda_auxin.

    python benchmarks/world_training.py --out outputs/training --seeds 1 2 3 --lambdas 0.5 0.75 1.5 2

Renders the world's videos, trains every run with ``--config`` from the bundle's initial policy, and evaluates each
policy on the questions of the lmms-eval tasks. Existing results are reused; an interrupted run resumes from its
checkpoint. Unknown arguments go to every training run: ``--advantages paper``. Writes ``report.md``, ``curves.png``,
``auxin.png`` and ``trees.svg`` (a tree before and after training).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from evaluate_policy import evaluate, lines_in, load, summary
from filelock import FileLock

from lmms_videominer.bench.plots import new_figure, save_figure
from lmms_videominer.bench.statistics import difference_interval
from lmms_videominer.config import MinerConfig
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models.bundle import BUNDLED, find_bundle
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.show.terminal import answer_text, tree_of
from lmms_videominer.world import render_world
from lmms_videominer.world.script import SPLITS
from lmms_videominer.world.tasks import ensure_task_world

CONFIG = Path(__file__).parent.parent / "examples" / "train_world.yaml"
SEGMENTER = "histogram"  # as published, in training and evaluation
NONE = "none"
COLOURS = {"rf": "#c33d32", "format": "#d99a1c", "t-grpo": "#22945a"}
LAST_ROLLOUTS = 4  # of 16
TRAIN = {"minutes": 5, "videos": 60, "seed": SPLITS["train"].start + 5151, "questions": 5}


@dataclass(frozen=True)
class Run:
    """One training run: its reward, seed, lambda_auxin and call_price (``None``: that of the training file)."""

    reward: str
    seed: int
    lambda_auxin: float = 1.0
    call_price: float | None = None

    @property
    def name(self) -> str:
        auxin = "" if self.lambda_auxin == 1.0 else f"-lambda{self.lambda_auxin:g}"
        price = "" if self.call_price is None else f"-price{self.call_price:g}"
        return f"{self.reward}{auxin}{price}-seed{self.seed}"


def plan(arguments: argparse.Namespace) -> list[Run]:
    """The comparison of rewards for every seed, then T-GRPO with the other lambdas for every seed."""
    runs = [Run(reward, seed) for seed in arguments.seeds for reward in arguments.rewards]
    others = [value for value in arguments.lambdas if value != 1.0]
    return runs + [Run("t-grpo", seed, value) for seed in arguments.seeds for value in others]


# --- running ------------------------------------------------------------------------------------------------


def bundled_start() -> str:
    """The folder of the initial policy for training."""
    bundle = find_bundle(BUNDLED)
    assert bundle is not None
    return bundle.start or bundle.policy


def render(out: Path) -> None:
    """Render the videos and questions for all training runs, once."""
    render_world(out / "train-world", TRAIN["minutes"], TRAIN["videos"], TRAIN["seed"], questions=TRAIN["questions"])


def train(run: Run, out: Path, start: str, config: Path = CONFIG, settings: Sequence[str] = ()) -> Path:
    """Train a policy, unless it is finished, and return its folder; waits while another process trains it."""
    folder = out / run.name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not (folder / "finished").exists():
            _train(run, folder, out, start, config, settings)
    return folder


def _train(run: Run, folder: Path, out: Path, start: str, config: Path, settings: Sequence[str]) -> None:
    _run(
        "lmms_videominer.training",
        config,
        "--questions",
        out / "train-world" / "qa.jsonl",
        "--model_name_or_path",
        start,
        "--output_dir",
        folder,
        "--cache_dir",
        out / "cache",
        "--seed",
        run.seed,
        "--reward",
        run.reward,
        "--lambda_auxin",
        run.lambda_auxin,
        *(() if run.call_price is None else ("--call_price", run.call_price)),
        *settings,
        "--segmenter",
        SEGMENTER,
    )
    (folder / "finished").touch()


def _run(module: str, *arguments: Any) -> None:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def lines_of(policy: str | Path, name: str, minutes: int, out: Path) -> Path:
    """The file of evaluated questions of one policy at one video length; evaluates the missing ones."""
    file, world = out / "results" / f"{name}-{minutes}min.jsonl", ensure_task_world(minutes)
    if not file.exists() or len(lines_in(file)) < len(lines_in(world / "qa.jsonl")):
        evaluate(_miner(policy, out), world, file)
    return file


def _miner(policy: str | Path, out: Path) -> VideoMiner:
    config = MinerConfig(cache_dir=str(out / "cache"), policy_tokens=160, segmenter=SEGMENTER)
    return load(str(policy), config, BUNDLED, 32)


# --- reporting ----------------------------------------------------------------------------------------------

COLUMNS = {
    "correct": ("accuracy %", 100),
    "recall": ("evidence recall %", 100),
    "nodes": ("nodes", 1),
    "vlm_calls": ("VLM calls", 1),
    "completion_tokens": ("completion tokens", 1),
    "accept": ("accept", 1),
    "continue": ("continue", 1),
    "delete": ("delete", 1),
}


def scores(files: Sequence[Path], name: str = "correct") -> np.ndarray:
    """float64 [questions]: the mean of each question over ``files`` (training seeds), ordered as in the first file."""
    tables = [{line["id"]: line[name] for line in lines_in(file)} for file in files]
    return np.array([[table[id] for id in tables[0]] for table in tables]).mean(0)


def report(groups: dict[str, list[str]], minutes: Sequence[int], out: Path) -> str:
    """Markdown: one table per video length, with a row per group of runs and a row per run, and the differences."""
    parts = []
    for length in minutes:
        files = {name: out / "results" / f"{name}-{length}min.jsonl" for names in groups.values() for name in names}
        rows = [_row(label, [files[name] for name in names]) for label, names in groups.items()]
        rows += [
            _row(name, [file])
            for names in groups.values()
            if len(names) > 1
            for name, file in ((name, files[name]) for name in names)
        ]
        heads = ["policy", "questions", *(head for head, _ in COLUMNS.values())]
        parts += [f"### {length} minutes\n", markdown_table(heads, rows), ""]
        parts += [_difference(*pair, groups, files) for pair in _pairs(groups)] + [""]
    return "\n".join(parts)


def _row(label: str, files: Sequence[Path]) -> list[str]:
    means = [summary(file) for file in files]
    values = [f"{factor * np.mean([mean[name] for mean in means]):.1f}" for name, (_, factor) in COLUMNS.items()]
    return [label, f"{means[0]['questions']:g}", *values]


def _pairs(groups: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    labels = [label for label in (NONE, "rf", "format", "t-grpo") if label in groups]
    return ((after, before) for i, before in enumerate(labels) for after in labels[i + 1 :])


def _difference(after: str, before: str, groups: dict[str, list[str]], files: dict[str, Path]) -> str:
    """The difference between means over training seeds, question by question, with questions resampled."""
    first, second = (scores([files[name] for name in groups[label]]) for label in (after, before))
    interval = difference_interval(first, second)
    assert interval.low is not None and interval.high is not None
    return (
        f"- {after} - {before}: {100 * interval.value:+.1f} points "
        f"[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
    )


def curves(runs: Sequence[Run], out: Path) -> None:
    """Plot R_tree, the total reward, completion length and decisions per tree over training, one line per run."""
    titles = {
        "tree/reward": "R_tree",
        "reward": "reward per decision",
        "completions/mean_length": "completion tokens",
        "tree/nodes": "decisions per tree",
    }
    figure, axes = new_figure(4, down=2)
    for run in runs:
        history = json.loads((out / run.name / "trainer_state.json").read_text())["log_history"]
        for axis, (name, title) in zip(axes, titles.items(), strict=True):
            points = [(entry["step"], entry[name]) for entry in history if name in entry]
            steps, values = zip(*points, strict=True)
            label = run.reward if run.seed == runs[0].seed else None
            axis.plot(steps, _moving_average(values), label=label, color=COLOURS[run.reward], alpha=0.8)
            axis.set(title=title, xlabel="step")
    axes[0].legend(fontsize="small", title="one line per training seed", title_fontsize="small")
    save_figure(figure, out / "curves.png")


def _moving_average(values: Sequence[float], width: int = 5) -> np.ndarray:
    """The moving average, with a narrower window at both ends."""
    ones = np.ones(min(width, len(values)))
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


AT_THE_END = {
    "action/accept": ("accept %", 100),
    "action/continue": ("continue %", 100),
    "action/delete": ("delete %", 100),
    "tree/reward": ("R_tree", 1),
    "tree/fallback": ("in a fallback %", 100),
}


def end_of_training(runs: Sequence[Run], out: Path) -> dict[str, float]:
    """Means of ``AT_THE_END`` over the last ``LAST_ROLLOUTS`` rollouts of all ``runs``; those that were logged."""
    entries = []
    for run in runs:
        history = json.loads((out / run.name / "trainer_state.json").read_text())["log_history"]
        entries += [entry for entry in history if "tree/reward" in entry][-LAST_ROLLOUTS:]
    return {
        name: float(np.mean([entry[name] for entry in entries]))
        for name in AT_THE_END
        if all(name in entry for entry in entries)
    }


def auxin(runs: Sequence[Run], minutes: Sequence[int], out: Path) -> str:
    """By lambda_auxin, means over training seeds: returns two tables and writes ``auxin.png``.

    The first has accuracy and cost by video length, the second what the policy did at the end of training.
    """
    by_lambda: dict[float, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.lambda_auxin, run.seed)):
        by_lambda.setdefault(run.lambda_auxin, []).append(run)
    rows = []
    figure, axes = new_figure(len(minutes))
    for axis, length in zip(axes, minutes, strict=True):
        for value, members in by_lambda.items():
            seeds = [summary(out / "results" / f"{run.name}-{length}min.jsonl") for run in members]
            axis.scatter(
                [seed["nodes"] for seed in seeds],
                [100 * seed["correct"] for seed in seeds],
                label=f"{value:g}",
                s=60,
                alpha=0.7,
            )
            means = [np.mean([seed[name] for seed in seeds]) for name in ("recall", "nodes", "vlm_calls")]
            rows.append(
                [
                    f"{length}",
                    f"{value:g}",
                    f"{seeds[0]['questions']:g}",
                    _each([100 * seed["correct"] for seed in seeds]),
                ]
                + [f"{factor * mean:.1f}" for factor, mean in zip((100, 1, 1), means, strict=True)]
            )
        axis.set(title=f"{length} minutes", xlabel="nodes explored per question", ylabel="accuracy %", ylim=(0, 100))
        axis.legend(title="lambda_auxin")
    save_figure(figure, out / "auxin.png")
    heads = ["minutes", "lambda_auxin", "questions", "accuracy %", "evidence recall %", "nodes", "VLM calls"]
    ends = []
    for value, members in by_lambda.items():
        means_of = end_of_training(members, out)
        cells = [
            f"{factor * means_of[name]:.{0 if factor > 1 else 2}f}" if name in means_of else "-"
            for name, (_, factor) in AT_THE_END.items()
        ]
        ends.append([f"{value:g}", f"{len(members)}", *cells])
    end_heads = ["lambda_auxin", "seeds", *(head for head, _ in AT_THE_END.values())]
    return (
        f"{markdown_table(heads, rows)}\n\nAt the end of training, over the last {LAST_ROLLOUTS} rollouts:\n\n"
        f"{markdown_table(end_heads, ends)}"
    )


def _each(values: Sequence[float]) -> str:
    """The mean, and in parentheses each value if there are several."""
    each = f" ({', '.join(f'{value:.1f}' for value in values)})" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{each}"


def before_and_after(start: str, trained: str, minutes: int, out: Path) -> None:
    """Write ``trees.svg``: both trees of a question that only the trained policy answers, with the smallest tree."""
    from rich.console import Console, Group
    from rich.table import Table

    before, after = (
        {line["id"]: line for line in lines_in(out / "results" / f"{name}-{minutes}min.jsonl")}
        for name in (NONE, trained)
    )
    gained = [line for id, line in after.items() if line["correct"] > before[id]["correct"]]
    world = ensure_task_world(minutes)
    rows = {row["id"]: row for row in lines_in(world / "qa.jsonl")}
    row = rows[min(gained, key=lambda line: line["nodes"])["id"]]
    grid = Table("before training", "after training", box=None, padding=(0, 4, 0, 0))
    columns = []
    for policy in (start, out / trained):
        selection = _miner(policy, out).mine(world / row["video"], row["question"], row["options"])
        columns.append(Group(tree_of(selection, 36), "", answer_text(selection, ord(row["answer"]) - ord("A"))))
    grid.add_row(*columns)
    console = Console(record=True, width=240, file=io.StringIO())
    console.print(grid)
    (out / "trees.svg").write_text(console.export_svg(title=f"{row['question']} ({row['video']})"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONFIG, help="training file of all runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--rewards",
        nargs="+",
        default=["rf", "t-grpo"],
        choices=list(COLOURS),
        help="rewards to compare; format is an additional ablation",
    )
    parser.add_argument(
        "--lambdas",
        type=float,
        nargs="*",
        default=[],
        help="more values of lambda_auxin for T-GRPO, with every seed",
    )
    parser.add_argument("--minutes", type=int, nargs="+", default=[15, 60])
    parser.add_argument(
        "--lambda-minutes", type=int, nargs="+", help="video lengths for --lambdas (default: as --minutes)"
    )
    parser.add_argument("--start", help="initial policy (default: the bundle's)")
    parser.add_argument("--only", nargs="*", help="names of runs to train and evaluate, without a report")
    arguments, settings = parser.parse_known_args()  # unknown arguments are passed to every training run
    out = arguments.out.absolute()
    render(out)
    start, lambda_minutes = arguments.start or bundled_start(), arguments.lambda_minutes or arguments.minutes
    runs = plan(arguments)
    selected = [run for run in runs if not arguments.only or run.name in arguments.only]
    for name, run in [(NONE, None), *((run.name, run) for run in selected)]:
        if arguments.only and name not in arguments.only:
            continue
        policy = train(run, out, start, arguments.config, settings) if run else start
        for minutes in lambda_minutes if run and run.lambda_auxin != 1.0 else arguments.minutes:
            print(name, minutes, json.dumps(summary(lines_of(policy, name, minutes, out))), flush=True)
    if arguments.only:
        return
    base = [run for run in runs if run.lambda_auxin == 1.0]
    groups = {NONE: [NONE]} | {
        reward: [run.name for run in base if run.reward == reward] for reward in arguments.rewards
    }
    text = report(groups, arguments.minutes, out)
    curves(base, out)
    if arguments.lambdas:
        of_t_grpo = [run for run in runs if run.reward == "t-grpo"]
        text += f"\n### lambda_auxin\n\n{auxin(of_t_grpo, lambda_minutes, out)}\n"
    (out / "report.md").write_text(text)
    before_and_after(start, Run("t-grpo", arguments.seeds[0]).name, arguments.minutes[0], out)
    print(text)


if __name__ == "__main__":
    main()
