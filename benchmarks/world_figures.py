"""Reproduces the paper's figures 3a, 3b and 5b on the world (docs/selectors.md), with ``videominer bench --figure``.

    python benchmarks/world_figures.py --out outputs/figures

Trains the policies that figures 3b and 5b compare, from the bundle's initial policy with ``examples/train_world.yaml``
(15 to 25 minutes on one core each), and evaluates them (17 minutes each). Existing results are reused, and several
processes may share ``--out``. Rows are saved to ``--rows``; ``docs/pictures.py`` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from world_selectors import bench, keep, parse_arguments, parser_of
from world_training import Run, bundled_start, render, train

from lmms_videominer.bench.comparison import Summary, differences, groups_of, scores_by_kind, summaries
from lmms_videominer.bench.files import read_json
from lmms_videominer.bench.report import number, percent
from lmms_videominer.show.markdown import markdown_table

ROWS = Path(__file__).parent / "results" / "figures"
TASK = "videominer_world_15min"
QUESTIONS = 100
COLUMNS = ("variant", "accuracy, % (95 %)", "evidence recall, %", "nodes", "VLM calls", "LLM calls", "s per question")
PUBLISHED = (
    "segmenter=histogram",
    "policy_tokens=160",
)  # training settings of the policies of figures 3b and 5b
POLICIES: dict[str, dict[str, Run | None]] = {  # label -> training run; None: untrained
    "clustering": {},
    "training": {"none": None, "rf": Run("rf", 1), "t-grpo": Run("t-grpo", 1)},
    "auxin": {f"{value:g}": Run("t-grpo", 1, value) for value in (0.75, 1.0, 1.5)},
}


def run(name: str, out: Path) -> None:
    """Train the policies that the figure ``name`` compares, and draw it."""
    policies = [f"{label}={_policy(training, out / 'policies')}" for label, training in POLICIES[name].items()]
    policy_arguments = (*PUBLISHED, "--policy", *policies) if policies else ()
    bench(
        "--figure",
        name,
        "--tasks",
        TASK,
        "--frames",
        "8",
        "--limit",
        str(QUESTIONS),
        "--model-args",
        "reader=pyav",
        *policy_arguments,
        "--out",
        str(out / name),
    )


def _policy(training: Run | None, folder: Path) -> Path:
    if training is None:
        return Path(bundled_start())
    render(folder)
    return train(training, folder, bundled_start())


def keep_figure(name: str, out: Path, rows: Path, machine: str) -> None:
    """Save the rows of the figure ``name``."""
    order: Sequence[str] = read_json(out / name / "order.json")
    keep(out / name / "results.parquet", rows / f"{name}.parquet", machine, order)


def tables(name: str, rows: Path) -> Iterator[str]:
    """Tables of the results of each variant of the figure ``name``, also by kind of question, and all differences."""
    for group in groups_of(pd.read_parquet(rows / f"{name}.parquet")):
        kinds = scores_by_kind(group)
        yield f"\n### {name}: {group.title}\n"
        yield markdown_table(
            (*COLUMNS, *next(iter(kinds.values())), "fallbacks"),
            [_row(s, name, kinds[s.variant]) for s in summaries(group)],
        )
        yield ""
        yield from (f"- {d.first} minus {d.second}: {percent(d.accuracy, '+')}" for d in differences(group))


def _row(s: Summary, name: str, kinds: Mapping[str, float]) -> tuple[str, ...]:
    values = (
        None if s.recall is None else 100 * s.recall,
        s.nodes,
        s.vlm_calls,
        s.llm_calls,
        s.seconds["cold"],
        *(100 * score for score in kinds.values()),
    )
    return s.variant.removeprefix(f"{name} "), percent(s.accuracy), *map(number, values), str(s.fallbacks)


def main() -> None:
    parser = parser_of(__doc__, "folder for policies and comparisons, with one subfolder per figure", ROWS)
    parser.add_argument("--figures", nargs="+", default=list(POLICIES), choices=list(POLICIES))
    arguments = parse_arguments(parser)
    for name in arguments.figures:
        if not arguments.tables:
            run(name, arguments.out.absolute())
        if arguments.out and (arguments.out / name / "results.parquet").is_file():
            keep_figure(name, arguments.out, arguments.rows, arguments.machine)
    for name in arguments.figures:
        if (arguments.rows / f"{name}.parquet").is_file():
            print("\n".join(tables(name, arguments.rows)))


if __name__ == "__main__":
    main()
