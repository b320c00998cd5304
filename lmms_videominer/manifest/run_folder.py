"""The folder of a run over many rows: what is done is in it, and nothing else is written.

| file | |
|---|---|
| ``run.json`` | settings and models, by which another run is told |
| ``results.jsonl`` | a line per row, as they come; at the end in the order of the rows |
| ``results.parquet`` | the same, written at the end |
| ``costs.jsonl`` | calls and seconds of each row, as they come |
| ``trees/`` | the whole selection of each row, as ``mine --json`` writes it |

A row is done once its line is written, which comes last. A process that is killed leaves at most one line unfinished,
which is passed over and written again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmms_videominer import __version__
from lmms_videominer.config import HOW_ASKED, NO_POLICY, MinerConfig
from lmms_videominer.errors import ConfigError, SchemaError, VideoMinerError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.results import Cost, Result, as_parquet
from lmms_videominer.models.identity import model_identity
from lmms_videominer.models.resolve import resolve
from lmms_videominer.profiling import staged
from lmms_videominer.selectors.settings import flat
from lmms_videominer.store.atomic import written
from lmms_videominer.store.file_names import file_name, is_case_folded
from lmms_videominer.store.lines import append_lines, line_of, read_lines
from lmms_videominer.store.records import read_record
from lmms_videominer.store.selection_json import save
from lmms_videominer.types import WHOLE, Selection, Usage

RUN, RESULTS, PARQUET, COSTS, TREES = "run.json", "results.jsonl", "results.parquet", "costs.jsonl", "trees"
BRIEFLY_S = 1  # a process that only looks may hold the lock
SCHEMA = 1
# settings that do not change a result, and names of models, which are told apart by their weights
_NOT_IN_RUN = ("cache_dir", "policy", "embedder", "scorer", *HOW_ASKED)

logger = logging.getLogger(__name__)


def run_of(model: str, config: MinerConfig) -> dict[str, Any]:
    """What tells one run from another: version, settings and weights of the models, none of which is loaded.

    Args:
        model: The video LLM or the bundle, by name or folder.
    """
    names = resolve(model, config)
    parts = {"model": names.vlm, "policy": names.policy, "embedder": names.embedder, "scorer": names.scorer}
    models = {part: name if name in ("", NO_POLICY) else model_identity(name) for part, name in parts.items()}
    settings = {name: value for name, value in flat(config).items() if name not in _NOT_IN_RUN}
    return {"schema": SCHEMA, "version": __version__, "models": models, "settings": settings}


class RunFolder:
    """The results of one run in a folder, which need not exist yet.

    Attributes:
        path: The folder.
        results: The results so far, by id; those of rows that failed are replaced when these are mined again.
    """

    def __init__(self, path: Path):
        """
        Raises:
            ConfigError: The folder holds something else, or cannot be read.
            SchemaError: Its ``run.json`` cannot be read.
        """
        self.path, self.results = path, dict[str, Result]()
        self._run: dict[str, Any] | None = None
        self._folds_case = False
        self._read(tells=False)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and keep other processes out of it; what they have added before is read.

        Raises:
            ConfigError: Another process is at work in it, or it cannot be written.
        """
        from filelock import FileLock, Timeout

        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = self.path / ".lock"
            if lock.is_symlink():  # the lock would empty the file that it points to
                lock.unlink()
            try:
                held = FileLock(lock, timeout=BRIEFLY_S).acquire()
            except Timeout as error:
                raise ConfigError(
                    f"{self.path}: another process is at work in this folder. Wait until it has ended, or choose "
                    "another --out"
                ) from error
        with held:
            self._read(tells=True)
            self._sweep()
            self._folds_case = is_case_folded(self.path)
            yield

    def check(self, run: dict[str, Any], rows: Sequence[QuestionRow]) -> None:
        """Refuse to go on if the results so far are those of another run or of other rows; nothing is written.

        Raises:
            ConfigError: They are; the message names what differs and the way out.
        """
        way_out = "Choose another --out, or delete the folder if its results are no longer needed"
        if self._run is None:
            strange = [name for name in (RESULTS, PARQUET, COSTS, TREES) if (self.path / name).exists()]
            if strange:
                raise ConfigError(
                    f"{self.path}: it holds {' and '.join(strange)}, but no {RUN}, so another program wrote them. "
                    "Choose another --out"
                )
        elif differences := _differences(self._run, run):
            raise ConfigError(f"{self.path}: it holds the results of another run: {'; '.join(differences)}. {way_out}")
        by_id = {row.id: row for row in rows}
        for id, result in self.results.items():
            if id not in by_id:
                raise ConfigError(
                    f"{self.path}: it holds the results of other questions: none of those given has the id {id!r}. "
                    f"Give all that the folder has results of; more may be added. {way_out}"
                )
            if name := result.differs(by_id[id]):
                raise ConfigError(
                    f"{self.path}: it holds the result of another question of the id {id!r}: its {name} differs. "
                    f"Give a changed question another id. {way_out}"
                )

    def begin(self, run: dict[str, Any], rows: Sequence[QuestionRow]) -> None:
        """``check``, and write ``run.json`` if there is none.

        Raises:
            ConfigError: See ``check``; or the folder cannot be written.
        """
        self.check(run, rows)
        if self._run is None:
            self._write(RUN, (json.dumps(run, indent=1, allow_nan=False) + "\n").encode())
            self._run = run

    def left(self, rows: Sequence[QuestionRow]) -> list[QuestionRow]:
        """Those of ``rows`` that have no result yet, or failed."""
        return [row for row in rows if row.id not in self.results or self.results[row.id].error]

    @staged("write")
    def add(self, row: QuestionRow, result: Selection | VideoMinerError) -> Result:
        """Write what came of ``row``: first its tree, last its line.

        Raises:
            ConfigError: The folder cannot be written.
        """
        tree = ""
        if isinstance(result, Selection):
            tree = f"{TREES}/{file_name(row.id, self._folds_case)}.json"
            try:
                with _writing(self.path / tree):
                    save(result, self.path / tree)
                self._append(COSTS, Cost(row.id, result.usage))
            except SchemaError as error:  # a number of it is not finite
                result, tree = error, ""
        done = Result.of(row, result, tree)
        self._append(RESULTS, done)
        self.results[row.id] = done
        return done

    @staged("write")
    def finish(self, rows: Sequence[QuestionRow]) -> list[Result]:
        """Write the results of ``rows`` in their order, as lines and as Parquet, and return them.

        Raises:
            ConfigError: The folder cannot be written.
        """
        done = [self.results[row.id].judged(row) for row in rows if row.id in self.results]
        self._write(RESULTS, b"".join(line_of(asdict(result)) for result in done))
        self._write(PARQUET, as_parquet(done))
        return done

    def costs(self) -> list[Usage]:
        """What the rows that are done cost, in the order in which they were."""
        values, _ = self._lines(COSTS)
        return [cost.usage for cost in _records(Cost, values)]

    def _read(self, tells: bool) -> None:
        self._run = _stored_run(self.path / RUN)
        if self._run is None:
            return
        values, damaged = self._lines(RESULTS)
        # lines of before rows could have a part lack it
        results = _records(Result, [{**WHOLE, **value} if isinstance(value, dict) else value for value in values])
        damaged += len(values) - len(results)
        if damaged and tells:
            logger.warning(
                "%s: %d lines are no results and are left out: these rows are mined again, mostly from the cache",
                self.path / RESULTS,
                damaged,
            )
        self.results = {result.id: result for result in results}

    def _sweep(self) -> None:
        """Remove the unfinished files of processes that were killed; none is at work now."""
        if self._run is None:
            return
        with _writing(self.path):
            for folder in (self.path, self.path / TREES):
                for part in folder.glob(".*.part"):  # as ``atomic.written`` names them
                    part.unlink()

    def _lines(self, name: str) -> tuple[list[Any], int]:
        try:
            return read_lines(self.path / name)
        except OSError as error:
            raise ConfigError(f"{self.path / name}: cannot be read ({error.strerror}). Choose another --out") from error

    def _append(self, name: str, record: Any) -> None:
        with _writing(self.path / name):
            append_lines(self.path / name, [line_of(asdict(record))])

    def _write(self, name: str, content: bytes) -> None:
        """Write a file atomically, unless it has this content."""
        path = self.path / name
        with _writing(path):
            if path.is_file() and path.read_bytes() == content:
                return
            with written(path) as part:
                part.write_bytes(content)


def _stored_run(path: Path) -> dict[str, Any] | None:
    """The content of ``run.json``; ``None`` if there is none."""
    try:
        run = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path}: cannot be read ({error}). Choose another --out, or delete its folder") from error
    if not isinstance(run, dict) or run.get("schema") != SCHEMA:
        raise SchemaError(f"{path}: not written by this version. Choose another --out, or delete its folder")
    return run


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two runs, in words."""
    told = []
    if before.get("version") != now["version"]:
        told.append(f"version was {before.get('version')}, is {now['version']}")
    for part in ("models", "settings"):
        old, new = before.get(part), now[part]
        old = old if isinstance(old, dict) else {}
        names = [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]
        told += [f"{name} was {_shown(old.get(name))}, is {_shown(new.get(name))}" for name in names]
    return told


def _shown(value: Any) -> str:
    return "not set" if value in (None, "") else str(value)


def _records(kind: type, values: Sequence[Any]) -> list[Any]:
    """``values`` as records of ``kind``, without those that are none."""
    records = []
    for value in values:
        try:
            records.append(read_record(kind, value, "line"))
        except SchemaError:
            continue
    return records


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or path}: cannot be written ({error.strerror or error}). What was written before is "
            "kept; run again, or choose another --out"
        ) from error
