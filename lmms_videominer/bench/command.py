"""``videominer bench``: plans, estimates and runs a comparison, and writes the report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.bench.documents import Document, read_table, table_path
from lmms_videominer.bench.estimate import estimate, print_estimate
from lmms_videominer.bench.evaluating import Execute, execute
from lmms_videominer.bench.figures import FigureCell, figure_variants
from lmms_videominer.bench.files import read_json, write_json
from lmms_videominer.bench.plan import Cell, Settings, plan_cells, settings_of
from lmms_videominer.bench.profiles import show_profiles
from lmms_videominer.bench.report import FIGURES, ORDER, read_all, require_report_packages, write_report
from lmms_videominer.bench.running import (
    Outcome,
    ask_tasks,
    is_finished,
    must_be_filled_again,
    rename_older,
    run_cells,
)
from lmms_videominer.bench.terminal import print_tables
from lmms_videominer.bench.variants import Variant, parse_variants
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """The comparison to run.

    Attributes:
        out: Folder for all output.
        settings: The settings of all cells.
        tasks: Tasks and groups of lmms-eval.
        variants: The variants to compare.
        frames: Numbers of frames.
        figure: The figure of the paper to reproduce, or empty.
        sheet: The document that the sheets show.
        seed: The seed, also of the bootstrap.
        trace: If cells are profiled: the file for the traces of all; ``Path()``: none.
    """

    out: Path
    settings: Settings
    tasks: tuple[str, ...]
    variants: tuple[Variant, ...]
    frames: tuple[int, ...]
    figure: str = ""
    sheet: int | None = None
    seed: int = 0
    trace: Path | None = None


def run(args: argparse.Namespace) -> int:
    """Run the command line; see ``run_comparison`` and ``rebuild_report``."""
    if args.report_only:
        return rebuild_report(args.out, args.sheet, args.seed)
    return run_comparison(comparison_of(args), args.dry_run, not args.quiet)


def comparison_of(args: argparse.Namespace) -> Comparison:
    """The comparison that the command line describes.

    Raises:
        ConfigError: A variant, a policy or a model argument is invalid.
    """
    labelled = args.policy if args.figure in ("training", "auxin") else []
    plain = [] if labelled else args.policy
    if len(plain) > 1:
        raise ConfigError(
            f"--policy {' '.join(plain)}: pass one for all variants; in --selectors each may have its own, as "
            "in weak=videominer:policy=FOLDER"
        )
    variants = figure_variants(args.figure, labelled) if args.figure else parse_variants(args.selectors)
    settings = settings_of(
        args.model,
        args.pretrained,
        args.model_args,
        "".join(plain),
        args.seed,
        limit=args.limit,
        batch_size=args.batch_size,
        caches=_caches(args),
        include_path=args.include_path,
        profiled=args.profile is not None,
    )
    return Comparison(
        args.out,
        settings,
        tuple(args.tasks),
        variants,
        tuple(args.frames),
        args.figure,
        args.sheet,
        args.seed,
        args.profile,
    )


def _caches(args: argparse.Namespace) -> tuple[str, ...]:
    if args.warm:
        return ("cold", "warm")
    return ("cold",) if args.cold or args.figure else ("shared",)


def run_comparison(
    comparison: Comparison, dry_run: bool = False, progress: bool = True, execute: Execute = execute
) -> int:
    """Run the unfinished cells of ``comparison``, and write the report of all finished ones.

    Args:
        dry_run: Print the estimate and stop, without loading any task.
        progress: Show a progress bar over the cells.
        execute: Runs a command line.

    Returns:
        0, or 1 if a cell failed or variants could not be compared.

    Raises:
        ConfigError: A task, a model argument or a setting is invalid. Nothing has run then.
    """
    require_report_packages()
    out, settings = comparison.out, comparison.settings
    plan_cells(settings, ["-"], comparison.variants, comparison.frames)  # refuses invalid settings first
    if progress:
        print(
            f"looking up {', '.join(comparison.tasks)} in lmms-eval; this takes a while the first time",
            file=sys.stderr,
        )
    tasks = ask_tasks(out, settings, comparison.tasks, not dry_run, execute)
    cells = plan_cells(settings, tasks, comparison.variants, comparison.frames)
    _show_estimate(cells, out)
    if dry_run:
        return 0
    _keep_order(comparison)
    _keep_figure(comparison, cells)
    rename_older(out, cells)
    failed = [outcome for outcome in run_cells(cells, out, progress, execute) if _report_failure(outcome)]
    if comparison.trace is not None:
        show_profiles(cells, out, comparison.trace)
    return max(int(bool(failed)), rebuild_report(out, comparison.sheet, comparison.seed))


def rebuild_report(out: Path, sheet: int | None = None, seed: int = 0) -> int:
    """Write the report of the finished cells in ``out`` and print its tables.

    Returns:
        0, or 1 if something could not be compared or read.

    Raises:
        ConfigError: ``out`` has no finished cell.
    """
    require_report_packages()
    table, refused = read_all(out)
    for line in refused if table is None else ():
        print(printable(f"videominer: {line}"), file=sys.stderr)
    if table is None:
        raise ConfigError(f"{out}: has no finished cell to report on; run videominer bench --out {out} first")
    report = write_report(out, table, refused, _order(out), sheet, seed)
    for line in report.refused:
        print(printable(f"videominer: {line}"), file=sys.stderr)
    for path in report.files:
        print(printable(f"wrote {path}"))
    print_tables(report.groups)
    return int(bool(report.refused))


def _show_estimate(cells: Sequence[Cell], out: Path) -> None:
    rows: pd.DataFrame | None = read_all(out)[0]
    finished = {cell.key for cell in cells if is_finished(out, cell)}
    refilled = {cell.key for cell in cells if must_be_filled_again(out, cell)}
    by_task = _documents(cells, out)
    durations = {task: [document.duration_s for document in documents] for task, documents in by_task.items()}
    print_estimate(estimate(cells, durations, finished, rows, refilled))
    for task, documents in by_task.items():
        problems = [document.problem for document in documents if document.problem]
        if problems:
            told = (
                f"videominer: task {task}: the videos of {len(problems)} of {len(documents)} documents were not "
                f"found ({problems[0]}); no frames are chosen for these"
            )
            print(printable(told), file=sys.stderr)


def _documents(cells: Sequence[Cell], out: Path) -> Mapping[str, list[Document]]:
    """The documents of each task that has been loaded."""
    paths = {cell.task: table_path(out, cell.task, cell.settings.source) for cell in cells}
    return {task: read_table(path) for task, path in paths.items() if path.is_file()}


def _order(out: Path) -> list[str]:
    """The labels, in the order of the reports in ``out``."""
    return read_json(out / ORDER) if (out / ORDER).is_file() else []


def _keep_order(comparison: Comparison) -> None:
    """Store the order of labels: those of ``comparison`` first, then those of earlier comparisons."""
    labels = [*(variant.label for variant in comparison.variants), *_order(comparison.out)]
    write_json(comparison.out / ORDER, list(dict.fromkeys(labels)))


def _keep_figure(comparison: Comparison, cells: Sequence[Cell]) -> None:
    """Store which cells the figure shows, so that later reports draw it too."""
    if not comparison.figure:
        return
    path = comparison.out / FIGURES
    prefix = f"{comparison.figure} "
    figure_cells = [
        FigureCell(cell.variant.label.removeprefix(prefix), cell.task, cell.key)
        for cell in cells
        if cell.frames == min(comparison.frames) and cell.cache == "cold"
    ]
    earlier = read_json(path) if path.is_file() else {}
    write_json(path, {**earlier, comparison.figure: [vars(cell) for cell in figure_cells]})


def _report_failure(outcome: Outcome) -> bool:
    """Print a message if a cell has no result; return whether it has none."""
    cell = outcome.cell
    name = printable(f"{cell.task}, {cell.variant.label}, {cell.frames} frames, {cell.cache} cache")
    if outcome.status == "failed":
        print(printable(f"videominer: {name} failed: {outcome.reason}. Its log: {outcome.log}"), file=sys.stderr)
    if outcome.status == "busy":
        print(f"videominer: {name} is being run by another process; run this again when it is done", file=sys.stderr)
    return outcome.status in ("failed", "busy")
