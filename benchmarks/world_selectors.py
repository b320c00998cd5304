"""Creates the tables of docs/selectors.md: every frame selector on the world's videos, with ``videominer bench``.

    python benchmarks/world_selectors.py --out outputs/selectors --minutes 15 60

Runs the selectors with the settings tuned on ``dev`` (docs/log.md), in one folder per video length; finished cells are
not run again. Saves the rows to ``--rows``, one file per length. Then (or only this, with ``--tables``) writes the
tables of all saved rows to ``--docs`` and draws the plots next to the rows. One table may have rows from several
machines; it then states where and when the seconds of each were measured.
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
PLAIN = ("none", "uniform", "oracle")  # these cache nothing: a warm run costs the same as a cold one
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
    1: ("searching=videominer:grain_s=0",),  # with a search where VideoMiner takes uniform frames by default
    60: ("clips720=llovi:max_vlm_calls=720",),  # clips of 5 s, as in LLoVi for an hour, with 3.6 times the captions
}
ORDER = [spec.partition("=")[0] for spec in ("none", "uniform", *SEARCHING, *sum(ALSO.values(), ()), "oracle")]
SAME = ["cell", "doc_id", "cell_s"]  # columns that identify a row that is already saved
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
    """Run ``videominer bench`` offline."""
    command = [sys.executable, "-m", "lmms_videominer", "bench", *arguments]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def keep(source: Path, target: Path, machine: str = "", order: Sequence[str] = ORDER) -> None:
    """Save the rows of a comparison to ``target``, with variants in ``order`` and videos by file name only.

    Earlier rows in ``target`` remain if ``source`` has no rows of their variant and cache, and no cold run of their
    variant with other settings. The column ``measured`` has the day and the machine; rows that are already saved
    (the same seconds of the same cell) keep theirs.
    """
    measured = f"{date.today():%Y-%m-%d}{machine and f', {machine}'}"
    table = pd.read_parquet(source)
    stray = sorted(set(table["variant"]) - set(order))  # of a cell whose label another cell now has
    if stray:
        print(f"{source}: not saved: {', '.join(stray)}")
        table = table[table["variant"].isin(order)]
    table = table.assign(video=table["video"].map(os.path.basename))
    if target.is_file():
        before = pd.read_parquet(target)
        table = table.merge(before[[*SAME, "measured"]], "left", on=SAME)
        old_cells, new_cells = (
            set(map(tuple, part[part["cache"] == "cold"][["variant", "cell"]].to_numpy().tolist()))
            for part in (before, table)
        )
        changed = {name for name, _ in new_cells - old_cells}  # variants with other settings: drop all their old rows
        runs = {*zip(table["variant"], table["cache"])}
        remaining = [
            name not in changed and (name, cache) not in runs for name, cache in zip(before["variant"], before["cache"])
        ]
        table = pd.concat([before[remaining], table])
    table = table.assign(measured=table["measured"].fillna(measured) if "measured" in table else measured)
    target.parent.mkdir(parents=True, exist_ok=True)
    places = table.assign(_place=table["variant"].map(order.index)).sort_values(["_place", "cache", "doc_id"])
    places.drop(columns="_place").to_parquet(target, index=False)


def read(rows: Path) -> list[Group]:
    """The saved rows, one group per video length, the shortest first."""
    tables = [pd.read_parquet(path) for path in sorted(rows.glob("*min.parquet"))]
    if not tables:
        raise SystemExit(f"{rows} has no rows; run with --out DIR --minutes N first")
    groups = list(groups_of(pd.concat(sorted(tables, key=lambda table: table["minutes"].median()))))
    for group in groups:
        if reason := obstacle(group):
            raise SystemExit(f"{group.title}: {reason}")
    return groups


def tables(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    """The table of accuracy at every length, then one per length, each with the start of its heading in the docs."""
    summary_of = {(group.task, s.variant): s for group in groups for s in summaries(group)}
    labels = sorted({label for _, label in summary_of}, key=ORDER.index)
    yield (
        "### All lengths",
        markdown_table(
            ("frames from", *(_length(group) for group in groups)),
            [(_bold(label), *(_accuracy(summary_of.get((group.task, label))) for group in groups)) for label in labels],
        ),
    )
    for group in groups:
        margins = {
            d.first if d.second == OURS else d.second: _ours_minus_other(d.second, d.accuracy)
            for d in differences(group)
            if OURS in (d.first, d.second)
        }
        days = group.table.groupby("variant")["measured"].unique()
        head = (*COLUMNS, *["seconds of"] * (group.table["measured"].nunique() > 1))
        rows = [(*_row(s, margins.get(s.variant)), "; ".join(days[s.variant]))[: len(head)] for s in summaries(group)]
        yield f"### {_length(group)}, ", markdown_table(head, rows)


def put_into(document: Path, new_tables: Iterable[tuple[str, str]]) -> None:
    """Replace the first table below each heading; the text around it stays."""
    text = document.read_text(encoding="utf-8")
    for heading, table in new_tables:
        before, match, after = text.partition(f"\n{heading}")
        old = re.search(r"(?m)^(\|.*\n)+", after)
        if not match or not old:
            raise SystemExit(f"{document} has no table below {heading!r}")
        text = before + match + after[: old.start()] + table.strip() + "\n" + after[old.end() :]
    document.write_text(text, encoding="utf-8")


def _length(group: Group) -> str:
    minutes = group.table["minutes"].median()
    return f"{minutes:.0f} minute{'s' if minutes >= 1.5 else ''}"


def _ours_minus_other(second: str, interval: Interval) -> Interval:
    """A difference with its sign as in ours minus the other."""
    if second != OURS or interval.low is None or interval.high is None:
        return interval
    return Interval(0 - interval.value, 0 - interval.high, 0 - interval.low)


def _row(s: Summary, margin: Interval | None) -> tuple[str, ...]:
    shares = (number(None if share is None else 100 * share) for share in (s.recall, s.read))
    means = (number(mean or None) for mean in (s.vlm_calls, s.llm_calls, s.scored))
    seconds = (number(s.seconds[cache], 2) for cache in ("cold", "warm"))
    return (
        _bold(s.variant),
        percent(s.accuracy),
        *shares,
        *means,
        *seconds,
        percent(margin, "+") if margin else "",
    )


def _bold(label: str) -> str:
    """``label``, in bold if it is ours."""
    return f"**{label}**" if label == OURS else label


def _accuracy(summary: Summary | None) -> str:
    return number(None if summary is None else 100 * summary.accuracy.value)


def parser_of(description: str | None, out: str, rows: Path) -> argparse.ArgumentParser:
    """The options of a benchmark that saves its rows; ``out`` is the help text of ``--out``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help=out)
    parser.add_argument("--rows", type=Path, default=rows, help="folder of the saved rows (default: %(default)s)")
    parser.add_argument("--machine", default="", help="machine that measured the seconds, saved with the day")
    parser.add_argument("--tables", action="store_true", help="run nothing; save the results in --out, if given")
    return parser


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of a parser from ``parser_of``; a usage error if there is nothing to do."""
    arguments = parser.parse_args()
    if not (arguments.tables or arguments.out):
        parser.error("pass --out or --tables")
    return arguments


def main() -> None:
    parser = parser_of(__doc__, "folder for the comparisons, with one subfolder per length", ROWS)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 5, 15, 60], choices=[1, 5, 15, 60])
    parser.add_argument("--docs", type=Path, default=DOCS, help="document for the tables (default: %(default)s)")
    arguments = parse_arguments(parser)
    for minutes in arguments.minutes if arguments.out else ():
        if not arguments.tables:
            run(minutes, arguments.out)
        results = arguments.out / f"{minutes}min" / "results.parquet"
        if results.is_file():
            keep(results, arguments.rows / f"{minutes}min.parquet", arguments.machine)
    groups = read(arguments.rows)
    put_into(arguments.docs, tables(groups))
    for path in draw_plots(groups, arguments.rows / "plots"):
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
