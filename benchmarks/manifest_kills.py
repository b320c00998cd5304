"""Whether a manifest that is killed at random ends like one that is not: every row once, and equal bytes.

    python benchmarks/manifest_kills.py FOLDER                            # 1,000 rows on 50 videos, killed five times
    python benchmarks/manifest_kills.py FOLDER --rows 12 --videos 3 --kills 3
    python benchmarks/manifest_kills.py FOLDER --set search=plain --seed 2

Renders the videos of the world into FOLDER, mines them with the bundled models once undisturbed and once killed by
SIGKILL at moments drawn from the seconds of the undisturbed run, each run with a cache of its own. Where the world has
fewer questions than rows, they are asked again under further ids, which come from the cache. Prints what it found as
one line of JSON; the exit code is 1 where a row is lost, doubled or different, or more was asked of the video LLM again
than one forward pass per kill.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.update(  # before what reads them is imported: forked processes must not inherit threads
    OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES=""
)

import numpy as np
from fault_kinds import kills, mining
from fault_kinds.running import killed, started, waited

from lmms_videominer.manifest.run_folder import PARQUET, RESULTS, TREES
from lmms_videominer.store import selection_json
from lmms_videominer.world import render_world

LIMIT_S = 7 * 24 * 3600.0


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    manifest = write_manifest(args.folder / "world", args.rows, args.videos, args.minutes, args.seed)
    import_all()
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    whole, hurt = args.folder / "undisturbed", args.folder / "killed"
    for folder in (whole, hurt):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    seconds = finish(whole, manifest, args.settings)
    moments = np.sort(np.random.default_rng(args.seed).uniform(0, seconds, args.kills))
    done = [kill(hurt, manifest, args.settings, float(wait_s)) for wait_s in np.diff(moments, prepend=0.0)]
    last_s = finish(hurt, manifest, args.settings)
    found = {"rows": len(rows), "videos": args.videos, "minutes": args.minutes, "seed": args.seed}
    found |= {"settings": args.settings, "seconds": round(seconds, 1), "moments": np.round(moments, 1).tolist()}
    found |= {
        "rows_done_at_kills": done,
        "seconds_after_the_last": round(last_s, 1),
        **compared(whole, hurt, rows, args.kills),
    }
    print(json.dumps(found))
    return int(bool(found["wrong"]))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--minutes", type=int, default=1)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    return parser.parse_args(argv)


def write_manifest(world: Path, rows: int, videos: int, minutes: int, seed: int) -> Path:
    """A manifest of ``rows`` rows on ``videos`` videos of the test range, in an order drawn from ``seed``."""
    each = -(-rows // videos)
    if not (world / "qa.jsonl").exists():
        render_world(world, minutes, videos, mining.WORLD_SEED, questions=each)
    asked = [json.loads(line) for line in (world / "qa.jsonl").read_text(encoding="utf-8").splitlines()]
    made = []
    for i in range(rows):
        turn, place = divmod(i, len(asked))
        made.append(asked[place] | ({"id": f"{asked[place]['id']}/{turn + 1}"} if turn else {}))
    order = np.random.default_rng(seed).permutation(rows)
    path = world / f"manifest-{rows}-{seed}.jsonl"
    path.write_text("".join(json.dumps(made[i]) + "\n" for i in order), encoding="utf-8")
    return path


def import_all() -> None:
    """Import what the command needs, so that the kills fall into its work and not into seconds of importing."""
    mining.import_all()
    import tqdm  # noqa: F401

    import lmms_videominer.commands.manifest
    import lmms_videominer.manifest.mining  # noqa: F401


def mine(folder: Path, manifest: Path, settings: Sequence[str]) -> int:
    from lmms_videominer.cli import main as videominer

    more = [part for setting in (*settings, f"cache_dir={folder / 'cache'}") for part in ("--set", setting)]
    command = ["mine", "--manifest", str(manifest), "--out", str(folder / "out"), "--quiet", *more]
    return kills.logged(lambda _: videominer(command), folder)


def begin(folder: Path, manifest: Path, settings: Sequence[str]) -> int:
    os.environ["FAULTS_ASKED"] = str(folder / "asked")
    return started(lambda: mine(folder, manifest, settings), folder / "log")


def finish(folder: Path, manifest: Path, settings: Sequence[str]) -> float:
    """Run the command to its end; returns its seconds."""
    began = time.perf_counter()
    status = waited(begin(folder, manifest, settings), LIMIT_S)
    if status != 0:
        raise RuntimeError(f"the command ended with status {status}: {(folder / 'log').read_text()[-2000:]}")
    return time.perf_counter() - began


def kill(folder: Path, manifest: Path, settings: Sequence[str], wait_s: float) -> int:
    """Run the command, kill it after ``wait_s`` seconds; returns how many lines have come so far."""
    pid = begin(folder, manifest, settings)
    waited_until = time.monotonic() + wait_s
    while time.monotonic() < waited_until and waitable(pid):
        time.sleep(0.01)
    killed(pid)
    waited(pid, 60)
    results = folder / "out" / RESULTS
    return results.read_bytes().count(b"\n") if results.exists() else 0


def waitable(pid: int) -> bool:
    """Whether the process still runs; it is not reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def compared(whole: Path, hurt: Path, rows: Sequence[dict[str, Any]], deaths: int) -> dict[str, Any]:
    """What is wrong with the run that was killed, and how much it asked of the video LLM again."""
    lines = [json.loads(line) for line in (hurt / "out" / RESULTS).read_text(encoding="utf-8").splitlines()]
    wrong = [] if [line["id"] for line in lines] == [row["id"] for row in rows] else ["rows lost, doubled or moved"]
    for name in (RESULTS, PARQUET):
        if (hurt / "out" / name).read_bytes() != (whole / "out" / name).read_bytes():
            wrong.append(f"{name} differs")
    wrong += [f"{line['id']}: {line['error']}" for line in lines if line["error"]]
    for line in lines:
        ours, theirs = (mining.result_of(selection_json.load(path / "out" / line["tree"])) for path in (hurt, whole))
        if difference := mining.difference(theirs, ours):
            wrong.append(f"{line['tree']}: {difference}")
    asked, once = (Counter((path / "asked").read_text().splitlines()) for path in (hurt, whole))
    files = len(list((hurt / "out" / TREES).iterdir()))
    again, part = (asked - once).total(), max(int(line.split()[1]) for line in once)
    if again > deaths * part:
        wrong.append(f"{again} requests were made again, more than {part} per kill")
    return {"wrong": wrong[:20], "trees": files, "asked": once.total(), "asked_again": again}


if __name__ == "__main__":
    sys.exit(main())
