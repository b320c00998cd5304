"""Verdicts on questions as lines of a file, appended as they come and shared by processes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock

from lmms_videominer.errors import ConfigError
from lmms_videominer.store.lines import append_lines, line_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """The result of one step for one question.

    Attributes:
        key: Changes with the question, the models and the settings of the step.
        id: The question's id.
        step: ``"uniform"`` or ``"trees"``.
        solved, of: How many answers were correct, of how many; ``of`` is 0 if no tree has a decision.
        failure: Why there was no answer (another run may succeed); empty if there was one.
    """

    key: str
    id: str
    step: str
    solved: int = 0
    of: int = 0
    failure: str = ""


class VerdictFile:
    """Verdicts by key; the last one for a key counts.

    Args:
        path: A JSONL file; created, with its folder, by the first verdict.

    Raises:
        ConfigError: The file cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._verdicts: dict[str, Verdict] = {}
        self._position = 0  # bytes
        self.refresh()

    def get(self, key: str) -> Verdict | None:
        """The last verdict for ``key``, as of the last read of the file."""
        return self._verdicts.get(key)

    def refresh(self) -> None:
        """Read the lines added since the last read; an unfinished line is left for the next time."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                added = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from error
        lines = added[: added.rfind(b"\n") + 1]
        self._position += len(lines)
        verdicts = [_verdict(line) for line in lines.split(b"\n") if line.strip()]
        self._verdicts.update((verdict.key, verdict) for verdict in verdicts if verdict is not None)
        if None in verdicts:
            logger.warning(
                "%s: %d lines are not verdicts and are skipped: those questions are judged again",
                self.path,
                verdicts.count(None),
            )

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """Append all verdicts in one locked write: no process breaks another's lines, and a killed one loses none."""
        lines = [line_of(asdict(verdict)) for verdict in verdicts]
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"):
                append_lines(self.path, lines)
        except OSError as error:
            raise self._unusable(error) from error
        self.refresh()

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self.path}: the verdicts cannot be saved there ({error.strerror}). Choose another file")


def _verdict(line: bytes) -> Verdict | None:
    """The verdict that ``line`` holds; ``None`` if a value is missing or not of its type."""
    try:
        values = json.loads(line)
        verdict = Verdict(**{f.name: values[f.name] for f in fields(Verdict)})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    texts, counts = (verdict.key, verdict.id, verdict.step, verdict.failure), (verdict.solved, verdict.of)
    if not all(isinstance(text, str) for text in texts) or not all(type(count) is int for count in counts):
        return None
    return verdict if min(counts) >= 0 else None
