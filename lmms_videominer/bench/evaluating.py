"""Runs lmms-eval once and reads its results, its duration and its log."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from lmms_videominer.bench.files import read_json, read_lines, written
from lmms_videominer.bench.plan import Cell
from lmms_videominer.errors import SchemaError
from lmms_videominer.lmms.arguments import SECRETS
from lmms_videominer.lmms.backbone_vlm import is_failure
from lmms_videominer.lmms.shown_samples import noted
from lmms_videominer.redaction import hidden

NO_NOTE: dict[str, Any] = {"how": "passed"}  # for a sample whose output the plugin did not touch
# on a busy machine decord gives up too early at the end of a file, and then the plain backbone fails
ENVIRONMENT = {"DECORD_EOF_RETRY_MAX": "1000000"}
Execute: TypeAlias = Callable[[Sequence[str], Path], int]  # command and log file -> exit status

# looked up at import: no library may be loaded between fork and exec
_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_WITH_TEXT = ("*.json", "*.jsonl", "*.html")  # files of a run
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\b")
_REASON = re.compile(
    r"Error during evaluation: (.+?)(?:\. Please set `--verbosity|$)|^((?:\w+\.)*\w*(?:Error|Exit)\b: .+)"
)


@dataclass(frozen=True)
class Evaluation:
    """The outcome of one run of lmms-eval.

    Attributes:
        reason: Why it failed; empty if it did not.
        results, samples: Files of lmms-eval's results and logged samples, if it did not fail.
        wall_s: Seconds of the whole process.
        requests_s: Seconds of its requests only; ``None`` if its log does not have them.
    """

    reason: str
    results: Path = Path()
    samples: Path = Path()
    wall_s: float = 0.0
    requests_s: float | None = None


def execute(command: Sequence[str], log: Path) -> int:
    """Run ``command`` with its output in ``log``; return its exit status.

    On Linux it ends with this process, however that ends. Otherwise it could still write to its cell when the next
    process runs that cell.
    """
    setup = _end_with_parent if _prctl else None
    with log.open("wb") as file, _exit_on_sigterm():
        return subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **os.environ}, preexec_fn=setup
        ).returncode


def _end_with_parent() -> None:
    """In the new process: request SIGTERM when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Within the block, SIGTERM raises ``SystemExit`` in this process, which also ends the run of lmms-eval."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end) if threading.current_thread() is threading.main_thread() else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def evaluate(cell: Cell, run: Path, log: Path, cache: Path, table: Path, execute: Execute = execute) -> Evaluation:
    """Run lmms-eval on a cell.

    Args:
        run: Folder for lmms-eval's files; emptied first.
        log: File for its output.
        cache: Cache folder of the run, unless it uses the shared cache.
        table: The documents of the task, as written by ``documents.py``; each must have an answer.
        execute: Runs a command line.
    """
    shutil.rmtree(run, ignore_errors=True)  # left by an interrupted run
    started = time.perf_counter()
    with _in_environment(cell.settings.secret):
        status = execute(cell.command(run.absolute(), cache.absolute()), log)
    wall_s = time.perf_counter() - started
    hide(cell.settings.secret_values, [log, *(path for kind in _WITH_TEXT for path in run.rglob(kind))])
    results, samples = find_results(run, cell.task)
    if results is None or samples is None:
        return Evaluation(reason_in(log) or f"lmms-eval ended with status {status} and left no results")
    try:
        read_json(results)
        reason = _fault_in(samples, table)
    except SchemaError as error:  # it ended while writing
        reason = reason_in(log) or str(error)
    return Evaluation(reason, results, samples, wall_s, seconds_of_requests(log))


@contextmanager
def _in_environment(secrets: Mapping[str, str]) -> Iterator[None]:
    """Within the block, a program that is started has ``secrets`` in its environment, which others cannot read.

    It has none that the user's own environment may name: they would be part of no cell's arguments.
    """
    before = os.environ.pop(SECRETS, None)
    if secrets:
        os.environ[SECRETS] = json.dumps(secrets)
    try:
        yield
    finally:
        os.environ.pop(SECRETS, None)
        if before is not None:
            os.environ[SECRETS] = before


def hide(secrets: Collection[str], files: Iterable[Path]) -> None:
    """Write ``***`` over ``secrets`` that a backbone or a service has repeated in ``files``.

    Short ones, as ``none`` for a service that wants no key, may be words of any text and are left.
    """
    for path in files if secrets else ():
        if not path.is_file():
            continue
        text = path.read_bytes().decode(errors="surrogateescape")  # a log may hold anything
        if (shown := hidden(text, secrets)) != text:
            with written(path) as part:
                part.write_bytes(shown.encode(errors="surrogateescape"))


def _fault_in(samples: Path, table: Path) -> str:
    """What is wrong with the logged samples; empty if each document has one and the backbone answered at least one."""
    logged = read_lines(samples)
    documents = len(read_json(table)) if table.is_file() else len(logged)
    if len(logged) != documents:
        return f"lmms-eval logged {len(logged)} samples of {documents} documents"
    problems = [no_answer_in(sample) for sample in logged]
    if problems and all(problems):
        return f"the backbone answered none of {documents} documents; for the first: {problems[0]}"
    return ""


def no_answer_in(sample: Mapping[str, Any]) -> str:
    """Why a logged sample has no answer of the backbone; empty if it has one."""
    note = note_in(sample)
    if note.get("empty"):
        return note.get("problem") or "the backbone failed on it"
    reply = text_in(sample, "filtered_resps")
    return reply if is_failure(reply) else ""


def text_in(sample: Mapping[str, Any], name: str) -> str:
    """An entry of a logged sample as text."""
    value = sample.get(name)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def note_in(sample: Mapping[str, Any]) -> dict[str, Any]:
    """The plugin's note on a logged sample."""
    return noted(sample) or NO_NOTE


def find_results(run: Path, task: str) -> tuple[Path | None, Path | None]:
    """The newest results and logged samples of a task below ``run``; ``None`` for a missing file."""
    results = sorted(run.rglob("*_results.json"))
    samples = sorted(run.rglob(f"*_samples_{glob.escape(task)}.jsonl"))
    return (results[-1] if results else None), (samples[-1] if samples else None)


def reason_in(log: Path) -> str:
    """The last error in a log; empty if it has none."""
    for line in reversed(_lines(log)):
        match = _REASON.search(line)
        if match:
            return match[1] or match[2]
    return ""


def seconds_of_requests(log: Path) -> float | None:
    """Whole seconds from lmms-eval's first request to the last answer: selection and answers, without loading.

    Taken from the timestamps in its log; ``None`` if these lines are missing.
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
