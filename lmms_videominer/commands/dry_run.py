"""What ``videominer mine --dry-run`` prints: rows, videos, what is done, and what the rest may cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.bench.estimate import duration
from lmms_videominer.bench.rates import Spent, assumed, measured
from lmms_videominer.config import MinerConfig
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.mining import without_video
from lmms_videominer.manifest.run_folder import RunFolder
from lmms_videominer.selectors import selector_class
from lmms_videominer.selectors.selector import Calls
from lmms_videominer.show.printable import printable
from lmms_videominer.types import Usage
from lmms_videominer.video.containers import header_duration_s


@dataclass(frozen=True)
class Estimate:
    """What some rows may cost.

    Attributes:
        most: The most calls that they can make, together; infinite if unknown.
        seconds_most: Seconds for these; ``None`` if unknown.
        is_assumed: Whether these seconds use assumed rates, since no row has measured them.
        measured: The calls that they make if they are as the rows that are done; ``None`` if none is.
        seconds_measured: The seconds of these.
    """

    most: Calls
    seconds_most: float | None
    is_assumed: bool
    measured: Calls | None = None
    seconds_measured: float | None = None


def estimate(
    lengths_s: Sequence[float | None], config: MinerConfig, weights: str, costs: Sequence[Usage] = ()
) -> Estimate:
    """The cost of rows.

    Args:
        lengths_s: Length of the video of each row; ``None`` if unknown.
        config: The settings of the search.
        weights: Name or folder of the video LLM or the bundle.
        costs: What rows of the same run have cost.
    """
    cls, known = selector_class(config.selector), measured([Spent.by(costs)])
    most, seconds, is_assumed = Calls(), 0.0, False
    by_length = {length_s: cls.calls_at_most(config, length_s or math.inf) for length_s in set(lengths_s)}
    for length_s in lengths_s:
        calls = by_length[length_s]
        most = Calls(most.vlm + calls.vlm, most.llm + calls.llm, most.scored + calls.scored)
        taken = known.seconds(calls, calls != Calls())
        if taken is None:
            is_assumed = True
            rates = known.or_else(assumed(config, weights, config.vlm_batch_size, length_s or math.inf))
            taken = rates.seconds(calls, calls != Calls())
        seconds += math.inf if taken is None else taken
    most_s = seconds if math.isfinite(seconds) else None
    if not costs:
        return Estimate(most, most_s, is_assumed)
    share = len(lengths_s) / len(costs)
    spent = sum(costs, Usage())
    captions, decisions = spent.vlm_calls + spent.vlm_calls_cached, spent.policy_calls + spent.policy_calls_cached
    scored = spent.scores + spent.scores_cached
    return Estimate(
        most,
        most_s,
        is_assumed,
        Calls(captions * share, decisions * share, scored * share),
        sum(spent.seconds.values()) * share,
    )


def print_plan(rows: Sequence[QuestionRow], folder: RunFolder | None, config: MinerConfig, weights: str) -> None:
    """Print the number of rows and videos, what is done in ``folder``, and an estimate of the rest, to stdout."""
    left = folder.left(rows) if folder else list(rows)
    faults = without_video(left)
    todo = [row for row in left if row.video not in faults]
    print(f"{_counted(len(rows), 'row')} on {_counted(len({row.video for row in rows}), 'video')}")
    if folder:
        again = sum(row.id in folder.results for row in left)
        told = f", with {_counted(again, 'row')} that failed before" if again else ""
        print(f"{len(rows) - len(left)} done, {len(left)} to do{told}")
    if faults:
        missing, first = _counted(len(left) - len(todo), "row"), next(iter(faults.values()))
        print(printable(f"{missing} will fail: {_counted(len(faults), 'video')} cannot be read, the first: {first}"))
    if todo:
        _print_estimate(todo, folder.costs() if folder else [], config, weights)


def _print_estimate(rows: Sequence[QuestionRow], costs: Sequence[Usage], config: MinerConfig, weights: str) -> None:
    from rich.console import Console
    from rich.table import Table

    lengths_s = {video: header_duration_s(video) for video in dict.fromkeys(row.video for row in rows)}
    cost = estimate([_searched_s(row, lengths_s[row.video]) for row in rows], config, weights, costs)
    film = duration(sum(filter(None, lengths_s.values())))
    table = Table(
        title=f"To mine: {_counted(len(rows), 'row')} on {_counted(len(lengths_s), 'video')}, {film} of film",
        title_justify="left",
    )
    table.add_column("")
    table.add_column("at most", justify="right")
    table.add_column(f"like the {len(costs)} done" if costs else "none done yet", justify="right")
    for name, field in (("captions", "vlm"), ("decisions or replies", "llm"), ("scored frames", "scored")):
        table.add_row(name, _number(getattr(cost.most, field)), _number(getattr(cost.measured, field, None)))
    most = f"{'~' * cost.is_assumed}{duration(cost.seconds_most)}"
    table.add_row("time, without loading", most, duration(cost.seconds_measured) if costs else "-")
    console = Console(highlight=False)
    console.print(table)
    if cost.is_assumed and cost.seconds_most is not None:
        console.print(
            "~ is based on assumptions (the bundled models on one CPU core, any other as a 7B model on an 80 GB GPU, "
            "see docs/recipes.md): mine some rows into the same folder to measure it.",
            soft_wrap=True,
        )


def _searched_s(row: QuestionRow, length_s: float | None) -> float | None:
    """How much of a video of ``length_s`` seconds the row searches; ``None`` if its length is not known."""
    return None if length_s is None else row.question.part_of(length_s).duration_s


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if math.isfinite(value) else "?"
