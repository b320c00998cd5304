"""Writes the report: tables, plots and sheets of all finished cells in a folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.bench.comparison import (
    Difference,
    Group,
    Summary,
    between_frames,
    differences,
    differences_between,
    groups_of,
    obstacle,
    on_all_tasks,
    scores_by_kind,
    summaries,
)
from lmms_videominer.bench.documents import read_table, table_of
from lmms_videominer.bench.figures import FigureCell, bars, draw_figure
from lmms_videominer.bench.files import read_json, write_text
from lmms_videominer.bench.plots import draw_plots
from lmms_videominer.bench.rows import folders_by_key, frame_of, lmms_eval_score, read_rows, save_tables
from lmms_videominer.bench.running import read_cell, read_cells
from lmms_videominer.bench.sheets import choices_in, draw_sheet, question_to_show
from lmms_videominer.bench.shown_cells import write_comparison_page
from lmms_videominer.bench.statistics import RESAMPLES, Interval
from lmms_videominer.errors import ConfigError, SchemaError, VideoMinerError
from lmms_videominer.show.markdown import markdown_table, one_line
from lmms_videominer.store.file_names import file_name

if TYPE_CHECKING:
    import pandas as pd

FIGURES = "figures.json"  # in the folder: the figures requested so far, with the cells that they show
ORDER = "order.json"  # in the folder: the labels in the order in which they were last requested
NO_VALUE = ""
SIGNIFICANT = "0 is outside"  # of the interval of a difference
COLUMNS = (
    "variant",
    "questions",
    "accuracy, % (95 %)",
    "lmms-eval",
    "evidence recall, %",
    "accuracy where seen, %",
    "VLM calls",
    "of them made",
    "LLM calls",
    "frames scored",
    "nodes",
    "s cold",
    "s warm",
    "s shared cache",
    "fallbacks",
    "not mined",
    "damaged frames",
)
NOTES = f"""\
VLM calls, LLM calls, scored frames, nodes and seconds are means per question, without the answering call. Seconds are
those of all requests of a cell divided by its questions: selection and answer together, without loading. Intervals are
Wilson's for an accuracy; for a difference, the paired percentile bootstrap over videos ({RESAMPLES} resamples), not
corrected for the number of differences. docs/bench.md of lmms-videominer explains every column."""


@dataclass
class Report:
    """What was written, and what could not be.

    Attributes:
        files: Paths of the files, in order.
        refused: Why something was not compared or not drawn, one line each.
        groups: What it reports on, in order.
    """

    files: list[Path] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


def read_all(out: Path) -> tuple[pd.DataFrame | None, list[str]]:
    """The rows of all finished cells below ``out``, or ``None`` if there are none, and why some could not be read."""
    rows, refused = [], []
    for folder in read_cells(out):
        try:
            rows += read_rows(out, folder)
        except VideoMinerError as error:
            refused.append(str(error))
    return (frame_of(rows) if rows else None), refused


def write_report(
    out: Path,
    table: pd.DataFrame,
    refused: Sequence[str] = (),
    order: Sequence[str] = (),
    sheet: int | None = None,
    seed: int = 0,
) -> Report:
    """Write ``results.csv``, ``results.parquet``, ``report.md``, ``plots/``, ``sheets/`` and ``view.html`` to ``out``.

    Args:
        table: The table from ``read_all``.
        refused: Why some cells could not be read.
        order: Labels, the first on top; others follow by name.
        sheet: The document that the sheets show; ``None``: the first on which variants differ.
        seed: Seed of the bootstrap.
    """
    report = Report(refused=list(refused))
    table = _ordered(table, order)
    report.files += save_tables(table, out)
    report.groups = groups = list(groups_of(table))
    comparable = []
    for group in groups:
        reason = obstacle(group)
        if reason:
            report.refused.append(f"{group.title}: {reason}.")
        else:
            comparable.append(group)
        report.refused += _unanswered(group)
    pairs = []
    for few, many in between_frames(comparable):
        reason = obstacle(few, many)
        if reason:
            report.refused.append(f"{few.title}, and {many.frames} frames: {reason}.")
        else:
            pairs.append((few, many))
    report.files += draw_plots(comparable, out / "plots")
    report.files += _draw_figures(out, table)
    report.files += _draw_sheets(out, comparable, sheet, report.refused)
    keys = set(table["cell"])
    scores = {key: lmms_eval_score(folder) for key, folder in folders_by_key(out).items() if key in keys}
    write_text(out / "report.md", "\n".join(_markdown(out, groups, comparable, pairs, scores, report, seed)) + "\n")
    report.files.append(out / "report.md")
    if page := write_comparison_page(out, table):
        report.files.append(page)
    return report


def _unanswered(group: Group) -> Iterator[str]:
    """Warnings about variants for which the backbone failed on some questions."""
    for cell, rows in group.table.groupby("cell", sort=False):
        failed = rows[rows["how"] == "failed"]
        if len(failed):
            yield (
                f"{group.title}: the backbone failed on {len(failed)} of the {len(rows)} questions of "
                f"{rows['variant'].iloc[0]} ({failed['problem'].iloc[0]}); they count as wrong. Delete the cell "
                f"{cell} to run it again."
            )


def _ordered(table: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """Rows sorted by task, the one with the shortest videos first, by the order of variants, and by frames."""
    places = {label: place for place, label in enumerate(order)}
    place = table["variant"].map(lambda label: places.get(label, len(places)))
    length = table.groupby("task")["minutes"].transform("median").fillna(math.inf)
    keyed = table.assign(_place=place, _length=length)
    keys = ["model", "weights", "common", "_length", "task", "limit", "_place", "variant", "frames", "cache", "doc_id"]
    return keyed.sort_values(keys, kind="stable").drop(columns=["_place", "_length"]).reset_index(drop=True)


def _draw_figures(out: Path, table: pd.DataFrame) -> Iterator[Path]:
    """Draw the paper's figures that were requested in ``out``, one per task."""
    for name, cells in (read_json(out / FIGURES) if (out / FIGURES).is_file() else {}).items():
        figure_cells = [FigureCell(**cell) for cell in cells]
        for task in dict.fromkeys(cell.task for cell in figure_cells):
            results = bars([cell for cell in figure_cells if cell.task == task], table)
            if results:
                path = out / "plots" / f"figure_{name}-{file_name(task)}.png"
                yield from draw_figure(name, task, results, path)


