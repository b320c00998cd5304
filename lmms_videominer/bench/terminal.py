"""Prints what a comparison found on the terminal: a table per task and number of frames, whole at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmms_videominer.bench.comparison import Group, Summary, summaries
from lmms_videominer.bench.plots import OWN, rounded, seconds_of
from lmms_videominer.bench.report import number, percent
from lmms_videominer.show.printable import printable

NAMES = ("\nvariant", "accuracy, %\n(95 %)", "evidence\nrecall, %", "VLM\ncalls", "LLM\ncalls", "\ns")


def print_tables(groups: Sequence[Group]) -> None:
    """Print the results of every variant in each of ``groups`` to stdout; those of the method itself in bold.

    A column in which nothing is known is left out.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for group in groups:
        found = summaries(group)
        rows = [_cells(summary) for summary in found]
        known = [place for place in range(len(NAMES)) if any(row[place] for row in rows)]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for place in known:
            numeric = place > 0
            table.add_column(NAMES[place], justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
        for summary, row in zip(found, rows):
            style = "bold" if summary.selector == OWN else ""
            table.add_row(*(Text(printable(row[place]), style) for place in known))  # a string would be read as markup
        console.print(Text(f"\n{printable(group.title)}", "bold cyan"))
        console.print(table)
        for line in _notes(found):
            console.print(Text(printable(line), "yellow"))
    console.print(
        Text("\nCalls and seconds are means per question; calls without that for the answer, seconds with it.", "dim")
    )


def _cells(summary: Summary) -> tuple[str, ...]:
    recall = number(None if summary.recall is None else 100 * summary.recall)
    costs = (summary.vlm_calls, summary.llm_calls, seconds_of(summary))
    accuracy = percent(summary.accuracy)
    return summary.variant, accuracy, recall, *("" if cost is None else rounded(cost) for cost in costs)


def _notes(found: Sequence[Summary]) -> Iterator[str]:
    """What did not go as planned, a line per variant."""
    for summary in found:
        counts = {"with a fallback": summary.fallbacks, "not mined": summary.problems}
        told = [f"{count} of {summary.questions} questions {what}" for what, count in counts.items() if count]
        if told:
            yield f"{summary.variant}: {', '.join(told)}"
