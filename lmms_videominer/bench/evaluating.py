"""One run of lmms-eval: what it left, how long it took, and what its log says."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from lmms_videominer.bench.files import read_json, read_lines
from lmms_videominer.bench.plan import Cell
from lmms_videominer.errors import SchemaError
from lmms_videominer.lmms.backbone_vlm import is_failure

NO_NOTE: dict[str, Any] = {"how": "passed"}  # of a sample whose output the plugin did not touch
# on a busy machine decord gives up too early at the end of a file, and with it the plain backbone
ENVIRONMENT = {"DECORD_EOF_RETRY_MAX": "1000000"}
Execute: TypeAlias = Callable[[Sequence[str], Path], int]  # command and log file -> exit status

# looked up here: between fork and exec no library may be loaded
_prctl: Any = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\b")
_REASON = re.compile(
    r"Error during evaluation: (.+?)(?:\. Please set `--verbosity|$)|^((?:\w+\.)*\w*(?:Error|Exit)\b: .+)"
)


@dataclass(frozen=True)
class Evaluation:
    """What a run of lmms-eval left.

    Attributes:
        reason: Why it failed, or empty.
        results, samples: lmms-eval's results and logged samples, where it did not fail.
        wall_s: Seconds of the whole process.
        requests_s: Seconds of its requests alone; ``None``: its log does not tell.
    """

    reason: str
    results: Path = Path()
    samples: Path = Path()
    wall_s: float = 0.0
    requests_s: float | None = None


def execute(command: Sequence[str], log: Path) -> int:
    """Run ``command``, what it says going to ``log``; its exit status.

    It ends with this process, however that ends (on Linux): else the next one would meet it in its cell.
    """
    before_it = _end_with_parent if _prctl else None
    with log.open("wb") as file, _ending_on_sigterm():
        return subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **os.environ}, preexec_fn=before_it
        ).returncode


def _end_with_parent() -> None:
    """In the new process: SIGTERM once its parent is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Inside, SIGTERM ends this process as an error does, and with it the run of lmms-eval."""

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
        run: Gets what lmms-eval writes; emptied first.
        log: Gets what it says.
        cache: Its cache, unless it is the shared one.
        table: The documents of the task, as ``documents.py`` keeps them; each must have an answer.
        execute: Runs a command line.
    """
    shutil.rmtree(run, ignore_errors=True)  # of a run that was interrupted
    started = time.perf_counter()
    status = execute(cell.command(run.absolute(), cache.absolute()), log)
    wall_s = time.perf_counter() - started
    results, samples = find_results(run, cell.task)
    if results is None or samples is None:
        return Evaluation(reason_in(log) or f"lmms-eval ended with status {status} and left no results")
    try:
        read_json(results)
        lacking = _lacking(samples, table)
    except SchemaError as error:  # it ended while writing
        lacking = reason_in(log) or str(error)
    return Evaluation(lacking, results, samples, wall_s, seconds_of_requests(log))


def _lacking(samples: Path, table: Path) -> str:
    """What is wrong with the logged samples; empty where each document has one, and the backbone answered any."""
    logged = read_lines(samples)
    asked = len(read_json(table)) if table.is_file() else len(logged)
    if len(logged) != asked:
        return f"lmms-eval logged {len(logged)} samples of {asked} documents"
    problems = [no_answer_in(sample) for sample in logged]
    if problems and all(problems):
        return f"the backbone answered none of {asked} documents; of the first: {problems[0]}"
    return ""


def no_answer_in(sample: Mapping[str, Any]) -> str:
    """Why what is logged of a sample is no answer of the backbone; empty where it is one."""
    note = note_in(sample)
    if note.get("empty"):
        return note.get("problem") or "the backbone failed on it"
    said = text_in(sample, "filtered_resps")
    return said if is_failure(said) else ""


def text_in(sample: Mapping[str, Any], name: str) -> str:
    """An entry of a logged sample as text."""
    value = sample.get(name)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def note_in(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What the plugin said of a logged sample."""
    counts = (sample.get("token_counts") or [None])[0] or {}
    return counts.get("videominer") or NO_NOTE


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
