"""One row per cell and sample: the question, the answer and its cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.bench.documents import Document, read_table, table_of
from lmms_videominer.bench.evaluating import no_answer_in, note_in, text_in
from lmms_videominer.bench.files import read_json, read_lines, written
from lmms_videominer.bench.plan import weights_named
from lmms_videominer.bench.rates import COLUMNS, judge_of, seconds_of
from lmms_videominer.bench.running import DONE, RUN, SCHEMA, read_cell, read_cells
from lmms_videominer.bench.scores import listed, sample_score, scoring_metric
from lmms_videominer.errors import SchemaError, VideoMinerError
from lmms_videominer.selectors import selector_names
from lmms_videominer.selectors.settings import configured
from lmms_videominer.store.file_names import file_name
from lmms_videominer.types import KeyFrame
from lmms_videominer.verdict import frames_hitting, windows_hit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Row:
    """One sample of one cell; docs/bench.md describes the columns. ``None`` if unknown."""

    model: str
    weights: str
    common: str  # settings of all variants
    task: str
    limit: int | None
    frames: int
    variant: str
    selector: str
    judge: str  # "reply" if the language model is asked for replies, else "policy"
    cell: str
    cache: str  # "cold", "warm" or "shared"
    doc_id: int
    kind: str
    video: str
    duration_s: float | None
    minutes: float | None
    correct: float
    answer: str
    target: str
    prompt: str
    how: str  # "failed": the backbone gave no answer, which counts as wrong
    frame_indices: str  # separated by spaces
    times_s: str
    evidence_recall: float | None
    evidence_precision: float | None
    vlm_calls: int | None
    vlm_calls_made: int | None
    answer_calls: int
    llm_calls: int | None
    llm_calls_made: int | None
    decisions: int | None
    scored_frames: int | None
    scored_frames_made: int | None
    nodes: int | None
    frames_substituted: int | None  # damaged frames for which the nearest one served
    selection_s: float | None
    caption_s: float | None
    llm_s: float | None
    score_s: float | None
    answer_s: float | None
    cell_s: float | None
    wall_s: float  # of the cell's process, including loading
    fallbacks: str
    problem: str
    metric: str  # the task's metric used for the score
    tree: str  # path of the stored selection, relative to the folder of the comparison; empty if there is none


def folders_by_key(out: Path) -> dict[str, Path]:
    """The folder of each finished cell below ``out``, by key, without those that cannot be read."""
    folders = {}
    for folder in read_cells(out):
        with contextlib.suppress(SchemaError):  # read_rows raises it
            folders[read_cell(folder)["key"]] = folder
    return folders


def read_rows(out: Path, folder: Path) -> list[Row]:
    """The rows of one finished cell, in the order of its documents.

    Raises:
        SchemaError: The files of the cell cannot be read, or its samples are not the task's documents.
        ConfigError: None of the task's metrics gives a score per sample.
    """
    try:
        return [_checked(row) for row in _read_rows(out, folder)]
    except VideoMinerError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # whatever a foreign value leads to
        raise SchemaError(
            f"{folder}: its files are not those of a finished cell ({error!r}). Delete the folder to run it again."
        ) from error


def _read_rows(out: Path, folder: Path) -> list[Row]:
    cell, done = read_cell(folder), read_json(folder / DONE)
    if done.get("schema") != SCHEMA:
        raise SchemaError(f"{folder}: written by another version; delete the folder to run the cell again")
    samples = _samples(folder / done["samples"])
    results = read_json(folder / done["results"])
    metric = scoring_metric(cell["task"], listed(results["configs"][cell["task"]]["metric_list"]), samples)
    path = table_of(out, cell)
    documents = {document.doc_id: document for document in read_table(path)}
    head = {**_head(cell, done, len(samples)), "metric": metric}
    rows = []
    for sample in samples:
        document = documents.get(sample["doc_id"])
        if document is None or document.target != sample["target"]:
            raise SchemaError(
                f"{folder}: sample {sample['doc_id']} is not the document in {path}: the task has changed since "
                "then. Delete both to create them again"
            )
        rows.append(_row(head, folder, sample, document, sample_score(sample[metric]) or 0.0))
    return rows


def lmms_eval_score(folder: Path) -> float | None:
    """lmms-eval's own score of a finished cell, by the task's first metric; ``None`` if there is no such number."""
    cell, done = read_cell(folder), read_json(folder / DONE)
    results = read_json(folder / done["results"])
    try:
        first = results["configs"][cell["task"]]["metric_list"][0]["metric"]
        scores = [value for name, value in results["results"][cell["task"]].items() if name.partition(",")[0] == first]
    except (LookupError, TypeError, AttributeError):
        return None
    return float(scores[0]) if scores and isinstance(scores[0], (int, float)) else None


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """``rows`` as a table with the columns in the order of ``Row``; integers stay integers if some are missing."""
    import pandas as pd

    table = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(Row)])
    for field in fields(Row):
        if str(field.type).startswith("int"):
            table[field.name] = table[field.name].astype("Int64")
        elif str(field.type).startswith("float"):
            table[field.name] = table[field.name].astype("Float64")
    return table


def save_tables(table: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``results.csv`` and ``results.parquet``, and return their paths."""
    paths = [out / "results.csv", out / "results.parquet"]
    with written(paths[0]) as part:
        table.to_csv(part, index=False)
    with written(paths[1]) as part:
        table.to_parquet(part, index=False)
    return paths


