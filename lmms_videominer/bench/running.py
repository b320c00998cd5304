"""Running cells: each in a process and a folder of its own, each once, the others going on where one fails."""

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

CELL, DONE, RUN, LOG, CACHE = "cell.json", "done.json", "run", "log.txt", "cache"  # in the folder of a cell
RUN_WITH = ("batch_size", "version")  # of a finished cell: what no later label changes
TELLING = {
    "key",
    "label",
    "selector",
    "common",
    "model",
    "arguments",
    "config",
    "task",
    "limit",
    "frames",
    "cache",
    *RUN_WITH,
}  # of a cell
SCHEMA = 3
BRIEFLY_S = 1  # another process may hold a lock for a moment, only to see that the cell is finished


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        cell: Which.
        status: ``"run"``, ``"kept"`` (finished before), ``"busy"`` (another process runs it) or ``"failed"``.
        reason: Why it failed.
        log: Its log.
    """

    cell: Cell
    status: str
    reason: str = ""
    log: Path = Path()


def folder_of(out: Path, cell: Cell) -> Path:
    """The folder of a cell: the one with its key, whatever its label was when it was made."""
    return next(iter(sorted((out / "cells").glob(f"*-{cell.key}"))), out / "cells" / cell.name)


def read_cells(out: Path) -> list[Path]:
    """Folders of the finished cells below ``out``, by name."""
    return sorted(path.parent for path in (out / "cells").glob(f"*/{DONE}"))


def read_cell(folder: Path) -> dict[str, Any]:
    """What the file of a cell says.

    Raises:
        SchemaError: It cannot be read, or is no cell's.
    """
    cell = read_json(folder / CELL)
    if not isinstance(cell, dict) or not cell.keys() >= TELLING:
        raise SchemaError(f"{folder / CELL}: describes no cell. Delete its folder, and it is made again.")
    return cell


def is_finished(out: Path, cell: Cell) -> bool:
    return (folder_of(out, cell) / DONE).is_file()


def must_be_filled_again(out: Path, cell: Cell) -> bool:
    """Whether ``cell`` is a warm one that is to run, whose cold run has finished, and whose cache is gone."""
    first = _first_of(out, cell)
    return not is_finished(out, cell) and (first / DONE).is_file() and not (first / CACHE).is_dir()


def ask_tasks(
    out: Path, settings: Settings, tasks: Sequence[str], load: bool = True, execute: Execute = execute
) -> tuple[str, ...]:
    """The tasks that ``tasks`` stand for, groups taken apart, with their documents kept below ``out``.

    Args:
        load: Load the tasks and keep their documents; else only check the names.

    Raises:
        ConfigError: lmms-eval has no such task, the backbone no such argument, or a task cannot be loaded.
    """
    request = Request.of(out, settings, tasks, load)
    known = request.answered()
    if known is not None:
        return known
    request.save()
    log = request.file.with_suffix(".log")
    execute(request.command, log)
    found = request.answered(whole=False)
    if found is None:
        raise ConfigError(f"the tasks {', '.join(tasks)} cannot be loaded: {reason_in(log)}. All that was said: {log}")
    return found


def rename_older(out: Path, cells: Sequence[Cell]) -> None:
    """Add its hash to the label of a finished cell where one of ``cells``, another one, has taken over its place.

    It was run with other settings, or with other weights in the same folder: both stay in the report, side by side.
    """
    planned = {cell.with_cache(cache).key for cell in cells for cache in CACHES}
    taken = {_place(_description(cell)) for cell in cells}
    for folder in read_cells(out):
        try:
            told = read_cell(folder)
        except SchemaError:  # the report refuses it
            continue
        if told["key"] not in planned and _place(told) in taken:
            write_json(folder / CELL, {**told, "label": f"{told['label']} {told['key'][:6]}"})


def _place(told: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two rows of a report must not share: the runs with each cache are one row."""
    names = ("label", "common", "model", "task", "limit", "frames")
    return (*(told[name] for name in names), weights_named(told["arguments"]))


def _description(cell: Cell) -> dict[str, Any]:
    """What the file of a cell says."""
    return {
        "label": cell.variant.label,
        "selector": cell.variant.selector,
        "common": cell.settings.told,
        "frames": cell.frames,
        "batch_size": cell.settings.batch_size,
        "key": cell.key,
        "version": __version__,
        **cell.identity,
    }


