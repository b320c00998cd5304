"""Measures what each part of the best-first search brings, alone and together, against the search as published.

    python benchmarks/search_levers.py --out outputs/levers --minutes 1 5 15 60

Evaluates the bundled models on the questions of the world's tasks (``test`` seeds) with each lever, every lever with a
cache of its own, so that seconds are those of a first run; with ``--one-cache`` all levers share one, which is several
times as fast, and rows have no seconds. Finished questions are not asked again. Saves one JSON line a question to
``--rows`` and prints a table per length, with paired intervals against ``plain``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from evaluate_policy import evaluate, lines_in, load, mean_cells

from lmms_videominer.bench.statistics import difference_interval
from lmms_videominer.models.bundle import BUNDLED, find_bundle
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.world.tasks import ensure_task_world

ROWS = Path(__file__).parent / "results" / "search_levers"
PLAIN = "plain"
LEVERS = {
    PLAIN: ["search=plain"],
    "best-first": [],
    "look=none": ["look=none"],
    "judge=caption": ["videominer_judge=caption"],
    "parts_per_decision=2": ["parts_per_decision=2"],
    "parts_per_decision=4": ["parts_per_decision=4"],
    "policy_reasoning=False": ["policy_reasoning=False"],
    "index=1": ["index=1"],
    "policy_context=place": ["policy_context=place"],
    "policy_context=accepted": ["policy_context=accepted"],
    "policy_context=budget": ["policy_context=budget"],
    "policy_context=all": ["policy_context=place+accepted+budget"],
    "wave=1": ["wave=1"],
    "wave=4": ["wave=4"],
    "stop_margin=0.25": ["stop_margin=0.25"],
    "stop_margin=1": ["stop_margin=1"],
}
COLUMNS = {
    "correct": ("accuracy, %", 100, 1),
    "recall": ("recall, %", 100, 1),
    "vlm_calls": ("captions", 1, 1),
    "policy_calls": ("decisions", 1, 1),
    "tokens": ("tokens", 1, 0),
    "seconds": ("s", 1, 2),
    "fallback": ("fallback, %", 100, 1),
}


def measure(lever: str, minutes: int, arguments: argparse.Namespace) -> None:
    """Ask the questions that are not in the file of ``lever`` yet."""
    world = ensure_task_world(minutes)
    file = arguments.rows / f"{lever}-{minutes}min.jsonl"
    if file.exists() and len(lines_in(file)) >= min(arguments.questions, len(lines_in(world / "qa.jsonl"))):
        return
    cache = arguments.out / ("cache" if arguments.one_cache else f"cache-{lever}-{minutes}")
    settings = [*LEVERS[lever], *arguments.set, f"cache_dir={cache}", "policy_tokens=160", "reader=pyav"]
    config = from_strings(dict(pair.split("=", 1) for pair in settings))
    dropped = ("seconds",) if arguments.one_cache else ()
    evaluate(load(arguments.policy, config, BUNDLED, 32), world, file, arguments.questions, dropped=dropped)


def table(minutes: int, rows: Path) -> str:
    """Markdown: a row per lever, with its difference from ``plain`` question by question."""
    files = {lever: rows / f"{lever}-{minutes}min.jsonl" for lever in LEVERS}
    known = {lever: lines_in(file) for lever, file in files.items() if file.exists()}
    body = []
    for lever, found in known.items():
        margin = difference(found, known.get(PLAIN, [])) if lever != PLAIN else ""
        body.append([lever, str(len(found)), *mean_cells(found, COLUMNS), margin])
    heads = ["search", "questions", *(head for head, _, _ in COLUMNS.values()), "accuracy less plain's (95 %)"]
    return markdown_table(heads, body)


def difference(found: list[dict[str, Any]], plain: list[dict[str, Any]]) -> str:
    """Points between the two on the questions of both, with the interval of a paired bootstrap."""
    by_id = {line["id"]: line["correct"] for line in plain}
    pairs = [(line["correct"], by_id[line["id"]]) for line in found if line["id"] in by_id]
    if not pairs:
        return ""
    after, before = (np.array(column, float) for column in zip(*pairs, strict=True))
    interval = difference_interval(after, before)
    if interval.low is None or interval.high is None:
        return f"{100 * interval.value:+.1f}"
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/levers"), help="folder for caches")
    parser.add_argument("--rows", type=Path, default=ROWS, help="folder for the rows")
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 5, 15, 60])
    parser.add_argument("--levers", nargs="+", default=list(LEVERS), choices=list(LEVERS))
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--policy", help="policy to use (default: the bundle's)")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="further settings of every lever")
    parser.add_argument("--one-cache", action="store_true", help="all levers share a cache; rows have no seconds")
    parser.add_argument("--tables", action="store_true", help="only print the tables of saved rows")
    arguments = parser.parse_args()
    bundle = find_bundle(BUNDLED)
    assert bundle is not None
    arguments.policy = arguments.policy or str(bundle.policy)
    for minutes in arguments.minutes:
        for lever in arguments.levers if not arguments.tables else ():
            measure(lever, minutes, arguments)
        print(f"\n{minutes} minutes\n\n{table(minutes, arguments.rows)}", flush=True)


if __name__ == "__main__":
    main()
