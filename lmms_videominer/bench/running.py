"""Runs cells: each once, in its own process and folder; if one fails, the others still run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmms_videominer import __version__
from lmms_videominer.bench.documents import table_path
from lmms_videominer.bench.evaluating import Evaluation, Execute, evaluate, execute, reason_in
from lmms_videominer.bench.files import read_json, write_json
from lmms_videominer.bench.load_tasks import Request
from lmms_videominer.bench.plan import CACHES, Cell, Settings, weights_named
from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.show.printable import printable

CELL, DONE, RUN, LOG, CACHE = "cell.json", "done.json", "run", "log.txt", "cache"  # in the folder of a cell
RUN_WITH = ("batch_size", "version")  # entries of a finished cell that a new label does not change
CELL_TEXTS = ("key", "label", "selector", "common", "model", "task", "cache")
CELL_KEYS = {*CELL_TEXTS, "arguments", "config", "limit", "frames", *RUN_WITH}  # keys in the file of a cell
SCHEMA = 3
BRIEFLY_S = 1  # another process may hold a lock briefly, just to see that the cell is finished


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        cell: The cell.
        status: ``"run"``, ``"kept"`` (finished before), ``"busy"`` (another process runs it) or ``"failed"``.
        reason: Why it failed.
        log: Its log.
    """

    cell: Cell
    status: str
    reason: str = ""
    log: Path = Path()


def folder_of(out: Path, cell: Cell) -> Path:
    """The folder of a cell: the one with its key, even if its label has changed since it was created."""
    return next(iter(sorted((out / "cells").glob(f"*-{cell.key}"))), out / "cells" / cell.name)


def read_cells(out: Path) -> list[Path]:
    """Folders of the finished cells below ``out``, by name."""
    return sorted(path.parent for path in (out / "cells").glob(f"*/{DONE}"))


def read_cell(folder: Path) -> dict[str, Any]:
    """The content of the file of a cell.

    Raises:
        SchemaError: It cannot be read, or does not describe a cell.
    """
    cell = read_json(folder / CELL)
    if not _describes_a_cell(cell):
        raise SchemaError(f"{folder / CELL}: does not describe a cell. Delete its folder to run the cell again.")
    return cell


def _describes_a_cell(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() >= CELL_KEYS
        and all(isinstance(value[name], str) for name in CELL_TEXTS)
        and all(isinstance(value[name], (int, type(None))) for name in ("limit", "frames"))
        and all(isinstance(value[name], dict) for name in ("arguments", "config"))
        and all(isinstance(argument, str) for argument in value["arguments"].values())
    )


def is_finished(out: Path, cell: Cell) -> bool:
    return (folder_of(out, cell) / DONE).is_file()


def must_be_filled_again(out: Path, cell: Cell) -> bool:
    """Whether ``cell`` is an unfinished warm one whose cold run has finished but whose cache is gone."""
    first = _first_of(out, cell)
    return not is_finished(out, cell) and (first / DONE).is_file() and not (first / CACHE).is_dir()


def ask_tasks(
    out: Path, settings: Settings, tasks: Sequence[str], load: bool = True, execute: Execute = execute
) -> tuple[str, ...]:
    """The tasks named by ``tasks``, with groups expanded; their documents are stored below ``out``.

    Args:
        load: Load the tasks and store their documents; otherwise only check the names.

    Raises:
        ConfigError: lmms-eval has no such task, the backbone has no such argument, or a task cannot be loaded.
    """
    request = Request.of(out, settings, tasks, load)
    stored = request.answered()
    if stored is not None:
        return stored
    request.save()
    log = request.file.with_suffix(".log")
    execute(request.command, log)
    names = request.answered(whole=False)
    if names is None:
        raise ConfigError(f"the tasks {', '.join(tasks)} cannot be loaded: {reason_in(log)}. Full log: {log}")
    return names


def rename_older(out: Path, cells: Sequence[Cell]) -> None:
    """Add its hash to the label of a finished cell if a different one of ``cells`` has taken its place in the report.

    It was run with other settings, or with other weights in the same folder; both stay in the report, side by side.
    """
    planned = {cell.with_cache(cache).key for cell in cells for cache in CACHES}
    places = {_place(_description(cell)) for cell in cells}
    for folder in read_cells(out):
        try:
            description = read_cell(folder)
        except SchemaError:  # the report refuses it
            continue
        if description["key"] not in planned and _place(description) in places:
            label = f"{description['label']} {description['key'][:6]}"
            write_json(folder / CELL, {**description, "label": label})


