"""Where the time of cells went: a table each, and one trace of all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lmms_videominer.bench.plan import PROFILE, Cell
from lmms_videominer.bench.running import RUN, folder_of
from lmms_videominer.profiling.table import table_of
from lmms_videominer.profiling.trace import joined
from lmms_videominer.show.printable import printable
from lmms_videominer.store import trace_json


def show_profiles(cells: Sequence[Cell], out: Path, target: Path) -> None:
    """Print a table for each cell that left a trace, to stderr.

    Args:
        out: The folder of the comparison.
        target: File for the traces of all cells, as one; ``Path()``: none is written.
    """
    from rich.console import Console

    console, names, traces = Console(stderr=True, highlight=False), [], []
    for cell in cells:
        path = folder_of(out, cell) / RUN / PROFILE
        if not path.is_file():
            continue  # it failed, or was run without a profile
        name = f"{cell.task}, {cell.variant.label}, {cell.frames} frames, {cell.cache} cache"
        names.append(printable(name))
        traces.append(trace_json.load(path))
        console.print(table_of(traces[-1]["figures"], names[-1]))
    if target != Path() and traces:
        trace_json.save(joined(traces, names), target)
        print(printable(f"wrote {target}: the traces of {len(traces)} cells"), file=sys.stderr)
