"""Kills by SIGKILL at random moments: the command is run again to its end, and must give what an undisturbed run gives.

A command runs in a process forked from one that has imported the packages but run nothing, so that the moments fall
into its work and not into seconds of importing. It is killed with all processes that it has started. Every request
with frames to the video LLM is logged before it is made: what is asked for again after a kill is counted there.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fault_kinds import evaluating, mining
from fault_kinds.running import DOUBLED, LOST, SURVIVED, UNCLEAR, Fault, Result, isolated, killed, started, waited
from lmms_videominer.types import Question

TREE = ("--set", "grain_s=0")
TIMES = ("runtime", "per_second", "seconds", "_time", "time_", "elapsed")  # parts of names of what may differ


TOLD = ("selector", "variant", "frames", "task", "doc_id", "metric", "accuracy", "score", "questions", "n")


class Program(ABC):
    """A command, its output in ``folder``."""

    def __init__(self, world: Path, questions: Sequence[Question]):
        self.world, self.questions = world, questions

    @abstractmethod
    def run(self, folder: Path) -> int:
        """Run to the end; 0 if all went well."""

    @abstractmethod
    def result(self, folder: Path) -> tuple[dict[str, Any], list[str]]:
        """What must be the same as without the kill, and what is in the output twice."""


class Mine(Program):
    """``videominer mine``, question after question, with trees as JSON and key frames as PNG."""

    def run(self, folder: Path) -> int:
        return max(self._mine(folder / f"{i}", question) for i, question in enumerate(self.questions))

    def _mine(self, out: Path, question: Question) -> int:
        from lmms_videominer.cli import main

        command = ["mine", question.video, "--question", question.text, "--option", *question.options, "--quiet"]
        files = ["--json", f"{out}.json", "--frames-dir", f"{out}-frames", "--sheet", f"{out}.jpg"]
        return main([*command, *TREE, "--set", f"cache_dir={out.parent / 'cache'}", *files])

    def result(self, folder: Path) -> tuple[dict[str, Any], list[str]]:
        from lmms_videominer.store import selection_json

        found: dict[str, Any] = {}
        for i in range(len(self.questions)):
            selection = selection_json.load(folder / f"{i}.json")
            usage, frames = selection.usage, sorted((folder / f"{i}-frames").glob("*.png"))
            counts = (usage.vlm_calls + usage.vlm_calls_cached, usage.policy_calls + usage.policy_calls_cached)
            found[str(i)] = mining.result_of(selection) | {
                "captions and decisions": list(counts),
                "frames": {path.name: _sha(path) for path in frames},
                "sheet": _sha(folder / f"{i}.jpg"),
            }
        return found, []


class Difficulty(Program):
    """``videominer difficulty``, with a file of verdicts."""

    def run(self, folder: Path) -> int:
        from lmms_videominer.cli import main

        settings = [*TREE, "--set", f"cache_dir={folder / 'cache'}", "--set", "max_depth=1", "--set", "events=4"]
        files = ["--out", str(folder / "kept.jsonl"), "--save-trees", str(folder / "trees")]
        return main(["difficulty", str(self.world / "qa.jsonl"), *files, "--trees", "2", "--quiet", *settings])

    def result(self, folder: Path) -> tuple[dict[str, Any], list[str]]:
        verdicts = [json.loads(line) for line in (folder / "kept.verdicts.jsonl").read_text().splitlines()]
        kept = [json.loads(line) for line in (folder / "kept.jsonl").read_text().splitlines()]
        trees = sorted(str(path.relative_to(folder)) for path in (folder / "trees").rglob("*.json"))
        found = {"kept": kept, "verdicts": {f"{v['key']} {v['step']}": v for v in verdicts}, "trees": trees}
        names = [f"verdict {v['id']} {v['step']}" for v in verdicts] + [f"kept {row['id']}" for row in kept]
        return found, [name for name, count in Counter(names).items() if count > 1]


class Evaluate(Program):
    """lmms-eval with the plugin."""

    def run(self, folder: Path) -> int:
        arguments = f"pretrained={mining.MODEL},grain_s=0"
        return evaluating.evaluate(self.world, folder / "cache", folder / "out", "videominer_qwen2vl", arguments)

    def result(self, folder: Path) -> tuple[dict[str, Any], list[str]]:
        logged = evaluating.samples(folder / "out")
        return {"samples": logged["samples"]}, logged["doubled"]


class Train(Program):
    """``videominer train``, two rollouts with a checkpoint after each."""

    def run(self, folder: Path) -> int:
        from lmms_videominer.cli import main

        settings = {
            "questions": self.world / "qa.jsonl",
            "output_dir": folder / "policy",
            "video_llm": mining.MODEL,
            "cache_dir": folder / "cache",
            "max_steps": 4,
            "save_steps": 2,
            "num_generations": 4,
            "generation_batch_size": 8,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "events": 4,
            "max_depth": 1,
            "grain_s": 0,
            "max_completion_length": 48,
            "resume_from_checkpoint": "auto",
            "bf16": "false",
            "gradient_checkpointing": "false",
            "report_to": "none",
            "logging_steps": 1,
            "use_cpu": "true",
        }
        config = folder / "train.yaml"
        config.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        return main(["train", str(config)])

    def result(self, folder: Path) -> tuple[dict[str, Any], list[str]]:
        policy = folder / "policy"
        history = json.loads((policy / "trainer_state.json").read_text())["log_history"]
        rows = [{name: v for name, v in row.items() if not any(part in name for part in TIMES)} for row in history]
        steps = Counter(row["step"] for row in rows if "loss" in row)
        checkpoints = sorted(path.name for path in policy.glob("checkpoint-*"))
        found = {"weights": _sha(policy / "model.safetensors"), "steps": sorted(steps), "checkpoints": checkpoints}
        return found, [f"step {step}" for step, count in steps.items() if count > 1]


class Bench(Program):
    """``videominer bench``: two cells, each of them a process of lmms-eval."""

    def run(self, folder: Path) -> int:
        from lmms_videominer.cli import main

        os.environ.update(VIDEOMINER_WORLD=str(self.world), VIDEOMINER_CACHE=str(folder / "cache"))
        cells = ["--tasks", evaluating.TASK, "--selectors", "uniform", "videominer:grain_s=0", "--frames", "4"]
        return main(["bench", *cells, "--pretrained", mining.MODEL, "--batch-size", "4", "--out", str(folder / "out")])

    def result(self, folder: Path) -> tuple[dict[str, Any], list[str]]:
        with (folder / "out" / "results.csv").open(newline="", encoding="utf-8") as file:
            rows = [{name: row[name] for name in TOLD if name in row} for row in csv.DictReader(file)]
        names = [json.dumps(row, sort_keys=True) for row in rows]
        return {"rows": sorted(names)}, [name for name, count in Counter(names).items() if count > 1]


PROGRAMS: dict[str, type[Program]] = {
    "mine": Mine,
    "difficulty": Difficulty,
    "lmms-eval": Evaluate,
    "train": Train,
    "bench": Bench,
}
# of 25 cases; the first ones take longest to import and to run
_TURNS = ("train", "bench", "lmms-eval", "lmms-eval", "difficulty", "difficulty")


class Kills(Fault):
    name, count, limit_s = "kills by -9", 50, 900.0

    def prepare(self, folder: Path) -> None:
        mining.import_all()
        evaluating.import_all()
        import lmms_videominer.commands.bench
        import lmms_videominer.training.trainer  # noqa: F401

        questions = mining.world(folder / "world", questions=2)
        self.programs = {name: cls(folder / "world", questions) for name, cls in PROGRAMS.items()}
        self.undisturbed = folder

    def title(self, number: int) -> str:
        turn = number % 25
        return _TURNS[turn] if turn < len(_TURNS) else "mine"

    def run(self, number: int, folder: Path) -> Result:
        name = self.title(number)
        program, rng = self.programs[name], np.random.default_rng([self.seed, number])
        expected = self._expected(name)
        moment_s = float(rng.uniform(0, expected["seconds"]))
        os.environ["FAULTS_ASKED"] = str(folder / "asked")
        pid = started(lambda: logged(program.run, folder), folder / "killed.log")
        time.sleep(moment_s)
        killed(pid)
        waited(pid, 60)
        again = isolated(lambda: self._finished(program, folder), self.limit_s / 3, folder / "again")
        more = _asked_again(expected["asked"], _asked(folder / "asked"), expected["part"])
        more |= {"moment": round(moment_s / expected["seconds"], 3), "leftovers": _leftovers(folder)}
        if again.outcome != SURVIVED:
            return Result(again.outcome, again.detail, more)
        found, doubled = again.more["found"], again.more["doubled"]
        if doubled:
            return Result(DOUBLED, ", ".join(doubled), more)
        differs = mining.difference(expected["found"], found)
        return Result(LOST if differs else SURVIVED, differs, more)

    def _finished(self, program: Program, folder: Path) -> Result:
        if code := logged(program.run, folder):
            return Result(UNCLEAR, f"exit code {code} when run again")
        found, doubled = program.result(folder)
        return Result(SURVIVED, more={"found": json.loads(json.dumps(found)), "doubled": doubled})

    def _expected(self, name: str) -> dict[str, Any]:
        """Result, requests and seconds of the undisturbed run of a program, made once."""
        path = self.undisturbed / f"{name}.json"
        if not path.exists():
            folder = self.undisturbed / name
            folder.mkdir()
            os.environ["FAULTS_ASKED"] = str(folder / "asked")
            began = time.perf_counter()
            made = isolated(lambda: self._finished(self.programs[name], folder), self.limit_s / 3, folder / "log")
            seconds = time.perf_counter() - began
            if made.outcome != SURVIVED or made.more["doubled"]:
                raise RuntimeError(f"the undisturbed run of {name}: {made}")
            asked = _asked(folder / "asked")
            expected = made.more | {"asked": asked, "seconds": seconds, "part": max([0, *map(_part, asked)])}
            path.write_text(json.dumps(expected), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))


def logged(run: Callable[[Path], int], folder: Path) -> int:
    """``run(folder)`` with every request with frames to a video LLM written to ``$FAULTS_ASKED`` before it is made."""
    from lmms_videominer.lmms.backbone_vlm import CALLS_AT_ONCE, BackboneVLM
    from lmms_videominer.vlm.transformers_vlm import TransformersVLM

    file = os.open(os.environ["FAULTS_ASKED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def watched(cls: type, part_of: Callable[[Any], int]) -> None:
        generate = cls.generate

        def write_first(self: Any, requests: Sequence[Any]) -> Any:
            lines = [f"{_key(request)} {part_of(self)}\n" for request in requests if request.frames is not None]
            os.write(file, "".join(lines).encode())
            return generate(self, requests)

        cls.generate = write_first

    watched(TransformersVLM, lambda vlm: vlm.batch_size)
    watched(BackboneVLM, lambda vlm: CALLS_AT_ONCE)
    return run(folder)


def _key(request: Any) -> str:
    digest = hashlib.sha256(request.frames.tobytes())
    digest.update(f"{request.prompt}\n{request.max_new_tokens}\n{request.frame_times_s}".encode())
    return digest.hexdigest()[:24]


def _asked(path: Path) -> dict[str, int]:
    return Counter(path.read_text().splitlines()) if path.exists() else {}


def _part(line: str) -> int:
    return int(line.split()[1])


def _asked_again(undisturbed: dict[str, int], asked: dict[str, int], part: int) -> dict[str, int]:
    """How many requests were made more often than without the kill, and how many a part has."""
    if not undisturbed:  # the program's own processes are not watched
        return {}
    again = sum(max(0, count - undisturbed.get(line, 0)) for line, count in asked.items())
    return {"again": again, "part": part, "asked": sum(undisturbed.values())}


def _leftovers(folder: Path) -> list[str]:
    """Names of unfinished files that are still there after the second run."""
    marks = (".part", ".tmp", ".partial")
    return sorted(p.name for p in folder.rglob("*") if any(mark in p.name for mark in marks))[:10]


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]
