"""What faults cost: damaged videos, kills, damaged caches, a server that fails, questions of every sort.

    python benchmarks/faults.py all                      # every kind, at its default count
    python benchmarks/faults.py videos --count 1000 --seed 1
    python benchmarks/faults.py caches --case 17         # one case, its folder kept and its output shown
    python benchmarks/faults.py table                    # the Markdown table of the rows on record

Every case runs in a process of its own, forked from one that has imported the packages and nothing else, in a temporary
folder that is removed. Its outcome is one row of ``--out``, appended as it comes: an interrupted run goes on where it
stopped. A case is told by kind, seed and number, and made again from them alone.

The exit code is 1 where a row is neither survived nor told clearly, or where more captions than one part's were made
again after a kill.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.update(  # before what reads them is imported: forked processes must not inherit threads
    OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES=""
)

from fault_kinds.caches import DamagedCaches
from fault_kinds.kills import Kills
from fault_kinds.questions import OddQuestions
from fault_kinds.running import OUTCOMES, WRONG, Fault, isolated
from fault_kinds.server import FailingServer
from fault_kinds.videos import DamagedVideos
from tqdm import tqdm

import lmms_videominer

OUT = Path(__file__).parent / "results" / "faults.jsonl"
KINDS: dict[str, tuple[Callable[[int], Fault], ...]] = {
    "videos": (lambda seed: DamagedVideos(seed, "decord"), lambda seed: DamagedVideos(seed, "pyav")),
    "kills": (Kills,),
    "caches": (DamagedCaches,),
    "server": (FailingServer,),
    "questions": (OddQuestions,),
}
TITLES = {"told": "told clearly", "unclear": "told unclearly", "traceback": "tracebacks", "crashed": "by a signal"}
Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    code = commit()
    if args.kind != "table":
        kinds = KINDS.values() if args.kind == "all" else [KINDS[args.kind]]
        for fault in (make(args.seed) for made in kinds for make in made):
            if args.case is None:
                run_all(fault, args.count or fault.count, args.out, code)
            else:
                run_one(fault, args.case)
    if args.case is not None:
        return 0
    rows = [row for row in read(args.out) if row["commit"] == (args.commit or code)]
    print(table(rows))
    return int(any(wrong(row) for row in rows))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=[*KINDS, "all", "table"])
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all cases (default: %(default)s)")
    parser.add_argument("--count", type=int, metavar="N", help="cases of each kind (default: its own)")
    parser.add_argument("--case", type=int, metavar="N", help="run this case alone, and record nothing")
    parser.add_argument("--commit", metavar="NAME", help="table: of this commit (default: of the code in use)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE.jsonl", help="rows (default: %(default)s)")
    return parser.parse_args(argv)


def run_all(fault: Fault, count: int, out: Path, code: str) -> None:
    """Append a row for each of the first ``count`` cases that is not on record for this code and seed."""
    done = {row["case"] for row in read(out) if (row["commit"], row["kind"], row["seed"]) == _key(fault, code)}
    missing = [number for number in range(count) if number not in done]
    if not missing:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    _drop_cut_line(out)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, out.open("a", encoding="utf-8") as file:
        fault.prepare(Path(folder) / "prepared")
        counts: Counter[str] = Counter()
        with tqdm(missing, desc=fault.name, unit="case") as bar:
            for number in bar:
                row = {"commit": code, "kind": fault.name, "seed": fault.seed} | run(fault, number, Path(folder))
                print(json.dumps(row), file=file, flush=True)
                counts[row["outcome"]] += 1
                bar.set_postfix(counts)


def _drop_cut_line(out: Path) -> None:
    """Drop the row that an interruption cut off, so that the next one begins its own line."""
    if out.exists() and (data := out.read_bytes()) and not data.endswith(b"\n"):
        os.truncate(out, data.rfind(b"\n") + 1)


def _key(fault: Fault, code: str) -> tuple[str, str, int]:
    return code, fault.name, fault.seed


def run(fault: Fault, number: int, folder: Path, keep: bool = False) -> Row:
    """Run one case below ``folder``."""
    place, started, used_s = folder / f"case-{number}", time.perf_counter(), _cpu_s()
    place.mkdir()
    result = isolated(lambda: fault.run(number, place), fault.limit_s, folder / f"process-{number}")
    row = {"case": number, "title": fault.title(number), "outcome": result.outcome, "detail": result.detail}
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(folder / f"process-{number}", ignore_errors=True)
    row["detail"] = row["detail"].replace(str(folder), "").replace(f"{place.name}/", "")
    seconds = {"seconds": round(time.perf_counter() - started, 2), "cpu_seconds": round(_cpu_s() - used_s, 2)}
    return row | {"more": result.more} | seconds


def _cpu_s() -> float:
    """Seconds of CPU that the cases so far have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_one(fault: Fault, number: int) -> None:
    """Run one case, keep its folder, and print its output and its row."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    fault.prepare(folder / "prepared")
    row = run(fault, number, folder, keep=True)
    print((folder / f"process-{number}" / "log").read_text(encoding="utf-8", errors="replace"))
    print(f"{json.dumps(row, indent=1)}\nkept in {folder}")


def commit() -> str:
    """The commit of the package in use, marked if the package has changed since."""
    folder = Path(lmms_videominer.__file__).parent
    git = ["git", "-C", str(folder)]
    name = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
    changes = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True, check=True)
    return name.stdout.strip() + ("-changed" if changes.stdout.strip() else "")


def read(out: Path) -> list[Row]:
    """The rows on record; a last line that was cut off is not one."""
    if not out.exists():
        return []
    lines = out.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wrong(row: Row) -> bool:
    return row["outcome"] in WRONG or row["more"].get("again", 0) > row["more"].get("part", 0)


def table(rows: Sequence[Row]) -> str:
    """Counts by kind, and below them what was made again after the kills."""
    heads = ["fault", "tried", *(TITLES.get(outcome, outcome) for outcome in OUTCOMES)]
    lines = [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        counts = Counter(row["outcome"] for row in rows if row["kind"] == kind)
        cells = [kind, counts.total(), *(counts[outcome] for outcome in OUTCOMES)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    again = [row["more"] for row in rows if "again" in row["more"]]
    if again:
        most = max(again, key=lambda more: more["again"] - more["part"])
        over = sum(more["again"] > more["part"] for more in again)
        lines += ["", f"Captions made again after a kill: at most {most['again']}, where a part has {most['part']};"]
        lines[-1] += f" more than a part's after {over} of {len(again)} kills."
    made_by = ", ".join(sorted({row["commit"] for row in rows}))
    minutes = sum(row.get("cpu_seconds") or row["seconds"] for row in rows) / 60
    lines += ["", f"Commit {made_by}; {minutes:.0f} minutes, Python {platform.python_version()}."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
