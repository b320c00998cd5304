"""Where the time of a run of lmms-eval goes: the model argument ``profile``."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from lmms_videominer.profiling import Profile, stage
from lmms_videominer.profiling.trace import trace_of
from lmms_videominer.store import trace_json

TRACE = "profile.json"  # beside the trees, where no other file is named

logger = logging.getLogger(__name__)


class Timing:
    """Measures loading and answering.

    Args:
        target: The file of the trace; ``"True"``: beside the trees; empty: nothing is measured.
    """

    def __init__(self, target: str):
        self._target, self._profile = target, Profile() if target else None

    def measured(self, name: str = "") -> AbstractContextManager[Any]:
        """Measure the block; it is the stage ``name``, if that is not empty."""
        if self._profile is None:
            return nullcontext()
        stack = ExitStack()
        stack.enter_context(self._profile.running())
        if name:
            stack.enter_context(stage(name))
        return stack

    @property
    def figures(self) -> dict[str, Any]:
        """The figures as an entry of the summary, ``profile``; none if nothing is measured."""
        return {} if self._profile is None else {"profile": self._profile.figures()}

    def save(self, trees: Path | None, rank: int) -> None:
        """Write the trace of this process: ``FILE.json``, or ``FILE.rank1.json`` for another than the first one."""
        if self._profile is None:
            return
        beside = trees and trees / TRACE
        path = beside if self._target == "True" else Path(self._target)
        if path is None:
            logger.warning("profile=True: there is no folder for trees, so the trace is not written; name a file")
            return
        if rank:
            path = path.with_suffix(f".rank{rank}.json")
        try:
            trace_json.save(trace_of(self._profile, f"rank {rank}"), path)
        except OSError as error:
            logger.warning("The trace of the profile cannot be written: %s", error)
