"""What a page shows of one selection: the selection, and what is known of it from beside its tree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lmms_videominer.types import Selection
from lmms_videominer.verdict import chosen_option


@dataclass(frozen=True)
class NodeReward:
    """The rewards of one decision in training, by part, and its advantage within its group (docs/training.md)."""

    format: float
    length: float
    action: float
    tree: float  # R_tree
    total: float
    advantage: float


@dataclass(frozen=True)
class Shown:
    """One result of a page.

    Attributes:
        selection: The selection.
        name: What the result is called: a row's id, a document, a file.
        file: Its file, from which relative paths are also looked up; ``None`` for a selection in memory.
        label: What it is one of: a variant of a comparison, a task, a step of training; empty if of nothing.
        kind: The kind of its question; empty if unknown.
        target: The right answer as its source writes it; empty if unknown.
        correct: Whether the answer is right; ``None`` if that is not known.
        group: Name of the group of trees that it belongs to in training; empty if to none.
        rewards: By node, if the tree is one of a training group whose rewards were kept.
    """

    selection: Selection
    name: str
    file: Path | None = None
    label: str = ""
    kind: str = ""
    target: str = ""
    correct: bool | None = None
    group: str = ""
    rewards: Mapping[str, NodeReward] = field(default_factory=dict)

    @property
    def right_option(self) -> int | None:
        """Index of the option that ``target`` names, or a right answer; ``None`` if it is not known."""
        told = self.target or (self.selection.answer if self.correct else "")
        return chosen_option(told, self.selection.question.options)

    def video_file(self, place: Path | None = None) -> Path:
        """The file of the video, which need not exist: as the result names it, from there or from here, or beside it.

        Args:
            place: Where the video has been moved to: the file, or the folder that it is in.
        """
        mined = Path(self.selection.question.video)
        if place is not None:
            return place / mined.name if place.is_dir() else place
        folder = self.file.parent if self.file else Path()
        return next((path for path in (folder / mined, mined, folder / mined.name) if _is_file(path)), mined)


def _is_file(path: Path) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # no file has a NUL in its name
        return False
