"""Stored trees as a page shows them: a file, or all below a folder; what their names tell is taken from these."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.store.selection_json import load

# as training and the difficulty filter name trees
_OF_A_GROUP = re.compile(r"(?P<question>.+)\.tree-(?P<tree>\d+)\.(?P<verdict>right|wrong)", re.DOTALL)
_HEAD = 4096  # bytes, in which a tree says its schema

logger = logging.getLogger(__name__)


def tree_in(file: Path) -> Shown:
    """The tree in ``file``.

    Raises:
        ConfigError: The file cannot be read.
        SchemaError: It does not hold a tree.
    """
    try:
        selection = load(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}). Name a file written by mine --json.") from error
    named = _OF_A_GROUP.fullmatch(file.stem)
    if not named:
        return Shown(selection, file.stem, file)
    group = f"{file.parent.name} · {named['question']}"
    return Shown(
        selection, f"tree {named['tree']}", file, file.parent.name, correct=named["verdict"] == "right", group=group
    )


def trees_below(folder: Path) -> list[Shown]:
    """The trees below ``folder``, by path; files of JSON that claim to be trees and are not are logged.

    Raises:
        ConfigError: There is no tree.
    """
    found = []
    for file in sorted(folder.rglob("*.json")):
        try:
            if _claims_to_be_a_tree(file):
                found.append(tree_in(file))
        except (SchemaError, ConfigError) as error:
            logger.warning("Left out: %s", error)
    if not found:
        raise ConfigError(
            f"{folder}: holds no result. Name a file written by mine --json, or a folder written by mine --out, "
            "bench, training or lmms-eval with --log_samples"
        )
    return found


def _claims_to_be_a_tree(file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            return b'"schema_version"' in opened.read(_HEAD)
    except OSError:
        return False
