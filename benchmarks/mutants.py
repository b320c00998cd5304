"""Mutation testing with mutmut, by subject: which changes of the code do its own tests not notice?

    python benchmarks/mutants.py rewards advantages
    python benchmarks/mutants.py rollout --only '*sample*' --out outputs/mutants.jsonl

mutmut makes the mutants and runs the tests that reach them, in a temporary copy of the working tree; this command only
chooses files and tests, and reads the results. ``--out`` puts a row in the place of the subject's last one, in which a
survivor keeps the reason that is written there. ``--keep FOLDER`` keeps the copy: the next run tries only what survived
and what changed, and ``mutmut browse`` works there. mutmut leaves decorated functions (properties, context managers)
and module-level code as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
KILLED = ("killed", "timeout", "segfault")  # without tests is survived


@dataclass(frozen=True)
class Subject:
    """The files to mutate, below ``lmms_videominer``, and the tests that must notice, below ``tests``.

    ``slow`` are tests among them that are left out, for the time that they take with every mutant.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    slow: tuple[str, ...] = ()


SUBJECTS = {
    "rewards": Subject(("training/rewards.py",), ("training/test_rewards.py",)),
    "advantages": Subject(
        ("training/advantages.py", "training/groups.py", "training/batches.py"),
        ("training/test_advantages.py", "training/test_groups.py", "training/test_batches.py"),
    ),
    "rollout": Subject(
        ("training/rollout.py", "training/metrics.py", "training/order.py", "policy/seeded_sampling.py"),
        ("training/test_rollout.py", "training/test_groups.py", "training/test_order.py", "policy/test_causal_lm.py"),
        ("training/test_rollout.py::test_the_shipped_models_roll_out_share_and_repeat",),
    ),
    "loss": Subject(
        ("training/trainer.py", "training/policy_in_training.py"),
        ("training/test_trainer.py", "training/test_batches.py"),
    ),
    "segmentation": Subject(
        ("segmenters/*.py",),
        ("segmenters",),
    ),
    "clustering": Subject(
        ("search/clustering.py", "selectors/grouping.py"),
        ("search/test_clustering.py", "selectors/test_grouping.py"),
    ),
    "selection": Subject(
        (
            "search/key_frames.py",
            "search/candidates.py",
            "selectors/scored.py",
            "selectors/topk.py",
            "selectors/aks.py",
            "selectors/bolt.py",
            "selectors/focus.py",
            "selectors/qframe.py",
        ),
        (
            "search/test_key_frames.py",
            "search/test_candidates.py",
            "selectors/test_rules.py",
            "selectors/test_scored.py",
            "selectors/test_calls.py",
        ),
        ("selectors/test_calls.py::test_no_selector_makes_more_calls_than_its_settings_allow",),
    ),
    "parsing": Subject(
        ("policy/parser.py", "selectors/replies.py"),
        ("policy/test_parser.py", "selectors/test_replies.py"),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="+", choices=SUBJECTS)
    parser.add_argument("--only", default="", help="mutants by name, a pattern such as '*_batch*'")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder of the copies, by subject; else temporary")
    parser.add_argument("--out", type=Path, help="JSONL file with a row per subject")
    arguments = parser.parse_args()
    if arguments.only and arguments.out:
        parser.error("--only counts a part of the mutants: leave out --out")
    for name in arguments.subjects:
        row = {"subject": name, "files": SUBJECTS[name].files, "tests": SUBJECTS[name].tests, "commit": commit()}
        with tempfile.TemporaryDirectory() as folder:
            copy = (arguments.keep or Path(folder)).resolve() / name
            copy_tree(copy, SUBJECTS[name])
            mutate(copy, arguments.only, arguments.processes)
            row |= report(name, copy)
        if arguments.out:
            record(row, arguments.out)
    return 0


def record(row: dict, out: Path) -> None:
    """Replace the row of the subject in ``out``; survivors keep their reasons, a new one has none."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    rows = {old["subject"]: old for old in map(json.loads, lines)}
    known = dict(rows.get(row["subject"], {}).get("survivors", {}))
    rows[row["subject"]] = row | {"survivors": {name: known.get(name, "") for name in row["survivors"]}}
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()), encoding="utf-8")


def copy_tree(copy: Path, subject: Subject) -> None:
    """Copy the files that git knows or would add; changed ones only, so that mutmut sees what changed."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, copy / name
        if source.is_file() and (not target.exists() or source.read_bytes() != target.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    tests = [f"tests/{path}" for path in subject.tests if (ROOT / "tests" / path).exists()]
    settings = {
        "only_mutate": [f"lmms_videominer/{path}" for path in subject.files],
        "pytest_add_cli_args_test_selection": [*tests, *(f"--deselect=tests/{name}" for name in subject.slow)],
    }
    lines = [f"{name} =\n    " + "\n    ".join(values) for name, values in settings.items()]
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    (copy / "setup.cfg").write_text(text.replace("[mutmut]\n", "\n".join(["[mutmut]", *lines]) + "\n"))


def mutate(copy: Path, only: str, processes: int) -> None:
    """Run mutmut on all mutants, or on those that ``only`` matches; then again on those that ran out of time."""
    before = [name for name, status in results(copy).items() if status not in KILLED]
    (copy / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # the tests may have changed
    start(copy, processes, [only] if only else [])
    if before and not only:
        start(copy, processes, before)
    late = [name for name, status in results(copy).items() if status == "timeout"]
    if late:  # only a mutant that hangs is late twice; the machine may have been busy
        start(copy, 1, late)


def start(copy: Path, processes: int, mutants: Sequence[str]) -> None:
    path = copy / "mutants"
    path.mkdir(exist_ok=True)  # before Python looks for it
    # what tests start must import the mutants, not an installed package
    named = {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [MUTMUT, "run", "--max-children", str(processes), *mutants]
    log = copy / "mutmut.log"
    with log.open("w", encoding="utf-8") as out:
        ended = subprocess.run(command, cwd=copy, env=os.environ | named, stdout=out, stderr=subprocess.STDOUT)
    if ended.returncode:
        sys.exit("mutmut failed:\n" + log.read_text(encoding="utf-8").replace("\r", "\n")[-3000:])


def results(copy: Path) -> dict[str, str]:
    """mutmut's verdict on each mutant of the subject."""
    from mutmut.stats import status_by_exit_code

    found: dict[str, str] = {}
    for path in sorted((copy / "mutants" / "lmms_videominer").rglob("*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        found |= {name: status_by_exit_code[code] for name, code in codes.items()}
    return {name: status for name, status in found.items() if status not in ("not checked", "skipped")}


def report(name: str, copy: Path) -> dict[str, object]:
    """Print the counts and the survivors with their changes; the counts."""
    statuses = results(copy)
    alive = [key for key, status in statuses.items() if status not in KILLED]
    killed = len(statuses) - len(alive)
    for key in alive:
        print(subprocess.run([MUTMUT, "show", key], cwd=copy, capture_output=True, text=True).stdout)
    counts = Counter(statuses.values())
    print(f"| {name} | " + " | ".join(f"{counts[status]} {status}" for status in sorted(counts)) + " |")
    print(f"{name}: {killed} of {len(statuses)} killed, {100 * killed / max(1, len(statuses)):.1f} %")
    return {"mutants": len(statuses), "killed": killed, "survived": len(alive), "survivors": alive}


def commit() -> str:
    return git("describe", "--always", "--dirty").strip()


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
