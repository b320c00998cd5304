"""The tables of docs/selectors.md: every frame selector on the world's videos, by ``videominer bench``.

    python benchmarks/world_selectors.py --out outputs/selectors --minutes 15 60

Runs the selectors, with the settings that were tuned on ``dev`` (docs/log.md), a folder a length; what has run already
is not run again. The rows are kept in ``--rows``, a file a length. Then, and with ``--tables`` at once, puts the
tables of all kept rows into ``--docs`` and draws the plots beside the rows. Rows of several machines may stand in one
table, which then says where and when the seconds of each were taken.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from lmms_videominer.bench.comparison import Group, Summary, differences, groups_of, obstacle, summaries
from lmms_videominer.bench.plots import draw_plots
from lmms_videominer.bench.report import number, percent
from lmms_videominer.bench.statistics import Interval
from lmms_videominer.show.markdown import markdown_table

ROWS = Path(__file__).parent / "results" / "world_selectors"
DOCS = Path(__file__).parent.parent / "docs" / "selectors.md"
PLAIN = ("none", "uniform", "oracle")  # these keep nothing: with a warm cache they cost what they cost with a cold one
SEARCHING = (
    "topk",
    "aks",
    "bolt",
    "focus=focus:focus_clip_s=8,focus_share=0.5",
    "qframe=qframe:qframe_candidates=1024,qframe_tau=0.1",
    "videotree=videotree:features=scorer,captioning=question,videotree_first=16,videotree_most=64",
    "videoagent=videoagent:features=captions,captioning=question,videoagent_frames=16,videoagent_rounds=5",
    "llovi",
    "videominer",
)
OURS = "videominer"
ALSO = {
    1: ("searching=videominer:grain_s=0",),  # where VideoMiner takes uniform frames: what a search would give
    60: ("clips720=llovi:max_vlm_calls=720",),  # clips of 5 s, as LLoVi has them in an hour, at 3.6 times the captions
}
ORDER = [spec.partition("=")[0] for spec in ("none", "uniform", *SEARCHING, *sum(ALSO.values(), ()), "oracle")]
SAME = ["cell", "doc_id", "cell_s"]  # of a row: what is kept already
COMMON = ("judge=policy", "reader=pyav")
COLUMNS = (
    "frames from",
    "accuracy, % (95 %)",
    "evidence recall, %",
    "accuracy where seen, %",
    "VLM calls",
    "LLM calls",
    "frames scored",
    "s cold",
    "s warm",
    f"{OURS} minus it (95 %)",
)


def run(minutes: int, out: Path) -> None:
    """Compare all selectors at one length."""
    folder = out / f"{minutes}min"
    for selectors, cache in ((PLAIN, "--cold"), (SEARCHING + ALSO.get(minutes, ()), "--warm")):
        bench(
            "--tasks",
            f"videominer_world_{minutes}min",
            "--selectors",
            *selectors,
            "--frames",
            "8",
            "--model-args",
            *COMMON,
            cache,
            "--out",
            str(folder),
        )


def bench(*arguments: str) -> None:
    """Run ``videominer bench``, with nothing but what is on this machine."""
    command = [sys.executable, "-m", "lmms_videominer", "bench", *arguments]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def keep(source: Path, target: Path, machine: str = "", order: Sequence[str] = ORDER) -> None:
    """The rows of a comparison, variants in ``order`` and videos by their names alone.

    Earlier rows stay where ``source`` has none of their variant and cache, and the same settings: ``measured`` tells
    days and machines. What is kept already, the same seconds of the same cell, keeps its own.
    """
    measured = f"{date.today():%Y-%m-%d}{machine and f', {machine}'}"
    table = pd.read_parquet(source)
    stray = sorted(set(table["variant"]) - set(order))  # of a cell that another has taken the label of
    if stray:
        print(f"{source}: not kept: {', '.join(stray)}")
        table = table[table["variant"].isin(order)]
    table = table.assign(video=table["video"].map(os.path.basename))
    if target.is_file():
        before = pd.read_parquet(target)
        table = table.merge(before[[*SAME, "measured"]], "left", on=SAME)
        was, now = (
            set(map(tuple, part[part["cache"] == "cold"][["variant", "cell"]].to_numpy().tolist()))
            for part in (before, table)
        )
        other = {name for name, _ in now - was}  # with other settings: a warm run of the earlier ones is not theirs
        runs = {*zip(table["variant"], table["cache"])}
        stays = [
            name not in other and (name, cache) not in runs for name, cache in zip(before["variant"], before["cache"])
        ]
        table = pd.concat([before[stays], table])
    table = table.assign(measured=table["measured"].fillna(measured) if "measured" in table else measured)
    target.parent.mkdir(parents=True, exist_ok=True)
    places = table.assign(_place=table["variant"].map(order.index)).sort_values(["_place", "cache", "doc_id"])
    places.drop(columns="_place").to_parquet(target, index=False)


def read(rows: Path) -> list[Group]:
    """The kept rows, a group a length, the shortest first."""
    tables = [pd.read_parquet(path) for path in sorted(rows.glob("*min.parquet"))]
    if not tables:
        raise SystemExit(f"{rows} holds no rows; run with --out DIR --minutes N first")
    groups = list(groups_of(pd.concat(sorted(tables, key=lambda table: table["minutes"].median()))))
    for group in groups:
        if why := obstacle(group):
            raise SystemExit(f"{group.title}: {why}")
    return groups


def tables(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    """Accuracy at every length, then a table a length, each with how its heading in the docs begins."""
    found = {(group.task, s.variant): s for group in groups for s in summaries(group)}
    labels = sorted({label for _, label in found}, key=ORDER.index)
    yield (
        "### All lengths",
        markdown_table(
            ("frames from", *(_length(group) for group in groups)),
            [(_named(label), *(_accuracy(found.get((group.task, label))) for group in groups)) for label in labels],
        ),
    )
    for group in groups:
        less = {
            d.first if d.second == OURS else d.second: _towards(d.second, d.accuracy)
            for d in differences(group)
            if OURS in (d.first, d.second)
        }
        days = group.table.groupby("variant")["measured"].unique()
        head = (*COLUMNS, *["seconds of"] * (group.table["measured"].nunique() > 1))
        rows = [(*_row(s, less.get(s.variant)), "; ".join(days[s.variant]))[: len(head)] for s in summaries(group)]
        yield f"### {_length(group)}, ", markdown_table(head, rows)


def put_into(document: Path, made: Iterable[tuple[str, str]]) -> None:
    """Put each table in the place of the first one below its heading; what is said around it stays."""
    text = document.read_text(encoding="utf-8")
    for heading, table in made:
        before, found, behind = text.partition(f"\n{heading}")
        old = re.search(r"(?m)^(\|.*\n)+", behind)
        if not found or not old:
            raise SystemExit(f"{document} has no table below {heading!r}")
        text = before + found + behind[: old.start()] + table.strip() + "\n" + behind[old.end() :]
    document.write_text(text, encoding="utf-8")


def _length(group: Group) -> str:
    minutes = group.table["minutes"].median()
    return f"{minutes:.0f} minute{'s' if minutes >= 1.5 else ''}"


def _towards(second: str, interval: Interval) -> Interval:
    """A difference as that of ours minus the other."""
    if second != OURS or interval.low is None or interval.high is None:
        return interval
    return Interval(0 - interval.value, 0 - interval.high, 0 - interval.low)


def _row(s: Summary, less: Interval | None) -> tuple[str, ...]:
    shares = (number(None if share is None else 100 * share) for share in (s.recall, s.read))
    means = (number(mean or None) for mean in (s.vlm_calls, s.llm_calls, s.scored))
    seconds = (number(s.seconds[cache], 2) for cache in ("cold", "warm"))
    return _named(s.variant), percent(s.accuracy), *shares, *means, *seconds, percent(less, "+") if less else ""


def _named(label: str) -> str:
    return f"**{label}**" if label == OURS else label


def _accuracy(summary: Summary | None) -> str:
    return number(None if summary is None else 100 * summary.accuracy.value)


def parser_of(description: str | None, out: str, rows: Path) -> argparse.ArgumentParser:
    """The options of a benchmark whose rows are kept; ``out`` says what ``--out`` gets."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help=out)
    parser.add_argument("--rows", type=Path, default=rows, help="folder of the kept rows (default: %(default)s)")
    parser.add_argument("--machine", default="", help="told with the rows' day, as what took the seconds")
    parser.add_argument("--tables", action="store_true", help="run nothing; keep what --out has, if it is named")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options given, of a parser of ``parser_of``; a usage error where they ask for nothing."""
    arguments = parser.parse_args()
    if not (arguments.tables or arguments.out):
        parser.error("name --out, or --tables")
    return arguments


def main() -> None:
    parser = parser_of(__doc__, "gets the comparisons, a folder a length", ROWS)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 5, 15, 60], choices=[1, 5, 15, 60])
    parser.add_argument("--docs", type=Path, default=DOCS, help="gets the tables (default: %(default)s)")
    arguments = parsed(parser)
    for minutes in arguments.minutes if arguments.out else ():
        if not arguments.tables:
            run(minutes, arguments.out)
        found = arguments.out / f"{minutes}min" / "results.parquet"
        if found.is_file():
            keep(found, arguments.rows / f"{minutes}min.parquet", arguments.machine)
    groups = read(arguments.rows)
    put_into(arguments.docs, tables(groups))
    for path in draw_plots(groups, arguments.rows / "plots"):
        print(f"drawn: {path}")


if __name__ == "__main__":
    main()