def _draw_sheets(out: Path, groups: Sequence[Group], sheet: int | None, refused: list[str]) -> Iterator[Path]:
    """Draw one sheet per task, for the group with the most questions and, among these, the fewest frames."""
    by_task: dict[tuple, list[Group]] = {}
    for group in groups:
        by_task.setdefault((group.model, group.weights, group.common, group.task), []).append(group)
    drawn: list[str] = []
    for members in by_task.values():
        group = min(members, key=lambda group: (-group.table["doc_id"].nunique(), group.frames))
        earlier = drawn.count(group.task)
        drawn.append(group.task)
        doc_id = question_to_show(group) if sheet is None else sheet
        try:
            documents = {document.doc_id: document for document in read_table(_table(out, group))}
            choices = choices_in(group, doc_id)
            name = f"{file_name(group.task)}-{doc_id}{f'-{earlier + 1}' if earlier else ''}.jpg"
            yield draw_sheet(documents[doc_id], choices, out / "sheets" / name)
        except VideoMinerError as error:
            refused.append(f"no sheet of {group.task}: {error}")


def _table(out: Path, group: Group) -> Path:
    """The file with the documents of a group's task."""
    key = group.table["cell"].iloc[0]
    folder = folders_by_key(out).get(key)
    if folder is None:
        raise SchemaError(f"{out}: the cell {key} no longer exists; run the comparison again")
    return table_of(out, read_cell(folder))


def _markdown(
    out: Path,
    groups: Sequence[Group],
    comparable: Sequence[Group],
    pairs: Sequence[tuple[Group, Group]],
    scores: dict[str, float | None],
    report: Report,
    seed: int,
) -> Iterator[str]:
    yield "# Frame selectors compared\n"
    yield NOTES
    if report.refused:
        yield "\n## Not compared, not drawn, or not answered\n"
        yield from (f"- {one_line(line)}" for line in report.refused)
    yield from _overview(comparable)
    for group in groups:
        yield f"\n## {one_line(group.title)}\n"
        variants = summaries(group)
        yield markdown_table(COLUMNS, [_cells(summary, group, scores) for summary in variants])
        yield from _kinds(group)
        if group in comparable and len(variants) > 1:
            yield "\nDifferences in points, with 95 % intervals:\n"
            yield _differences(differences(group, seed))
    for few, many in pairs:
        yield from _frames(few, many, seed)
    pictures = [path for path in report.files if path.suffix in (".png", ".jpg")]
    if pictures:
        yield "\n## Pictures\n"
        for path in pictures:
            link, vector = (file.relative_to(out).as_posix() for file in (path, path.with_suffix(".svg")))
            yield f"![{path.stem}]({link})\n" + (f"\n[as SVG]({vector})\n" if out / vector in report.files else "")