def _place(description: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values that identify a row of a report; the runs with different caches are one row."""
    names = ("label", "common", "model", "task", "limit", "frames")
    return (*(description[name] for name in names), weights_named(description["arguments"]))


def _description(cell: Cell) -> dict[str, Any]:
    """The content of the file of a cell."""
    return {
        "label": cell.variant.label,
        "selector": cell.variant.selector,
        "common": cell.settings.common_text,
        "frames": cell.frames,
        "batch_size": cell.settings.batch_size,
        "key": cell.key,
        "version": __version__,
        **cell.identity,
    }


def run_cells(
    cells: Sequence[Cell], out: Path, progress: bool = False, execute: Execute = execute
) -> Iterator[Outcome]:
    """Run the unfinished ones of ``cells``, and yield the outcome of every cell, in order."""
    from tqdm import tqdm

    warm = {cell.key for cell in cells if cell.cache == "warm" and not is_finished(out, cell)}
    with tqdm(total=len(cells), desc="cells", unit="cell", disable=not progress) as bar:
        for cell in cells:
            bar.set_postfix_str(printable(f"{cell.task} {cell.variant.label} {cell.frames}f {cell.cache}", keep=""))
            yield _run(cell, out, execute, cell.cache == "cold" and cell.with_cache("warm").key in warm)
            bar.update()


def _run(cell: Cell, out: Path, execute: Execute, keep: bool) -> Outcome:
    try:
        return _run_once(cell, out, execute, keep)
    except SchemaError as error:  # one of its files cannot be read; the other cells still run
        return Outcome(cell, "failed", str(error), folder_of(out, cell) / LOG)


def _run_once(cell: Cell, out: Path, execute: Execute, keep: bool) -> Outcome:
    folder = folder_of(out, cell)
    # a warm run uses the cache of the cold one, which must be locked meanwhile
    with _locked(*dict.fromkeys((folder, _first_of(out, cell)))) as free:
        if (folder / DONE).is_file():
            _name(folder, cell)
            if free and not keep:
                _drop(_first_of(out, cell) / CACHE)  # in case an interrupted run left it
            return Outcome(cell, "kept")
        if not free:
            return Outcome(cell, "busy", log=folder / LOG)
        reason = _execute(cell, out, folder, execute, keep)
    return Outcome(cell, "failed" if reason else "run", reason, folder / LOG)


def _first_of(out: Path, cell: Cell) -> Path:
    """The folder with the cache of ``cell``: that of its cold run for a warm cell, else its own."""
    return folder_of(out, cell.with_cache("cold") if cell.cache == "warm" else cell)


def _execute(cell: Cell, out: Path, folder: Path, execute: Execute, keep: bool) -> str:
    """Run a cell from the start; return why it failed, or an empty string.

    Args:
        keep: Keep the cache of a cold run for the warm one.
    """
    first = _first_of(out, cell)
    cache = first / CACHE
    _name(folder, cell)
    if cell.cache != "warm":
        _drop(cache)
        evaluation = _fill(cell, out, folder, cache, execute)
    elif not (first / DONE).is_file():
        return f"its cold run has not finished: see {first / LOG}"
    else:
        if not cache.is_dir():  # the cold run finished in an earlier comparison
            evaluation = _fill(cell.with_cache("cold"), out, folder, cache, execute)
            if evaluation.reason:
                return evaluation.reason
        evaluation = _evaluate(cell, out, folder, cache, execute)
    if not keep and not (evaluation.reason and cell.cache == "warm"):  # keep what may be hours of work for a retry
        _drop(cache)
    if not evaluation.reason:
        done = {"schema": SCHEMA, "wall_s": round(evaluation.wall_s, 3), "run_s": evaluation.requests_s}
        files = {"results": evaluation.results, "samples": evaluation.samples}
        write_json(folder / DONE, {**done, **{name: str(path.relative_to(folder)) for name, path in files.items()}})
    return evaluation.reason


def _evaluate(cell: Cell, out: Path, folder: Path, cache: Path, execute: Execute) -> Evaluation:
    table = table_path(out, cell.task, cell.settings.source)
    return evaluate(cell, folder / RUN, folder / LOG, cache, table, execute)


def _fill(cell: Cell, out: Path, folder: Path, cache: Path, execute: Execute) -> Evaluation:
    """Evaluate from an empty cache; ``cache`` exists afterwards only if the run was complete."""
    part = _part(cache)
    shutil.rmtree(part, ignore_errors=True)  # left by an interrupted run
    evaluation = _evaluate(cell, out, folder, part, execute)
    if evaluation.reason:
        shutil.rmtree(part, ignore_errors=True)
    elif part.is_dir():
        part.replace(cache)
    else:
        cache.mkdir()  # a selector that caches nothing creates none
    return evaluation


def _drop(cache: Path) -> None:
    """Remove a cache atomically, so that it never exists in part."""
    part = _part(cache)
    shutil.rmtree(part, ignore_errors=True)
    if cache.is_dir():
        cache.replace(part)
        shutil.rmtree(part, ignore_errors=True)


def _part(cache: Path) -> Path:
    return cache.with_name(f"{cache.name}.part")


def _name(folder: Path, cell: Cell) -> None:
    """Write or update the file of a cell: its label may have changed."""
    description = _description(cell)
    if (folder / DONE).is_file():
        before = read_cell(folder)
        description = {**description, **{name: before[name] for name in RUN_WITH}}
        if before == description:
            return
    write_json(folder / CELL, description)


@contextmanager
def _locked(*folders: Path) -> Iterator[bool]:
    """Lock the cells; yields whether that succeeded. Several processes, each on its own GPU, may share a comparison."""
    from filelock import FileLock, Timeout

    with ExitStack() as stack:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(FileLock(folder / ".lock", timeout=BRIEFLY_S))
            except Timeout:
                stack.close()
                yield False
                return
        yield True
