"""The results of a run over many rows, as a page shows them."""

from __future__ import annotations

import logging
from pathlib import Path

from lmms_videominer.errors import VideoMinerError
from lmms_videominer.manifest.run_folder import RESULTS, RUN, RunFolder
from lmms_videominer.show.view.found import tree_in
from lmms_videominer.show.view.shown import Shown

logger = logging.getLogger(__name__)


def is_run(folder: Path) -> bool:
    """Whether ``folder`` has results of ``mine --out``."""
    return (folder / RUN).is_file() and (folder / RESULTS).is_file()


def shown_rows(folder: Path) -> list[Shown]:
    """The rows that have a tree, in their order; those that cannot be read are logged.

    Raises:
        ConfigError: The folder cannot be read.
        SchemaError: Its ``run.json`` cannot be read.
    """
    shown = []
    for result in RunFolder(folder).results.values():
        file = folder / result.tree
        if not result.tree or folder.resolve() not in file.resolve().parents:  # a changed line names what it likes
            continue
        try:
            tree = tree_in(file)
        except VideoMinerError as error:
            logger.warning("Left out: %s", error)
            continue
        shown.append(Shown(tree.selection, result.id, file, target=result.target, correct=result.correct))
    return shown
