"""Estimates the cost of a comparison: the maximum number of calls of a selector, and the measurements so far."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmms_videominer.bench.comparison import mean
from lmms_videominer.bench.plan import Cell
from lmms_videominer.bench.rates import Rates, assumed, rates_of
from lmms_videominer.selectors import selector_class
from lmms_videominer.selectors.selector import Calls
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    import pandas as pd

PRINTED_WIDTH = 140  # characters, if stdout is not a terminal


@dataclass(frozen=True)
class Line:
    """The estimate of one variant on one task with one number of frames.

    Attributes:
        cell: The cell.
        questions: Number of questions; ``None`` if the task is not loaded yet.
        most: Maximum number of calls per question, a mean over the videos; infinite if unknown without their lengths.
        measured: Calls per question in finished cells of this variant on this task; ``None`` if there are none.
        measured_on: Number of the task's documents that these answered.
        seconds_most, seconds_measured: Seconds of the whole cell, for the maximum number of calls at the seconds per
            call, and as measured in finished cells of this variant on this task with this cache; ``None`` if unknown.
        is_assumed: Whether ``seconds_most`` uses assumed rates, since no finished cell measured them.
        finished: Whether the cell has finished, so that it is not run again.
    """

    cell: Cell
    questions: int | None
    most: Calls
    measured: Calls | None
    measured_on: int
    seconds_most: float | None
    is_assumed: bool
    seconds_measured: float | None
    finished: bool


def estimate(
    cells: Sequence[Cell],
    durations: Mapping[str, Sequence[float | None]],
    finished: set[str],
    rows: pd.DataFrame | None,
    refilled: Collection[str] = (),
) -> list[Line]:
    """One line per cell.

    Args:
        durations: Lengths of the videos of each task's documents, in seconds, without tasks that are not loaded.
        finished: Keys of the cells that are not run again.
        rows: Rows of finished cells; ``None`` if there are none.
        refilled: Keys of warm cells whose cold run must be repeated first, since its cache is gone.
    """
    return [_line(cell, durations.get(cell.task), cell.key in finished, cell.key in refilled, rows) for cell in cells]


def _line(
    cell: Cell, durations: Sequence[float | None] | None, finished: bool, refilled: bool, rows: pd.DataFrame | None
) -> Line:
    questions = cell.settings.limit if durations is None else len(durations)
    lengths_s = [duration_s or math.inf for duration_s in durations or [None]]
    cls = selector_class(cell.config.selector)
    most = _mean([cls.calls_at_most(cell.config, length_s) for length_s in lengths_s])
    # in a warm run captions and scores are cached, and so are decisions unless they are sampled
    runs = {"cold": most} if refilled else {}
    runs[cell.cache] = Calls(llm=most.llm if cell.config.temperature else 0) if cell.cache == "warm" else most
    known = Rates() if rows is None else rates_of(rows, cell)
    searched = most != Calls()
    seconds = _sum([known.seconds(run, searched) for run in runs.values()])
    is_assumed = False
    if seconds is None:
        mean_s = sum(lengths_s) / len(lengths_s)
        rates = known.or_else(assumed(cell.config, cell.settings.weights, cell.settings.batch_size, mean_s))
        seconds = _sum([rates.seconds(run, searched) for run in runs.values()])
        is_assumed = seconds is not None
    measured, measured_s, measured_on = None, None, 0
    if rows is not None:
        same = rows[
            (rows["model"] == cell.settings.model)
            & (rows["weights"] == cell.settings.weights)
            & (rows["variant"] == cell.variant.label)
            & (rows["task"] == cell.task)
            & (rows["frames"] == cell.frames)
        ]
        if len(same):
            measured = Calls(*(mean(same[name]) or 0.0 for name in ("vlm_calls", "llm_calls", "scored_frames")))
            measured_s = _sum([mean(same[same["cache"] == cache]["cell_s"]) for cache in runs])
            measured_on = same["doc_id"].nunique()
    return Line(
        cell,
        questions,
        most,
        measured,
        measured_on,
        _times(seconds, questions),
        is_assumed,
        _times(measured_s, questions),
        finished,
    )


def _mean(calls: Sequence[Calls]) -> Calls:
    seen = sum(one.scored if one.seen is None else one.seen for one in calls) / len(calls)
    means = Calls(*(sum(getattr(one, name) for one in calls) / len(calls) for name in ("vlm", "llm", "scored")))
    return means if seen == means.scored else dataclasses.replace(means, seen=seen)


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if len(known) == len(seconds) else None


def _times(seconds: float | None, questions: int | None) -> float | None:
    return None if seconds is None or questions is None else seconds * questions


def print_estimate(lines: Sequence[Line]) -> None:
    """Print the estimate as a table, with a text on its reliability, to stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="Before it starts: calls per question without the answer (at most / measured so far)",
        title_justify="left",
    )
    names = ("task", "frames", "variant", "cache", "questions", "VLM calls", "LLM calls", "scored frames", "time", "")
    for name in names:
        table.add_column(name, justify="left" if name in ("task", "variant", "cache", "") else "right")
    for line in lines:
        cell = line.cell
        questions = "?" if line.questions is None else str(line.questions)
        row = (
            cell.task,
            str(cell.frames),
            cell.variant.label,
            cell.cache,
            questions,
            *(_both(line, name) for name in ("vlm", "llm", "scored")),
            f"{'~' * line.is_assumed}{duration(line.seconds_most)} / {duration(line.seconds_measured)}",
            "finished" if line.finished else "",
        )
        table.add_row(*(Text(printable(text)) for text in row))  # a plain string would be read as markup
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PRINTED_WIDTH)
    console.print(table)
    console.print(_summary(lines), soft_wrap=True)


def _both(line: Line, name: str) -> str:
    most = f"{getattr(line.most, name):.0f}".replace("inf", "?")
    return f"{most} / {'-' if line.measured is None else f'{getattr(line.measured, name):.1f}'}"


def _summary(lines: Sequence[Line]) -> str:
    """The number of cells to run, and which parts of the estimate are bounds, assumptions, or unknown."""
    left = [line for line in lines if not line.finished]
    known = [line.seconds_most for line in left if line.seconds_most is not None]
    guessed = any(line.is_assumed for line in left)
    text = f"{len(left)} of {len(lines)} cells are to run."
    if known:
        which = "" if len(known) == len(left) else f" for {len(known)} of these"
        bound = "About ~" if guessed else "At most "
        text += f" {bound}{duration(sum(known))}{which} for all calls at the seconds per call, without loading."
    if guessed:
        text += (
            " Times with ~ are based on assumptions (the bundled models on one CPU core, any other as a 7B model on "
            "an 80 GB GPU, see docs/recipes.md): no finished cell has measured such calls here yet. To measure them, "
            "run with a small --limit into the same folder first."
        )
    if any(0 < line.measured_on < (line.questions or math.inf) for line in left):
        text += (
            " The measurements so far cover only the first documents of a task; longer videos of later documents "
            "take more."
        )
    if any(math.inf in vars(line.most).values() or line.seconds_most is None for line in left):
        text += (
            " ? is unknown: it depends on the length of videos that are not loaded yet or, for videoagent's frames, "
            "on the number of descriptions in its replies (its time counts each frame once)."
        )
    return text


def duration(seconds: float | None) -> str:
    """``42 s``, ``12 min`` or ``3.5 h``; ``?`` for ``None``."""
    if seconds is None:
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
