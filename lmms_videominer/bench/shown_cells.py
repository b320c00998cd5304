"""The results of a comparison as a page shows them: every question of every variant whose tree is stored."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.bench.running import read_cells
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.show.view.found import tree_in
from lmms_videominer.show.view.page import MOST_RESULTS, PageSettings, write_page
from lmms_videominer.show.view.shown import Shown

if TYPE_CHECKING:
    import pandas as pd

PAGE = "view.html"

logger = logging.getLogger(__name__)


def is_comparison(folder: Path) -> bool:
    """Whether ``folder`` has finished cells."""
    return bool(read_cells(folder))


def shown_cells(out: Path, table: pd.DataFrame) -> list[Shown]:
    """The rows of ``table`` that have a tree, those of one question beside each other; others are left out.

    Args:
        table: As ``report.read_all`` gives it for ``out``.
    """
    rows = table[table["tree"] != ""].sort_values(["task", "doc_id"], kind="stable")
    several = rows["frames"].nunique() > 1
    shown = []
    for row in rows.head(MOST_RESULTS).itertuples():
        try:
            tree = tree_in(out / row.tree)
        except VideoMinerError as error:
            logger.warning("Left out: %s", error)
            continue
        label = f"{row.variant}, {row.frames} frames" if several else row.variant
        name, correct = f"{row.task} {row.doc_id}", bool(row.correct >= 0.5)
        shown.append(Shown(tree.selection, name, tree.file, label, row.kind, row.target, correct))
    return shown


def write_comparison_page(out: Path, table: pd.DataFrame) -> Path | None:
    """Write the page of ``table`` to ``out``, from the pictures that its runs kept; ``None`` if there is no tree.

    Raises:
        ConfigError: The file cannot be written.
    """
    shown = shown_cells(out, table)
    if not shown:
        return None
    return write_page(shown, PageSettings("Frame selectors compared", decode=False, out=out / PAGE))
