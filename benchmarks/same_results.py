"""Whether a change of the code leaves every selection as it was: records what mining gives, and compares two records.

    python benchmarks/same_results.py record before.jsonl.gz --worlds outputs/same-worlds
    PYTHONPATH=../changed python benchmarks/same_results.py record after.jsonl.gz --worlds outputs/same-worlds
    python benchmarks/same_results.py compare before.jsonl.gz after.jsonl.gz

``record`` mines 60 questions of the world's test split (20 at each of 1, 5 and 15 minutes, on a few videos) with every
selector and some further settings, each with an empty cache, and writes a line of JSON a question: key frames,
nodes with events and decisions, fallbacks, scores, answer and the counts of what it cost. The videos are rendered where
``--worlds`` lacks them. A record that was interrupted goes on where it stopped, when the same command is run again.

``compare`` says for every variant how many questions have identical results, and where the first few that do not part.
Its exit code is 1 where a result differs, or where a question is in one record only. Counts of cost are told apart, and
fail with ``--usage`` alone.

Both records must come from one machine, with as many threads: other kernels round otherwise. On one core a full record
takes about ten minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmms_videominer.types import Decision, Event, KeyFrame, Node, Scores, Selection

MODEL = "videominer-world"
WORLD_SEED = 2_000_000  # the first of the test split
VIDEOS = {1: 6, 5: 3, 15: 2}  # by minutes: short videos hold fewer than ten questions
QUESTIONS_A_VIDEO, QUESTIONS = 10, 20  # most of one video, and of one length
MINUTES = tuple(VIDEOS)
WORLDS = Path("outputs/same-worlds")
SHOWN = 3  # differing questions of a variant
LONGEST = 200  # characters of a value that is shown
ABSENT = "(absent)"

Line = dict[str, Any]
Key = tuple[str, str]  # variant and question id
Difference = tuple[str, Any, Any]  # path of the first field that differs, and both values


@dataclass(frozen=True)
class Variant:
    """A selector with settings; all others are at their defaults.

    Attributes:
        selector: Its name.
        settings: Fields of ``MinerConfig`` by name.
        minutes: Lengths of video that it is run on.
        first: How many questions of each length.
    """

    selector: str
    settings: dict[str, Any] = field(default_factory=dict)
    minutes: tuple[int, ...] = MINUTES
    first: int = QUESTIONS

    @property
    def name(self) -> str:
        told = ",".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.selector}:{told}" if told else self.selector


def _long(selector: str, **settings: Any) -> Variant:
    """A variant on ten questions of the longest videos."""
    return Variant(selector, settings, minutes=(15,), first=10)


VARIANTS = (
    Variant("videominer"),
    *(Variant(name) for name in ("uniform", "oracle", "none", "topk", "aks", "bolt", "focus", "qframe")),
    *(Variant(name, {"judge": "policy"}) for name in ("videotree", "videoagent", "llovi")),
    Variant("videominer", {"grain_s": 0.0}, minutes=(1,)),  # else a short video is not searched
    Variant("videominer", {"search": "best-first"}),
    _long("videominer", clustering="none"),
    _long("videominer", clustering="frame"),
    _long("videominer", segmenter="histogram"),
    _long("videominer", policy="none"),
    _long("videominer", temperature=1.0),
    _long("aks", aks_threshold=0.3),
    _long("videotree", features="captions", captioning="question", judge="policy"),
    _long("videoagent", features="captions", captioning="question", judge="policy"),
    _long("llovi", judge="reply"),
)


# --- recording ----------------------------------------------------------------------------------------------


def record(out: Path, worlds: Path, variants: Sequence[Variant], minutes: Sequence[int]) -> None:
    """Append to ``out`` a line a question that it lacks; what is there must come from the same code."""
    made_by = code()
    done = {key(line) for line in resumed(out, made_by)}
    for variant in variants:
        for length in (length for length in variant.minutes if length in minutes):
            folder = world(worlds, length)
            rows = read_questions(folder)[: variant.first]
            # all of them even where a few lack only: how questions are put together in batches stays the same
            if any((variant.name, row["id"]) not in done for row in rows):
                started = time.perf_counter()
                lines = mined(variant, rows, folder)
                append(out, (line for line in lines if key(line) not in done))
                took = time.perf_counter() - started
                print(f"{variant.name}, {length} min: {len(rows)} questions in {took:.1f} s", flush=True)


def code() -> Line:
    """What the results come from."""
    import torch

    import lmms_videominer

    package = str(Path(str(lmms_videominer.__file__)).parent)
    return {
        "package": package,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def resumed(out: Path, made_by: Line) -> list[Line]:
    """The lines of ``out``, which is begun where it is absent and mended where it was cut off."""
    head, lines = read(out) if out.exists() else (made_by, [])
    if head != made_by:
        raise SystemExit(f"{out} was made by {head}, not by {made_by}: name another file")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part")
    with gzip.open(part, "wt", encoding="utf-8") as file:
        write(file, [{"made_by": made_by}, *lines])
    part.replace(out)
    return lines


def append(out: Path, lines: Iterable[Line]) -> None:
    with gzip.open(out, "at", encoding="utf-8") as file:
        write(file, lines)


def write(file: IO[str], lines: Iterable[Line]) -> None:
    for line in lines:
        file.write(json.dumps(line, default=repr) + "\n")  # repr: another type of number counts as a difference
        file.flush()


def key(line: Line) -> Key:
    return line["variant"], line["id"]


def world(worlds: Path, minutes: int) -> Path:
    """The folder of the videos of one length, rendered where absent."""
    try:
        from lmms_videominer.world import render_world
    except ImportError:
        from lmms_videominer.world.video import render_world

    folder = worlds / f"{minutes}min"
    if not (folder / "qa.jsonl").is_file():
        render_world(folder, minutes, VIDEOS[minutes], WORLD_SEED, questions=QUESTIONS_A_VIDEO)
    return folder


def read_questions(folder: Path) -> list[Line]:
    return [json.loads(line) for line in (folder / "qa.jsonl").read_text(encoding="utf-8").splitlines()]


def mined(variant: Variant, rows: Sequence[Line], folder: Path) -> list[Line]:
    """One line a question, with an empty cache."""
    from lmms_videominer import VideoMiner
    from lmms_videominer.types import Question, Span

    asked = [
        Question(
            str(folder / row["video"]),
            row["question"],
            tuple(row["options"]),
            tuple(Span(*span) for span in row["evidence"]),
        )
        for row in rows
    ]
    fixed = {"selector": variant.selector, "device": "cpu", "reader": "pyav"}
    if variant.selector == "videominer":
        fixed["search"] = "plain"  # as in records of versions without another; a variant may say otherwise
    with tempfile.TemporaryDirectory(prefix="same-results-") as empty:
        miner = VideoMiner.from_pretrained(MODEL, cache_dir=empty, **(fixed | variant.settings))
        results = miner.mine_batch(asked)
    return [
        {
            "variant": variant.name,
            "id": row["id"],
            "minutes": row["minutes"],
            "video": sha256_of(folder / row["video"]),
            "result": plain_error(result, folder) if isinstance(result, Exception) else plain_selection(result),
            "usage": {} if isinstance(result, Exception) else plain_usage(result),
        }
        for row, result in zip(rows, results, strict=True)
    ]


@cache
def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plain_error(error: Exception, folder: Path) -> Line:
    return {"error": type(error).__name__, "message": str(error).replace(str(folder), "")}


def plain_selection(selection: Selection) -> Line:
    return {
        "selector": selection.selector,
        "seed": selection.seed,
        "answer": selection.answer,
        "fallbacks": list(selection.fallbacks),
        "key_frames": [plain_frame(frame) for frame in selection.key_frames],
        "scores": plain_scores(selection.scores),
        "nodes": [plain_node(node) for node in selection.nodes],
    }


def plain_usage(selection: Selection) -> Line:
    """The counts of what it cost; seconds are never the same."""
    return {name: value for name, value in dataclasses.asdict(selection.usage).items() if name != "seconds"}


def plain_frame(frame: KeyFrame) -> Line:
    return {"index": frame.frame_index, "time_s": frame.time_s, "node": frame.node_id, "score": frame.score}


def plain_scores(scores: Scores | None) -> Line | None:
    if scores is None:
        return None
    columns = (scores.frame_indices, scores.times_s, scores.values, scores.weights)
    return {
        "scorer": scores.scorer,
        "text": scores.text,
        "frames": len(scores.frame_indices),
        "sha256": digest(columns),
    }


def plain_node(node: Node) -> Line:
    return {
        "id": node.id,
        "depth": node.depth,
        "note": node.note,
        "decision": plain_decision(node.decision),
        "events": [plain_event(event) for event in node.events],
    }


def plain_event(event: Event) -> Line:
    return {
        "span": [event.span.start_s, event.span.end_s],
        "caption": event.caption,
        "frame_times_s": list(event.frame_times_s),
    }


def plain_decision(decision: Decision | None) -> Line | None:
    if decision is None:
        return None
    return {
        "action": decision.action.value,
        "reading": decision.reading.value,
        "text": decision.text,
        "prompt": decision.prompt,
        "prompt_ids": [len(decision.prompt_ids), digest(decision.prompt_ids)],
        "completion_ids": [len(decision.completion_ids), digest(decision.completion_ids)],
    }


def digest(value: Any) -> str:
    """sha256 of the JSON of ``value``."""
    return hashlib.sha256(json.dumps(value, default=repr).encode()).hexdigest()


# --- comparing ----------------------------------------------------------------------------------------------


def compare(first: Path, second: Path, names: Sequence[str] | None, partial: bool, usage_fails: bool) -> int:
    """Print how two records agree, in the variants of these names or in all; the exit code."""
    (made_first, lines_first), (made_second, lines_second) = read(first), read(second)
    for path, made_by, lines in ((first, made_first, lines_first), (second, made_second, lines_second)):
        print(f"{path}: {len(lines)} questions, made by {json.dumps(made_by)}")
    if any(made_first[name] != made_second[name] for name in ("python", "torch", "threads")):
        print("made by another Python, torch or number of threads: results may differ by rounding")
    before, after = ({key(line): line for line in lines} for lines in (lines_first, lines_second))
    names = names or list(dict.fromkeys(variant for variant, _ in [*before, *after]))
    agreed = [compare_variant(name, before, after, partial, usage_fails) for name in names]
    both = sum(key in after for key in before if key[0] in names)
    same = all(agreed) and both > 0
    print(f"{'the same' if same else 'NOT the same'}: {both} results compared")
    return 0 if same else 1


def compare_variant(
    name: str, before: dict[Key, Line], after: dict[Key, Line], partial: bool, usage_fails: bool
) -> bool:
    """Print how the questions of one variant agree; whether they do."""
    first, second = (
        {id: line for (variant, id), line in lines.items() if variant == name} for lines in (before, after)
    )
    both = [id for id in first if id in second]
    alone = sorted(first.keys() ^ second.keys())
    results = {id: found for id in both if (found := result_difference(first[id], second[id]))}
    usages = {id: found for id in both if (found := difference(first[id]["usage"], second[id]["usage"], "usage"))}
    only = f", {len(alone)} in one record only" if alone else ""
    print(f"{name}: {len(both) - len(results)} of {len(both)} identical, usage of {len(both) - len(usages)}{only}")
    for differing in (results, usages):
        for id, (path, one, other) in list(differing.items())[:SHOWN]:
            print(f"    {id}: {path}: {shown(one)} -> {shown(other)}")
    incomplete = alone or not both
    return not (results or (incomplete and not partial) or (usages and usage_fails))


def result_difference(first: Line, second: Line) -> Difference | None:
    """Where two lines part, in all but the counts of cost."""
    return difference({**first, "usage": {}}, {**second, "usage": {}})


def difference(first: Any, second: Any, path: str = "") -> Difference | None:
    """The first field, in depth, in which two JSON values differ; ``1`` and ``1.0`` differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = dict.fromkeys([*first, *second])
        pairs = ((f"{path}.{name}".lstrip("."), first.get(name, ABSENT), second.get(name, ABSENT)) for name in names)
    elif isinstance(first, list) and isinstance(second, list):
        pairs = ((f"{path}[{i}]", one, other) for i, (one, other) in enumerate(zip(first, second)))
    else:
        return None if type(first) is type(second) and repr(first) == repr(second) else (path, first, second)
    for name, one, other in pairs:
        if found := difference(one, other, name):
            return found
    return (f"{path} (length)", len(first), len(second)) if len(first) != len(second) else None


def shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


# --- both ---------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[Line, list[Line]]:
    """What made a record, and its lines; where it was cut off, those before."""
    head, *lines = list(whole_lines(path)) or [{}]
    if "made_by" not in head:
        raise SystemExit(f"{path}: not a record")
    return head["made_by"], lines


def whole_lines(path: Path) -> Iterator[Line]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        try:
            for text in file:
                if text.endswith("\n"):
                    yield json.loads(text)
        except EOFError:  # its writing was stopped
            return


def chosen(names: Sequence[str] | None) -> list[Variant]:
    """The variants of these names, or all."""
    known = {variant.name: variant for variant in VARIANTS}
    for name in names or ():
        if name not in known:
            raise SystemExit(f"unknown variant {name!r}; there are: {' '.join(known)}")
    return [known[name] for name in names or known]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = made.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="mine, and write a line a question")
    recording.add_argument("out", type=Path, metavar="OUT.jsonl.gz")
    recording.add_argument("--worlds", type=Path, default=WORLDS, help="folder of the videos (default: %(default)s)")
    recording.add_argument("--minutes", type=int, nargs="+", choices=MINUTES, default=MINUTES, help="these lengths")
    comparing = commands.add_parser("compare", help="tell how two records agree")
    comparing.add_argument("first", type=Path, metavar="A.jsonl.gz")
    comparing.add_argument("second", type=Path, metavar="B.jsonl.gz")
    comparing.add_argument("--usage", action="store_true", help="fail on other counts of cost too")
    comparing.add_argument("--partial", action="store_true", help="pass over questions in one record only")
    for command in (recording, comparing):
        command.add_argument("--only", nargs="+", metavar="VARIANT", help="these alone; their names are in a record")
    return made


def main() -> int:
    arguments = parser().parse_args()
    if arguments.command == "compare":
        return compare(arguments.first, arguments.second, arguments.only, arguments.partial, arguments.usage)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
    record(arguments.out, arguments.worlds, chosen(arguments.only), arguments.minutes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
