"""Verdicts on questions as lines of a file: kept as they come, and shared by processes."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO, cast

from filelock import FileLock

from lmms_videominer.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """How one question fared in one step.

    Attributes:
        key: Changes with the question, the models and the settings of the step.
        id: The question's.
        step: ``"uniform"`` or ``"trees"``.
        solved, of: How many answers were right, of how many; of 0 trees where nothing is decided in any.
        failure: Why there was no answer, which another run may change; empty where there was.
    """

    key: str
    id: str
    step: str
    solved: int = 0
    of: int = 0
    failure: str = ""


class VerdictFile:
    """Verdicts by key; of one key the last counts.

    Args:
        path: A JSONL file; made, with its folder, by the first verdict.

    Raises:
        ConfigError: The file cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._known: dict[str, Verdict] = {}
        self._read = 0  # bytes
        self.refresh()

    def get(self, key: str) -> Verdict | None:
        """The last verdict of ``key``, as far as the file was read."""
        return self._known.get(key)

    def refresh(self) -> None:
        """Read what was added since; a line that is not finished yet is left for the next time."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                added = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from error
        whole = added[: added.rfind(b"\n") + 1]
        self._read += len(whole)
        found = [_verdict(line) for line in whole.split(b"\n") if line.strip()]
        self._known.update((verdict.key, verdict) for verdict in found if verdict is not None)
        if None in found:
            logger.warning(
                "%s: %d lines are no verdicts and are skipped: those questions are judged again",
                self.path,
                found.count(None),
            )

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """Append, all together and at once: no process cuts another's lines, and none is lost when one is killed."""
        text = "".join(json.dumps(asdict(verdict), ensure_ascii=False) + "\n" for verdict in verdicts)
        if not text:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"), self.path.open("ab+") as file:
                if file.tell() and not _ends_a_line(cast(BinaryIO, file)):
                    text = "\n" + text  # a process was killed while it wrote
                file.write(text.encode())
        except OSError as error:
            raise self._unusable(error) from error
        self.refresh()

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(f"{self.path}: the verdicts cannot be kept there ({error.strerror}). Name another file")


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _verdict(line: bytes) -> Verdict | None:
    try:
        values = json.loads(line)
        verdict = Verdict(**{f.name: values[f.name] for f in fields(Verdict)})
    except (ValueError, KeyError, TypeError):
        return None
    right = isinstance(verdict.key, str) and isinstance(verdict.solved, int) and isinstance(verdict.failure, str)
    return verdict if right else None