def run_cells(
    cells: Sequence[Cell], out: Path, progress: bool = False, execute: Execute = execute
) -> Iterator[Outcome]:
    """Run every cell of ``cells`` that is not finished, and yield how each ended, in order."""
    from tqdm import tqdm

    warm = {cell.key for cell in cells if cell.cache == "warm" and not is_finished(out, cell)}
    with tqdm(total=len(cells), desc="cells", unit="cell", disable=not progress) as bar:
        for cell in cells:
            bar.set_postfix_str(f"{cell.task} {cell.variant.label} {cell.frames}f {cell.cache}")
            yield _run(cell, out, execute, cell.cache == "cold" and cell.with_cache("warm").key in warm)
            bar.update()


def _run(cell: Cell, out: Path, execute: Execute, keep: bool) -> Outcome:
    try:
        return _run_once(cell, out, execute, keep)
    except SchemaError as error:  # a file of its own cannot be read; the other cells go on
        return Outcome(cell, "failed", str(error), folder_of(out, cell) / LOG)


def _run_once(cell: Cell, out: Path, execute: Execute, keep: bool) -> Outcome:
    folder = folder_of(out, cell)
    # a warm run takes over the cache of the cold one, which is nobody else's for so long
    with _held(*dict.fromkeys((folder, _first_of(out, cell)))) as free:
        if (folder / DONE).is_file():
            _name(folder, cell)
            if free and not keep:
                _drop(_first_of(out, cell) / CACHE)  # where it was left by a run that was cut off
            return Outcome(cell, "kept")
        if not free:
            return Outcome(cell, "busy", log=folder / LOG)
        reason = _execute(cell, out, folder, execute, keep)
    return Outcome(cell, "failed" if reason else "run", reason, folder / LOG)


def _first_of(out: Path, cell: Cell) -> Path:
    """The folder of the run whose cache ``cell`` is given: of a warm cell the cold one's, else its own."""
    return folder_of(out, cell.with_cache("cold") if cell.cache == "warm" else cell)


def _execute(cell: Cell, out: Path, folder: Path, execute: Execute, keep: bool) -> str:
    """Run a cell from the start; why it failed, or empty.

    Args:
        keep: Leave the cache of a cold run to the warm one.
    """
    first = _first_of(out, cell)
    cache = first / CACHE
    _name(folder, cell)
    if cell.cache != "warm":
        _drop(cache)
        found = _fill(cell, out, folder, cache, execute)
    elif not (first / DONE).is_file():
        return f"its cold run has not finished: see {first / LOG}"
    else:
        if not cache.is_dir():  # the cold run is of another day
            found = _fill(cell.with_cache("cold"), out, folder, cache, execute)
            if found.reason:
                return found.reason
        found = _evaluate(cell, out, folder, cache, execute)
    if not keep and not (found.reason and cell.cache == "warm"):  # it may be hours of work, for the next try
        _drop(cache)
    if not found.reason:
        done = {"schema": SCHEMA, "wall_s": round(found.wall_s, 3), "run_s": found.requests_s}
        files = {"results": found.results, "samples": found.samples}
        write_json(folder / DONE, {**done, **{name: str(path.relative_to(folder)) for name, path in files.items()}})
    return found.reason


def _evaluate(cell: Cell, out: Path, folder: Path, cache: Path, execute: Execute) -> Evaluation:
    table = table_path(out, cell.task, cell.settings.source)
    return evaluate(cell, folder / RUN, folder / LOG, cache, table, execute)


def _fill(cell: Cell, out: Path, folder: Path, cache: Path, execute: Execute) -> Evaluation:
    """Evaluate from an empty cache; ``cache`` is there afterwards only where the run was whole."""
    part = _part(cache)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was interrupted
    found = _evaluate(cell, out, folder, part, execute)
    if found.reason:
        shutil.rmtree(part, ignore_errors=True)
    elif part.is_dir():
        part.replace(cache)
    else:
        cache.mkdir()  # a selector that keeps nothing made none
    return found


def _drop(cache: Path) -> None:
    """Remove a cache, so that none is ever there in part."""
    part = _part(cache)
    shutil.rmtree(part, ignore_errors=True)
    if cache.is_dir():
        cache.replace(part)
        shutil.rmtree(part, ignore_errors=True)


def _part(cache: Path) -> Path:
    return cache.with_name(f"{cache.name}.part")


def _name(folder: Path, cell: Cell) -> None:
    """Write, or bring up to date, what the cell is: its label may have changed."""
    told = _description(cell)
    if (folder / DONE).is_file():
        before = read_cell(folder)
        told = {**told, **{name: before[name] for name in RUN_WITH}}
        if before == told:
            return
    write_json(folder / CELL, told)


@contextmanager
def _held(*folders: Path) -> Iterator[bool]:
    """Whether the cells are ours: several processes may share those of one folder, each on a GPU of its own."""
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
