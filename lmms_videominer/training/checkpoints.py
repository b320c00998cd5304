"""Checkpoints that tell whether they are whole: each has a list of its files with their sizes, written last."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Any

from lmms_videominer.store.atomic import written

logger = logging.getLogger("lmms_videominer.training")

FILES = "files.json"  # empty while the checkpoint is written, then the size in bytes of every other file, by name
STATE = "trainer_state.json"
PREFIX = "checkpoint-"
PARTS = {  # what training needs to go on as if it had not stopped, as patterns of which one has a file
    "weights": ("*.safetensors", "pytorch_model*.bin", "global_step*/*"),
    "state of the optimizer": ("optimizer.pt", "global_step*/*"),
    "state of the scheduler": ("scheduler.pt", "global_step*/*"),
    "state of the random generators": ("rng_state*.pth",),
}


class WholeCheckpoints:
    """A mixin for a ``Trainer``, before it in the bases, whose checkpoints are whole or can be told from whole ones.

    ``_save_checkpoint`` writes the list of the checkpoint's files once every process has written its own, and only
    then removes what ``save_total_limit`` does not keep: damaged checkpoints before whole ones.
    """

    args: Any
    accelerator: Any

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        trainer: Any = self
        folder = Path(trainer._get_output_dir(trial=trial)) / f"{PREFIX}{trainer.state.global_step}"
        if self.args.should_save:
            begin(folder)
        self.accelerator.wait_for_everyone()
        limit, self.args.save_total_limit = self.args.save_total_limit, None  # transformers would not tell whole ones
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            finish(folder)
            if limit and limit > 0:
                best = trainer.state.best_model_checkpoint
                remove_old(folder.parent, limit, {folder} | ({Path(best)} if best else set()))


def begin(folder: Path) -> None:
    """Make an empty checkpoint that is not whole; what a run that was stopped left there is removed."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / FILES).touch()


def finish(folder: Path) -> None:
    """Make the checkpoint whole."""
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder)}
    with written(folder / FILES) as part:
        part.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints in ``folder``, whole or not, by step."""
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def remove_old(folder: Path, limit: int, kept: set[Path]) -> None:
    """Remove checkpoints until ``limit`` are left: damaged ones first, then by step.

    Those in ``kept`` stay, and so does the newest whole one.
    """
    found = checkpoints(folder)
    damaged = {path for path in found if damage(path)}
    kept = kept | set([path for path in found if path not in damaged][-1:])
    removable = sorted((path for path in found if path not in kept), key=lambda path: path not in damaged)
    for path in removable[: max(0, len(found) - limit)]:
        shutil.rmtree(path, ignore_errors=True)


def damage(checkpoint: Path) -> str:
    """Why training cannot go on from ``checkpoint``; empty if it is whole.

    Sizes and the heads and ends of files are compared, not their whole content. A checkpoint without a list of files,
    of an earlier version, must have one file at least of each of ``PARTS``.
    """
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
        listed = _listed(checkpoint)
    except FileNotFoundError:
        return f"{STATE} is missing"
    except (OSError, ValueError, RecursionError) as error:
        return f"{STATE} or {FILES} cannot be read ({error})"
    if not isinstance(state, dict) or not isinstance(state.get("global_step"), int):
        return f"{STATE} has no global_step"
    if listed is None:
        missing = (f"the {part} is missing" for part, names in PARTS.items() if not _any(checkpoint, names))
        return next(missing, "") or damaged_file(checkpoint)
    if not listed:
        return "it was not written to its end"
    for name, size in listed.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
    return damaged_file(checkpoint)


def damaged_file(folder: Path) -> str:
    """Which file of weights or states in ``folder`` is cut off or has another content; empty if there is none."""
    for path in _files(folder):
        name = path.relative_to(folder)
        if path.suffix == ".safetensors" and (reason := _unreadable(path)):
            return f"{name} is damaged ({reason})"
        if path.suffix in (".pt", ".pth", ".bin") and not zipfile.is_zipfile(path):
            return f"{name} is cut off"
        if path.name.endswith(".index.json"):
            try:
                shards = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
                absent = sorted(shard for shard in set(shards) if not (path.parent / shard).is_file())
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # whatever it holds instead
                return f"{name} is damaged"
            if absent:
                return f"{absent[0]} is missing"
    return ""


def _unreadable(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):  # reads the head, and compares it with the size
            return ""
    except (SafetensorError, OSError) as error:
        return str(error)


def _listed(checkpoint: Path) -> dict[str, int] | None:
    """The sizes of the files; none while they are written; ``None`` for a checkpoint of an earlier version."""
    path = checkpoint / FILES
    if not path.exists():
        return None
    sizes = json.loads(path.read_text(encoding="utf-8") or "{}")
    if not isinstance(sizes, dict):
        raise ValueError(f"{FILES} is no list of files")
    return sizes


def _files(folder: Path) -> list[Path]:
    """The files of a checkpoint, and not those of the checkpoints in it if it is the folder of a run."""
    own = (path for path in folder.rglob("*") if not path.relative_to(folder).parts[0].startswith(PREFIX))
    return sorted(path for path in own if path.is_file() and path != folder / FILES)


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))
