"""What a comparison will cost: the calls that a selector can make at most, and what was measured so far."""

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

if TYPE_CHECKING:
    import pandas as pd

PRINTED_WIDTH = 140  # characters, where there is no terminal


@dataclass(frozen=True)
class Line:
    """The estimate of one variant on one task with one number of frames.

    Attributes:
        cell: Which.
        questions: How many; ``None``: the task is not loaded yet.
        most: Calls a question at most, a mean over the videos; infinite: not known without their lengths.
        measured: Calls a question in finished cells of this variant on this task; ``None``: there is none.
        measured_on: How many of the task's documents these answered.
        seconds_most, seconds_measured: Seconds of the whole cell at the seconds of each call, and by those of finished
            cells of this variant on this task with this cache; ``None``: not known.
        is_assumed: Whether a call's seconds for ``seconds_most`` are assumed in part: no finished cell told them.
        finished: It is not run again.
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
    """A line a cell.

    Args:
        durations: Of each task's documents, in seconds; tasks that are not loaded are absent.
        finished: Keys of the cells that are not run again.
        rows: Rows of finished cells; ``None``: there are none.
        refilled: Keys of warm cells whose cold run must be made again first, since its cache is gone.
    """
    return [_line(cell, durations.get(cell.task), cell.key in finished, cell.key in refilled, rows) for cell in cells]


def _line(
    cell: Cell, durations: Sequence[float | None] | None, finished: bool, refilled: bool, rows: pd.DataFrame | None
) -> Line:
    questions = cell.settings.limit if durations is None else len(durations)
    lengths_s = [duration_s or math.inf for duration_s in durations or [None]]
    cls = selector_class(cell.config.selector)
    most = _mean([cls.calls_at_most(cell.config, length_s) for length_s in lengths_s])
    # a warm run finds its captions and scores, and decisions unless they are drawn
    runs = {"cold": most} if refilled else {}
    runs[cell.cache] = Calls(llm=most.llm if cell.config.temperature else 0) if cell.cache == "warm" else most
    known = Rates() if rows is None else rates_of(rows, cell)
    searched = most != Calls()
    seconds = _sum([known.seconds(run, searched) for run in runs.values()])
    is_assumed = False
    if seconds is None:
        rates = known.or_else(assumed(cell, sum(lengths_s) / len(lengths_s)))
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
    """The estimate as a table on stdout, with a line that says how far it can be trusted."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title="Before it starts: calls a question beside the answer (at most / measured so far)", title_justify="left"
    )
    names = ("task", "frames", "variant", "cache", "questions", "VLM calls", "LLM calls", "scored frames", "time", "")
    for name in names:
        table.add_column(name, justify="left" if name in ("task", "variant", "cache", "") else "right")
    for line in lines:
        cell = line.cell
        questions = "?" if line.questions is None else str(line.questions)
        table.add_row(
            cell.task,
            str(cell.frames),
            cell.variant.label,
            cell.cache,
            questions,
            *(_both(line, name) for name in ("vlm", "llm", "scored")),
            f"{'~' * line.is_assumed}{duration(line.seconds_most)} / {duration(line.seconds_measured)}",
            "finished" if line.finished else "",
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PRINTED_WIDTH)
    console.print(table)
    console.print(_told(lines), soft_wrap=True)


def _both(line: Line, name: str) -> str:
    most = f"{getattr(line.most, name):.0f}".replace("inf", "?")
    return f"{most} / {'-' if line.measured is None else f'{getattr(line.measured, name):.1f}'}"


def _told(lines: Sequence[Line]) -> str:
    """How many cells are to run, and what of the estimate is a bound, an assumption, or not known."""
    left = [line for line in lines if not line.finished]
    known = [line.seconds_most for line in left if line.seconds_most is not None]
    guessed = any(line.is_assumed for line in left)
    told = f"{len(left)} of {len(lines)} cells are to run."
    if known:
        which = "" if len(known) == len(left) else f" for {len(known)} of these"
        bound = "About ~" if guessed else "At most "
        told += f" {bound}{duration(sum(known))}{which} for all calls at the seconds of each, loading not counted."
    if guessed:
        told += (
            " Times with ~ rest on assumptions (the bundled models on one CPU core, any other 7B on a GPU of 80 "
            "GB as docs/recipes.md has it): no finished cell has told yet what such a call takes here. Run with "
            "a small --limit into the same folder first, and it is measured."
        )
    if any(0 < line.measured_on < (line.questions or math.inf) for line in left):
        told += (
            " What was measured so far is of a task's first documents alone; it takes more where the videos of "
            "later ones are longer."
        )
    if any(math.inf in vars(line.most).values() or line.seconds_most is None for line in left):
        told += (
            " ? is not known: it hangs on the length of videos that are not loaded yet, or, of videoagent's "
            "frames, on how many descriptions its replies name (its time counts each once)."
        )
    return told


def duration(seconds: float | None) -> str:
    """``42 s``, ``12 min`` or ``3.5 h``; ``?`` for ``None``."""
    if seconds is None:
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