def _overview(groups: Sequence[Group]) -> Iterator[str]:
    """The accuracies on all tasks side by side, if there are several tasks."""
    for members in on_all_tasks(groups):
        tasks = [group.task for group in members]
        if len(tasks) < 2:
            continue
        accuracies = {(group.task, s.variant): s.accuracy for group in members for s in summaries(group)}
        yield f"\n## {one_line(f'All tasks, {members[0].setting}')}\n"
        yield "Accuracy, % (95 %):\n"
        labels = dict.fromkeys(label for _, label in accuracies)
        rows = [
            (label, *(percent(accuracies[task, label]) if (task, label) in accuracies else NO_VALUE for task in tasks))
            for label in labels
        ]
        yield markdown_table(("variant", *tasks), rows)


def _differences(pairs: Sequence[Difference]) -> str:
    recall = any(d.recall for d in pairs)
    rows = [
        (
            d.first,
            d.second,
            percent(d.accuracy, "+"),
            _verdict(d.accuracy),
            *((percent(d.recall, "+"), _verdict(d.recall)) if d.recall else ("", "") if recall else ()),
        )
        for d in pairs
    ]
    head = ("variant", "minus", "accuracy", "", *(("evidence recall", "") if recall else ()))
    return markdown_table(head, rows)


def _frames(few: Group, many: Group, seed: int) -> Iterator[str]:
    """Tables of every variant at one number of frames minus every variant at a larger number."""
    pairs = differences_between(few, many, seed)
    accuracy = {(d.first, d.second): d.accuracy for d in pairs}
    recall = {(d.first, d.second): d.recall for d in pairs if d.recall}
    if pairs:
        setting = few.setting_with(f"{few.frames} frames minus {many.frames}")
        yield f"\n## {one_line(f'{few.task}, {setting}')}\n"
    for name, cells in (("accuracy", accuracy), ("evidence recall", recall)):
        if cells:
            yield f"\nDifferences in {name}, in points, with 95 % intervals; * if 0 is outside:\n"
            rows, columns = (dict.fromkeys(pair[side] for pair in accuracy) for side in (0, 1))
            head = (f"{few.frames} frames", *(f"{label}, {many.frames} frames" for label in columns))
            yield markdown_table(
                head, [(row, *(_marked(cells.get((row, column))) for column in columns)) for row in rows]
            )


def _marked(interval: Interval | None) -> str:
    if interval is None:
        return NO_VALUE
    return percent(interval, "+") + (" *" if _verdict(interval) == SIGNIFICANT else "")


def _kinds(group: Group) -> Iterator[str]:
    """A table of accuracy by kind of question, if there are several kinds."""
    by_label = scores_by_kind(group)
    if by_label:
        kinds = list(next(iter(by_label.values())))
        yield "\nAccuracy by kind of question, %:\n"
        rows = [(label, *(number(100 * scores[kind]) for kind in kinds)) for label, scores in by_label.items()]
        yield markdown_table(("variant", *kinds), rows)


def _cells(summary: Summary, group: Group, scores: dict[str, float | None]) -> tuple[str, ...]:
    rows = group.table[group.table["variant"] == summary.variant]
    score = scores.get(rows["cell"].iloc[0])
    return (
        summary.variant,
        str(summary.questions),
        percent(summary.accuracy),
        number(score, 4),
        *(number(None if share is None else 100 * share) for share in (summary.recall, summary.read)),
        number(summary.vlm_calls),
        number(summary.vlm_made),
        number(summary.llm_calls),
        number(summary.scored),
        number(summary.nodes),
        *(number(summary.seconds[cache], 2) for cache in ("cold", "warm", "shared")),
        str(summary.fallbacks),
        str(summary.problems),
        str(summary.substituted),
    )


def percent(interval: Interval, sign: str = "") -> str:
    """A share in %, or with ``sign="+"`` a difference of shares in points, with its interval."""
    value = f"{100 * interval.value:{sign}.1f}"
    if interval.low is None or interval.high is None:
        return value
    return f"{value} ({100 * interval.low:{sign}.1f} to {100 * interval.high:{sign}.1f})"


def _verdict(interval: Interval) -> str:
    low, high = interval.low, interval.high
    if low is None or high is None:
        return "one video"
    return "" if low <= 0 <= high else SIGNIFICANT


def number(value: float | None, digits: int = 1) -> str:
    return NO_VALUE if value is None or math.isnan(value) else f"{value:.{digits}f}"


def require_report_packages() -> None:
    """Raise ``ConfigError`` if a package for the report is missing, rather than after hours of runs."""
    from importlib.util import find_spec

    missing = [name for name in ("pandas", "pyarrow", "matplotlib", "scipy") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"videominer bench needs {', '.join(missing)}: pip install '.[bench]' in a clone")