def _checked(row: Row) -> Row:
    """
    Raises:
        TypeError: A value is not of the type of its column, and no table could hold it.
    """
    types: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    for field in fields(Row):
        name, _, optional = str(field.type).partition(" | ")
        value: Any = getattr(row, field.name)
        if optional and value is None:
            continue
        fits = isinstance(value, types[name])
        if not fits or (name != "str" and abs(value) >= 2**63):
            raise TypeError(f"{field.name} is {value!r:.80}")
        if isinstance(value, str):
            value.encode()  # lone surrogates cannot be written
    return row


def _samples(path: Path) -> list[dict[str, Any]]:
    return sorted(read_lines(path), key=lambda sample: sample["doc_id"])


def _head(cell: Mapping[str, Any], done: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The values that all rows of a cell share."""
    run_s = done["run_s"]
    return {
        "model": cell["model"],
        "weights": weights_named(cell["arguments"]),
        "common": cell["common"],
        "task": cell["task"],
        "limit": cell["limit"],
        "frames": cell["frames"],
        "variant": cell["label"],
        "selector": cell["selector"],
        "judge": _judge_in(cell),
        "cell": cell["key"],
        "cache": cell["cache"],
        "wall_s": done["wall_s"],
        "cell_s": None if run_s is None else run_s / max(1, count),
    }


def _judge_in(cell: Mapping[str, Any]) -> str:
    """As ``judge_of``; a selector that is no longer installed counts as one that decides."""
    if cell["selector"] not in selector_names():
        return "policy"
    return judge_of(configured(selector=cell["selector"], judge=cell["config"]["judge"]))


def _row(head: dict[str, Any], folder: Path, sample: Mapping[str, Any], document: Document, score: float) -> Row:
    note = note_in(sample)
    key_frames = [KeyFrame(time_s, index) for time_s, index in zip(note.get("times_s", ()), note.get("frames", ()))]
    has_evidence = bool(document.evidence) and note["how"] in ("mined", "uniform") and not note.get("problem")
    no_answer = no_answer_in(sample)
    known = has_evidence and (bool(key_frames) or head["selector"] == "none")
    return Row(
        **head,
        doc_id=document.doc_id,
        kind=document.kind,
        video=document.video,
        duration_s=document.duration_s,
        minutes=None if document.duration_s is None else document.duration_s / 60,
        correct=score,
        answer=text_in(sample, "filtered_resps"),
        target=document.target,
        prompt=text_in(sample, "input"),
        how="failed" if no_answer else note["how"],
        frame_indices=" ".join(str(frame.frame_index) for frame in key_frames),
        times_s=" ".join(f"{frame.time_s:g}" for frame in key_frames),
        evidence_recall=windows_hit(key_frames, document.evidence) / len(document.evidence) if known else None,
        evidence_precision=frames_hitting(key_frames, document.evidence) / max(1, len(key_frames)) if known else None,
        **_costs(folder, note, head["task"], document.doc_id),
        fallbacks=" ".join(note.get("fallbacks", ())),
        problem=note.get("problem") or no_answer,
    )


def _costs(folder: Path, note: Mapping[str, Any], task: str, doc_id: int) -> dict[str, Any]:
    """The path of the stored selection, with its calls and seconds; without one, the backbone made a single call."""
    stored = note["how"] in ("mined", "uniform")
    pattern = f"*/{file_name(task)}/{file_name(str(doc_id))}.json"
    trees = sorted((folder / RUN / "videominer").glob(pattern)) if stored else []
    if not trees:
        plain = 0 if note["how"] == "uniform" else None
        names = (
            "vlm_calls",
            "vlm_calls_made",
            "llm_calls",
            "llm_calls_made",
            "decisions",
            "scored_frames",
            "scored_frames_made",
            "nodes",
            "frames_substituted",
        )
        seconds = ("selection_s", "caption_s", "llm_s", "score_s", "answer_s")
        return {**dict.fromkeys(names, plain), **dict.fromkeys(seconds), "answer_calls": 1, "tree": ""}
    selection = read_json(trees[-1])
    usage = selection["usage"]
    spent: dict[str, float] = dict(usage["seconds"])
    decisions = usage["policy_calls"] + usage.get("policy_calls_cached", 0)  # older files of schema 2 do not count it
    asks = selection["config"]["policy"] != "none"
    answer_s = spent.pop("answer", None)  # backbones read the frames of a search then
    parts = seconds_of(spent)
    return {
        "tree": trees[-1].relative_to(folder.parent.parent).as_posix(),
        "vlm_calls": usage["vlm_calls"] + usage["vlm_calls_cached"],
        "vlm_calls_made": usage["vlm_calls"],
        "answer_calls": usage["answer_calls"],
        "llm_calls": decisions if asks else 0,
        "llm_calls_made": usage["policy_calls"] if asks else 0,
        "decisions": decisions,
        "scored_frames": usage["scores"] + usage["scores_cached"],
        "scored_frames_made": usage["scores"],
        "nodes": max(0, len(selection["nodes"]) - 1),
        "frames_substituted": usage.get("frames_substituted", 0),  # files before schema 4 do not count them
        "selection_s": sum(spent.values()) if spent else None,  # None: the backbone read the video while answering
        **{column: parts.get(part) for part, column in COLUMNS.items()},
        "answer_s": answer_s,
    }
