"""Measures what a price on captions teaches: accuracy against calls, by ``call_price``, beside the rival selectors.

    python benchmarks/prices.py --out outputs/prices

Trains the bundle's initial policy with T-GRPO, once for each price, with ``--config``, and evaluates each policy on the
questions of the world's tasks, with the published search and with the best-first one. Existing results are reused, and
an interrupted training resumes. Saves one JSON line a question to ``--rows``. Then (or only this, with ``--plot``)
prints a table and draws accuracy against calls (captions and decisions) at every length, with the rows of
``search_levers.py`` and the rivals' of ``world_selectors.py``. Unknown arguments go to every training run, as
``--policy_context budget``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from evaluate_policy import evaluate, lines_in, load, mean_cells
from world_selectors import ROWS as RIVALS
from world_training import CONFIG, Run, bundled_start, render, train

from lmms_videominer.bench.plots import new_figure, save_figure
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.world.tasks import ensure_task_world

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parent.parent / "docs" / "accuracy_against_calls.png"
OURS = {"videominer", "searching"}  # rows of world_selectors.py that search_levers.py has, too
SEARCHES = {"plain": "#22945a", "best-first": "#2a62b8"}
COLUMNS = {
    "correct": ("accuracy, %", 100, 1),
    "recall": ("recall, %", 100, 1),
    "vlm_calls": ("captions", 1, 1),
    "policy_calls": ("decisions", 1, 1),
    "accept": ("accept", 1, 1),
    "continue": ("continue", 1, 1),
    "delete": ("delete", 1, 1),
}


def rows_of(run: Run, search: str, minutes: int, rows: Path) -> Path:
    """The file of what the policy of ``run`` did with each question in a search."""
    return rows / f"{run.name}-{search}-{minutes}min.jsonl"


def measure(run: Run, arguments: argparse.Namespace, settings: Sequence[str]) -> None:
    """Train the policy of ``run`` and ask it the questions that are not in its files yet."""
    policy = train(run, arguments.out, bundled_start(), arguments.config, settings)
    for search in SEARCHES:
        options = ["policy_tokens=160", "reader=pyav", f"search={search}", *arguments.set]
        config = from_strings(dict(pair.split("=", 1) for pair in [*options, f"cache_dir={arguments.out / 'cache'}"]))
        miner = load(str(policy), config, BUNDLED, 32)
        for minutes in arguments.minutes:
            file = rows_of(run, search, minutes, arguments.rows)
            evaluate(miner, ensure_task_world(minutes), file, arguments.questions, dropped=("seconds",))


def table(runs: Sequence[Run], minutes: int, rows: Path) -> str:
    """Markdown: a row per search and price."""
    body = []
    for search in SEARCHES:
        for run in runs:
            found = lines_in(rows_of(run, search, minutes, rows))
            body.append([search, f"{run.call_price:g}", str(len(found)), *mean_cells(found, COLUMNS)])
    return markdown_table(["search", "call_price", "questions", *(head for head, _, _ in COLUMNS.values())], body)


def rivals(minutes: int) -> Iterator[tuple[str, float, float]]:
    """Name, calls a question and accuracy in % of each rival."""
    rows = pd.read_parquet(RIVALS / f"{minutes}min.parquet")
    rows = rows[~rows["variant"].isin(OURS)].drop_duplicates(["variant", "doc_id"])
    for name, group in rows.groupby("variant", sort=False):
        yield str(name), float((group["vlm_calls"] + group["llm_calls"]).mean()), 100 * float(group["correct"].mean())


def ours(file: Path) -> tuple[float, float]:
    """Calls a question and accuracy in %."""
    found = lines_in(file)
    calls = np.mean([line["vlm_calls"] + line["policy_calls"] for line in found])
    return float(calls), 100 * float(np.mean([line["correct"] for line in found]))


def draw(runs: Sequence[Run], lengths: Sequence[int], rows: Path, path: Path) -> None:
    """Plot accuracy against calls, one panel per length; a rival that calls no model stands at the left edge."""
    figure, axes = new_figure(len(lengths))
    for axis, minutes in zip(axes, lengths, strict=True):
        for search, colour in SEARCHES.items():
            points = {f"{run.call_price:g}": ours(rows_of(run, search, minutes, rows)) for run in runs}
            axis.plot(*zip(*points.values(), strict=True), "o-", color=colour, label=f"{search}, by call_price")
            for price, (calls, accuracy) in points.items():
                axis.annotate(price, (calls, accuracy), textcoords="offset points", xytext=(0, 6), fontsize=7)
        for lever, marker in (("best-first", "*"), ("plain", "s")):
            file = RESULTS / "search_levers" / f"{lever}-{minutes}min.jsonl"
            if file.exists():
                axis.plot(*ours(file), marker, color="#c33d32", markersize=10, label=f"{lever}, bundled policy")
        for name, calls, accuracy in rivals(minutes):
            axis.plot(max(calls, 1), accuracy, "x", color="#777777")
            axis.annotate(name, (max(calls, 1), accuracy), textcoords="offset points", xytext=(4, 2), fontsize=7)
        axis.set(
            title=f"{minutes} minutes",
            xlabel="captions and decisions per question (log; none: 1)",
            ylabel="accuracy %",
            ylim=(0, 103),
            xscale="log",
        )
        axis.legend(fontsize="small", loc="lower right")
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/prices"), help="folder for trainings and the cache")
    parser.add_argument("--rows", type=Path, default=RESULTS / "prices", help="folder for the rows")
    parser.add_argument("--config", type=Path, default=CONFIG, help="training file of all runs")
    parser.add_argument("--prices", type=float, nargs="+", default=[0.0, 0.25, 0.5, 1.0])
    parser.add_argument("--seed", type=int, default=1, help="seed of all trainings")
    parser.add_argument("--minutes", type=int, nargs="+", default=[15, 60])
    parser.add_argument("--questions", type=int, default=200, help="questions a length")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="further settings of the searches")
    parser.add_argument("--plot", action="store_true", help="only print the tables and draw the plot of saved rows")
    arguments, settings = parser.parse_known_args()
    arguments.out = arguments.out.absolute()
    runs = [Run("t-grpo", arguments.seed, call_price=price) for price in arguments.prices]
    if not arguments.plot:
        render(arguments.out)
        for run in runs:
            measure(run, arguments, settings)
    for minutes in arguments.minutes:
        print(f"\n{minutes} minutes\n\n{table(runs, minutes, arguments.rows)}", flush=True)
    draw(runs, arguments.minutes, arguments.rows, PICTURE)


if __name__ == "__main__":
    main()
