"""A profile as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

# from the file to the answer; others follow in the order in which they came
ORDER = (
    "load",
    "index",
    "seek",
    "decode",
    "scale",
    "scan",
    "score",
    "hand over",
    "caption",
    "embed",
    "cluster",
    "decide",
    "ask",
    "answer",
    "search",
    "cache",
    "write",
)


def table_of(figures: Mapping[str, Any], title: str = "Where the time goes") -> Table:
    """The figures of a profile (``Profile.figures``) as a table of rich: a row per stage, the rest, and all."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    for name in ("calls", "items", "seconds", "%", "of it models", "CPU seconds", "%", "of it models"):
        table.add_column(name, justify="right")
    wall_s, cpu_s, stages = figures["wall_s"], figures["cpu_s"], figures["stages"]
    for name in sorted(stages, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER)):
        row = stages[name]
        counts = (str(row["calls"] or ""), str(row["items"] or ""))
        cells = (*_spent(row["seconds"], wall_s, row["model_s"]), *_spent(row["cpu_s"], cpu_s, row["model_cpu_s"]))
        table.add_row(Text(name), *counts, *cells)
    rest = figures["rest"]
    table.add_row("rest", "", "", *_spent(rest["seconds"], wall_s, 0), *_spent(rest["cpu_s"], cpu_s, 0))
    table.add_section()
    whole = (*_spent(wall_s, wall_s, figures["model_s"]), *_spent(cpu_s, cpu_s, figures["model_cpu_s"]))
    table.add_row("all", "", "", *whole)
    if figures["gpu_busy"] is not None:
        table.caption = f"GPU busy {100 * figures['gpu_busy']:.0f} % of the time"
    return table


def _spent(seconds: float, whole_s: float, model_s: float) -> tuple[str, str, str]:
    share = f"{100 * seconds / whole_s:.1f}" if whole_s else ""
    return f"{seconds:.3f}", share, f"{model_s:.3f}" if model_s else ""
