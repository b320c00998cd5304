"""A profile: what stages took, each second counted in one stage alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from lmms_videominer.profiling.gpu import GPUSampler

MOST_SLICES = 200_000  # in the trace, about 30 MB of JSON; stages beyond are counted all the same
_NS = 1e-9

active: ContextVar[Profile | None] = ContextVar("videominer_profile", default=None)


@dataclass
class Sums:
    """What one stage took, without the stages within it.

    Attributes:
        calls: How often it was entered.
        items: What it was given, where it says so: frames, captions, texts, decisions.
        seconds: By the clock, added up over threads.
        cpu_s: CPU seconds, those of the threads included that libraries start for it.
        model_s, model_cpu_s: What of these its model took.
    """

    calls: int = 0
    items: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    model_s: float = 0.0
    model_cpu_s: float = 0.0


class Slice(NamedTuple):
    """One call of a stage: when it began, from the beginning of the profile, and how long it took."""

    name: str
    thread: int
    start_ns: int
    duration_ns: int
    cpu_ns: int
    items: int
    of_model: bool


class Profile:
    """Adds up stages while it is ``running``, which it may be several times; not at once.

    Attributes:
        stages: What each stage took, by name, in the order in which they ended first.
        slices: Their calls, the first ``MOST_SLICES``.
        slices_left_out: How many came after these.
        wall_s, cpu_s: What all took, outside stages too.
        in_stages_s: What stages took of ``wall_s``: those of the thread that runs the profile.
    """

    def __init__(self) -> None:
        self.stages: dict[str, Sums] = {}
        self.slices: list[Slice] = []
        self.slices_left_out = 0
        self.wall_s = self.cpu_s = self.in_stages_s = 0.0
        self.gpu = GPUSampler()
        self.origin_ns = time.perf_counter_ns()
        self._open = _OpenStages()
        self._lock = threading.Lock()
        self._thread = 0  # the one that runs the profile
        self._elsewhere_ns = 0  # CPU time of the stages of other threads, so far

    @contextmanager
    def running(self) -> Iterator[Profile]:
        """Within the block, stages count: those of this thread, and of others that run in a copy of its context."""
        self._thread = threading.get_ident()
        token = active.set(self)
        wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        with self.gpu.sampling():
            try:
                yield self
            finally:
                active.reset(token)
                self.wall_s += (time.perf_counter_ns() - wall_ns) * _NS
                self.cpu_s += (time.process_time_ns() - cpu_ns) * _NS

    def opened(self, name: str, items: int = 0, of_model: bool = False) -> OpenStage:
        """A stage to be entered; a model's stage counts in the one that it is called in, if there is one."""
        if of_model and self._open.stack:
            name = self._open.stack[-1].name
        return OpenStage(self, name, items, of_model)

    def figures(self) -> dict[str, Any]:
        """All figures as JSON; seconds, rounded to microseconds."""
        models = [sum(getattr(sums, name) for sums in self.stages.values()) for name in ("model_s", "model_cpu_s")]
        rest = self.rest
        whole = {"wall_s": self.wall_s, "cpu_s": self.cpu_s, "model_s": models[0], "model_cpu_s": models[1]}
        return {
            **_rounded(whole),
            "gpu_busy": self.gpu.busy,
            "stages": {name: _rounded(asdict(sums)) for name, sums in self.stages.items()},
            "rest": _rounded({"seconds": rest.seconds, "cpu_s": rest.cpu_s}),
        }

    @property
    def rest(self) -> Sums:
        """What no stage took of the whole."""
        spent_s = sum(sums.cpu_s for sums in self.stages.values())
        return Sums(seconds=max(0.0, self.wall_s - self.in_stages_s), cpu_s=max(0.0, self.cpu_s - spent_s))

    def cpu_ns(self) -> int:
        """CPU time so far, for the difference of two: on the thread that runs the profile that of the process, which
        has threads of libraries, less what stages of other threads have counted; on others that of the thread."""
        if threading.get_ident() != self._thread:
            return time.thread_time_ns()
        return time.process_time_ns() - self._elsewhere_ns

    @property
    def stack(self) -> list[OpenStage]:
        """The stages that are open in this thread, the outermost first."""
        return self._open.stack

    def closed(self, stage: OpenStage, start_ns: int, wall_ns: int, cpu_ns: int) -> None:
        """Count a stage that has ended; ``wall_ns`` and ``cpu_ns`` include the stages within it."""
        thread = threading.get_ident()
        seconds, cpu_s = (wall_ns - stage.inner_ns) * _NS, (cpu_ns - stage.inner_cpu_ns) * _NS
        with self._lock:
            sums = self.stages.setdefault(stage.name, Sums())
            sums.calls += not stage.of_model
            sums.items += stage.items
            sums.seconds += seconds
            sums.cpu_s += cpu_s
            if stage.of_model:
                sums.model_s += seconds
                sums.model_cpu_s += cpu_s
            if thread == self._thread:
                self.in_stages_s += seconds
            elif not self._open.stack:
                self._elsewhere_ns += cpu_ns
            if len(self.slices) < MOST_SLICES:
                began_ns = start_ns - self.origin_ns
                self.slices.append(Slice(stage.name, thread, began_ns, wall_ns, cpu_ns, stage.items, stage.of_model))
            else:
                self.slices_left_out += 1


class OpenStage:
    """A stage while it is open: a context manager, to be entered once.

    Attributes:
        name: The stage.
        items: What it was given.
        of_model: Whether it is the part of a stage that its model takes.
        inner_ns, inner_cpu_ns: What the stages within it took so far.
    """

    __slots__ = ("_cpu_ns", "_profile", "_start_ns", "inner_cpu_ns", "inner_ns", "items", "name", "of_model")

    def __init__(self, profile: Profile, name: str, items: int, of_model: bool):
        self._profile, self.name, self.items, self.of_model = profile, name, items, of_model
        self.inner_ns = self.inner_cpu_ns = 0

    def __enter__(self) -> None:
        self._profile.stack.append(self)
        self._cpu_ns = self._profile.cpu_ns()
        self._start_ns = time.perf_counter_ns()

    def __exit__(self, *_: object) -> None:
        profile = self._profile
        wall_ns = time.perf_counter_ns() - self._start_ns
        cpu_ns = profile.cpu_ns() - self._cpu_ns
        stack = profile.stack
        stack.pop()
        if stack:
            stack[-1].inner_ns += wall_ns
            stack[-1].inner_cpu_ns += cpu_ns
        profile.closed(self, self._start_ns, wall_ns, cpu_ns)


class _OpenStages(threading.local):
    """The stages that are open in each thread."""

    def __init__(self) -> None:
        self.stack: list[OpenStage] = []


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
