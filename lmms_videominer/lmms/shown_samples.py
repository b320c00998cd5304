"""The samples that a run of lmms-eval logged, as a page shows them, and the page that each run leaves beside them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmms_videominer.errors import VideoMinerError
from lmms_videominer.show.view.found import tree_in
from lmms_videominer.show.view.page import PageSettings, write_page
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.store.lines import read_lines
from lmms_videominer.verdict import chosen_option

SAMPLES, PAGE = "_samples_", "_view_"  # in names of files: of a task's samples, and of their page
KIND_KEYS = ("kind", "task_type", "question_category", "category")  # fields of documents; the first one present counts

logger = logging.getLogger(__name__)


def sample_files(folder: Path) -> list[Path]:
    """The files of logged samples below ``folder``, by name."""
    return sorted(folder.rglob(f"*{SAMPLES}*.jsonl"))


def shown_samples(file: Path) -> list[Shown]:
    """The samples in ``file`` whose trees are stored; those that cannot be read are logged.

    An answer is right if it names the option that the target names; where either names none, that is not known, since
    only the task knows how it counts.

    Raises:
        OSError: The file cannot be read.
    """
    values, _ = read_lines(file)
    task = file.stem.partition(SAMPLES)[2]
    shown = []
    for sample in values:
        tree = _tree_of(sample, file)
        if tree is None:
            continue
        try:
            selection = tree_in(tree).selection
        except VideoMinerError as error:
            logger.warning("Left out: %s", error)
            continue
        target = str(sample.get("target") or "")
        options = selection.question.options
        right, chosen = chosen_option(target, options), chosen_option(selection.answer, options)
        correct = None if right is None or selection.answer is None else right == chosen
        kind = kind_of(sample.get("doc"))
        shown.append(Shown(selection, f"{task} {sample.get('doc_id')}", tree, task, kind, target, correct))
    return shown


def kind_of(document: Any) -> str:
    """The kind of question that a task's document says it is; empty if it says none."""
    fields = document if isinstance(document, Mapping) else {}
    return next((str(fields[key]) for key in KIND_KEYS if fields.get(key) not in (None, "")), "")


def write_samples_page(file: Path) -> Path | None:
    """Write the page of the samples in ``file`` beside it, from the pictures that the run kept.

    What cannot be written is logged: a run stands without its page.

    Returns:
        The page; ``None`` if no sample has a tree, or it could not be written.
    """
    page = file.with_name(file.name.replace(SAMPLES, PAGE, 1)).with_suffix(".html")
    try:
        shown: Sequence[Shown] = shown_samples(file)
        if not shown:
            return None
        return write_page(shown, PageSettings(shown[0].label, decode=False, out=page))
    except (OSError, VideoMinerError) as error:
        logger.warning("The page of %s cannot be written: %s", file, error)
        return None


def noted(sample: Any) -> dict[str, Any]:
    """What the plugin noted of a sample, which lmms-eval logs with its token counts; empty if it noted nothing."""
    counts = sample.get("token_counts") if isinstance(sample, dict) else None
    first = counts[0] if isinstance(counts, list) and counts else None
    note = first.get("videominer") if isinstance(first, dict) else None
    return note if isinstance(note, dict) else {}


def _tree_of(sample: Any, file: Path) -> Path | None:
    """The stored tree of a logged sample: where it was written, else beside the samples, if the run was moved."""
    named = noted(sample).get("tree")
    if not isinstance(named, str) or not named or "\0" in named:
        return None
    written = Path(named)
    moved = [folder / Path(*written.parts[-4:]) for folder in list(file.parents)[:3]]
    return next((path for path in (written, *moved) if path.is_file()), None)
