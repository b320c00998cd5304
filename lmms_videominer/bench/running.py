"""Running cells: each in a process and a folder of its own, each once, the others going on where one fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from lmms_videominer import __version__
from lmms_videominer.bench.documents import table_path
from lmms_videominer.bench.files import read_json, read_lines, write_json
from lmms_videominer.bench.loading import Request
from lmms_videominer.bench.plan import Cell, Settings
from lmms_videominer.errors import ConfigError

CELL, DONE, RUN, LOG, CACHE = "cell.json", "done.json", "run", "log.txt", "cache"  # in the folder of a cell
SCHEMA = 3
BRIEFLY_S = 1  # another process may hold a lock for a moment, only to see that the cell is finished
NO_NOTE: dict[str, Any] = {"how": "passed"}  # of a sample whose output the plugin did not touch
# on a busy machine decord gives up too early at the end of a file, and with it the plain backbone
ENVIRONMENT = {"DECORD_EOF_RETRY_MAX": "1000000"}
Execute: TypeAlias = Callable[[Sequence[str], Path], int]  # command and log file -> exit status

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\b")
_REASON = re.compile(
    r"Error during evaluation: (.+?)(?:\. Please set `--verbosity|$)|^((?:\w+\.)*\w*(?:Error|Exit)\b: .+)"
)


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


def execute(command: Sequence[str], log: Path) -> int:
    """Run ``command``, what it says going to ``log``; its exit status."""
    with log.open("wb") as file:
        return subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **os.environ}
        ).returncode


def folder_of(out: Path, cell: Cell) -> Path:
    """The folder of a cell: the one with its key, whatever its label was when it was made."""
    return next(iter(sorted((out / "cells").glob(f"*-{cell.key}"))), out / "cells" / cell.name)


def is_finished(out: Path, cell: Cell) -> bool:
    return (folder_of(out, cell) / DONE).is_file()


def must_be_filled_again(out: Path, warm: Cell) -> bool:
    """Whether a warm cell that is to run has a cold run that has finished, and whose cache is gone."""
    first = _first_of(out, warm)
    return not is_finished(out, warm) and (first / DONE).is_file() and not (first / CACHE).is_dir()


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Inside, SIGTERM ends the run of lmms-eval as well as this process: the next one meets no orphan in its cell."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end) if threading.current_thread() is threading.main_thread() else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


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
    found = request.answered()
    if found is None:
        raise ConfigError(f"the tasks {', '.join(tasks)} cannot be loaded: {reason_in(log)}. All that was said: {log}")
    return found


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
        results, samples, wall_s, reason = _fill(cell, out, folder, cache, execute)
    elif not (first / DONE).is_file():
        return f"its cold run has not finished: see {first / LOG}"
    else:
        if not cache.is_dir():  # the cold run is of another day
            *_, reason = _fill(cell.with_cache("cold"), out, folder, cache, execute)
            if reason:
                return reason
        results, samples, wall_s, reason = _evaluate(cell, out, folder, cache, execute)
    if not keep:
        _drop(cache)
    if not reason:
        write_json(folder / DONE, {"schema": SCHEMA, "wall_s": round(wall_s, 3),
                                   "run_s": seconds_of_requests(folder / LOG),
                                   "results": str(results.relative_to(folder)),
                                   "samples": str(samples.relative_to(folder))})  # fmt: skip
    return reason


def _fill(cell: Cell, out: Path, folder: Path, cache: Path, execute: Execute) -> tuple[Path, Path, float, str]:
    """As ``_evaluate`` from an empty cache; ``cache`` is there only where the run was whole."""
    part = _part(cache)
    shutil.rmtree(part, ignore_errors=True)  # of a run that was interrupted
    found = _evaluate(cell, out, folder, part, execute)
    if found[-1]:
        shutil.rmtree(part, ignore_errors=True)
    elif part.is_dir():  # a selector that keeps nothing makes none
        part.replace(cache)
    else:
        cache.mkdir()
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


def _evaluate(cell: Cell, out: Path, folder: Path, cache: Path, execute: Execute) -> tuple[Path, Path, float, str]:
    """Run lmms-eval: its results, its logged samples, its seconds, and why it failed, or empty."""
    shutil.rmtree(folder / RUN, ignore_errors=True)  # of a run that was interrupted
    started = time.perf_counter()
    status = execute(cell.command((folder / RUN).absolute(), cache.absolute()), folder / LOG)
    wall_s = time.perf_counter() - started
    results, samples = find_results(folder / RUN, cell.task)
    if results is None or samples is None:
        reason = reason_in(folder / LOG) or f"lmms-eval ended with status {status} and left no results"
        return Path(), Path(), wall_s, reason
    return results, samples, wall_s, _lacking(samples, table_path(out, cell.task, cell.settings.source))


def _lacking(samples: Path, table: Path) -> str:
    """What is wrong with the logged samples; empty where each document has one, and the backbone answered any."""
    logged = read_lines(samples)
    asked = len(read_json(table)) if table.is_file() else len(logged)
    if len(logged) != asked:
        return f"lmms-eval logged {len(logged)} samples of {asked} documents"
    notes = [note_in(sample) for sample in logged]
    if notes and all(note.get("empty") for note in notes):
        return f"the backbone answered none of {asked} documents; of the first: {notes[0].get('problem')}"
    return ""


def note_in(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What the plugin said of a logged sample."""
    counts = (sample.get("token_counts") or [None])[0] or {}
    return counts.get("videominer") or NO_NOTE


def _name(folder: Path, cell: Cell) -> None:
    """Write, or bring up to date, what the cell is: its label may have changed."""
    told = {"label": cell.variant.label, "selector": cell.variant.selector, "common": cell.settings.told,
            "frames": cell.frames, "batch_size": cell.settings.batch_size, "key": cell.key, "version": __version__,
            **cell.identity}  # fmt: skip
    path = folder / CELL
    before = read_json(path) if path.is_file() else {}
    if (folder / DONE).is_file():  # what it was run with stays
        told = {**told, **{name: before[name] for name in ("batch_size", "version")}}
    if before != told:
        write_json(path, told)


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


def find_results(run: Path, task: str) -> tuple[Path | None, Path | None]:
    """The newest results and logged samples of a task below ``run``; ``None`` for what is not there."""
    results = sorted(run.rglob("*_results.json"))
    samples = sorted(run.rglob(f"*_samples_{task}.jsonl"))
    return (results[-1] if results else None), (samples[-1] if samples else None)


def reason_in(log: Path) -> str:
    """The last error that a log tells; empty where it tells none."""
    for line in reversed(_lines(log)):
        found = _REASON.search(line)
        if found:
            return found[1] or found[2]
    return ""


def seconds_of_requests(log: Path) -> float | None:
    """Seconds from lmms-eval's first request to the last answer: selection and answers, no loading, to the second.

    From the times in its log; ``None`` where these lines are not there.
    """
    stamps: dict[str, Any] = {}
    for line in _lines(log):
        stamp = _STAMP.match(line)
        if stamp and re.search(r"Running \w+ requests", line):
            stamps.setdefault("start", datetime.fromisoformat(stamp[1]))
        elif stamp and "Postprocessed" in line:
            stamps.setdefault("end", datetime.fromisoformat(stamp[1]))
    return (stamps["end"] - stamps["start"]).total_seconds() if len(stamps) == 2 else None


def _lines(log: Path) -> list[str]:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return _COLOUR.sub("", text).splitlines()
