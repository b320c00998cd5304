"""One case in a process of its own, so that a signal, a hang or a traceback is a row of the table and not its end."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.errors import VideoMinerError

SURVIVED, TOLD = "survived", "told"
LOST, DOUBLED, UNCLEAR = "lost", "doubled", "unclear"
TRACEBACK, CRASHED, HUNG = "traceback", "crashed", "hung"
OUTCOMES = (SURVIVED, LOST, DOUBLED, TOLD, UNCLEAR, TRACEBACK, CRASHED, HUNG)
WRONG = tuple(outcome for outcome in OUTCOMES if outcome not in (SURVIVED, TOLD))
SHOWN = 400  # characters of a detail that are kept
MEMORY_BYTES = 16 * 2**30  # of addresses: a picture or a prompt of any size must not take the machine along
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.005
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Result:
    """How one case ended.

    Attributes:
        outcome: One of ``OUTCOMES``. ``survived``: the right result; ``told``: an error that names what is wrong;
            ``unclear``: an error that does not; ``lost``: a result that is not the right one, or something outside
            that is gone; ``doubled``: something is there twice.
        detail: What was told or found, for whoever reads the row.
        more: Further figures of the case, as JSON.
    """

    outcome: str
    detail: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"{self.outcome!r} is no outcome; one of {', '.join(OUTCOMES)}")


class Fault(ABC):
    """A kind of fault. Cases are numbers; the same number and seed is the same case.

    Attributes:
        name: The row of the table.
        count: How many cases are tried by default.
        limit_s: Wall-clock seconds after which a case counts as hung; several times what one takes.
        seed: The seed of all cases.
    """

    name: str
    count: int
    limit_s: float

    def __init__(self, seed: int):
        self.seed = seed

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Make in ``folder`` what all cases need, and import what their processes should find imported."""

    @abstractmethod
    def title(self, number: int) -> str:
        """What is done in case ``number``."""

    @abstractmethod
    def run(self, number: int, folder: Path) -> Result:
        """Run case ``number`` in its own empty ``folder``; called in a process of its own."""


def told(error: VideoMinerError, *names: object) -> Result:
    """The outcome of an error raised on purpose: ``told`` if it names one of ``names`` and says more than that."""
    message = str(error)
    named = not names or any(str(name) in message for name in names)
    for name in names:
        message = message.replace(str(name), "")
    clear = named and len(message.split()) >= 3
    return Result(TOLD if clear else UNCLEAR, f"{type(error).__name__}: {error}")


def isolated(work: Callable[[], Result], limit_s: float, folder: Path) -> Result:
    """Run ``work`` in a forked process, its output in ``folder/log``; what it says of itself counts last.

    The process is a group of its own and is killed as a whole, at the latest after ``limit_s`` seconds, which are
    stretched where the machine has more to do than it has cores for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    limit_s *= max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    pid = started(lambda: _answer(work, folder), folder / "log")
    status = waited(pid, limit_s)
    killed(pid)  # whatever it has started
    return _judged(status, folder, limit_s)


def started(work: Callable[[], object], log: Path) -> int:
    """Fork a process that leads a group of its own, runs ``work`` and exits; its output goes to ``log``."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 70
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a Linux call: nothing outlives this program
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdin = open(os.devnull)  # noqa: SIM115 - of this process until its end
        sys.stdout = os.fdopen(1, "w", buffering=1, errors="replace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="replace", closefd=False)
        code = int(work() or 0)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def waited(pid: int, limit_s: float) -> int | None:
    """The wait status of process ``pid``; ``None`` if it still runs after ``limit_s`` seconds."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(_POLL_S)
    killed(pid)
    os.waitpid(pid, 0)
    return None


def killed(pid: int) -> None:
    """Kill the group of process ``pid`` by SIGKILL, if any of it is left."""
    with suppress(ProcessLookupError):  # it has ended, and so has whatever it started
        os.killpg(pid, signal.SIGKILL)


def _answer(work: Callable[[], Result], folder: Path) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    result = work()
    part = folder / "result.part"
    part.write_text(json.dumps(asdict(result)), encoding="utf-8")
    part.rename(folder / "result.json")
    return 0


def _judged(status: int | None, folder: Path, limit_s: float) -> Result:
    log = (folder / "log").read_text(encoding="utf-8", errors="replace") if (folder / "log").exists() else ""
    if status is None:
        return Result(HUNG, f"still running after {limit_s:g} s: {log[-SHOWN:]}")
    if os.WIFSIGNALED(status):
        return Result(CRASHED, f"{signal.Signals(os.WTERMSIG(status)).name}: {log[-SHOWN:]}")
    if _TRACEBACK in log:
        return Result(TRACEBACK, log[log.index(_TRACEBACK) :][-SHOWN:])
    if os.WEXITSTATUS(status) or not (folder / "result.json").exists():
        return Result(TRACEBACK, f"exit code {os.WEXITSTATUS(status)} without a result: {log[-SHOWN:]}")
    result = Result(**json.loads((folder / "result.json").read_text(encoding="utf-8")))
    return Result(result.outcome, result.detail[:SHOWN], result.more)
