"""Killed by SIGKILL at any moment, a run resumes, and ends with the bytes of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lmms_videominer.manifest.run_folder import PARQUET, RESULTS, TREES
from lmms_videominer.store import selection_json
from lmms_videominer.world import render_world

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.launches


def mined(folder: Path, manifest: Path, last: int = 0) -> int:
    """Exit code of a process that is killed at its moment ``last``; negative if it was."""
    command = [sys.executable, "-m", "support.killed_rows", str(last), str(folder / "asked")]
    arguments = ["--manifest", str(manifest), "--out", str(folder / "out"), "--set", f"cache_dir={folder / 'cache'}"]
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run([*command, *arguments], env={**os.environ, "PYTHONPATH": path}, timeout=600).returncode


def trees(folder: Path) -> dict[str, tuple]:
    """By file, everything in the trees but their cost and their settings."""
    paths = sorted((folder / "out" / TREES).iterdir())
    selections = [selection_json.load(path) for path in paths]
    return {path.name: (s.key_frames, s.nodes, s.answer, s.question) for path, s in zip(paths, selections, strict=True)}


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(tmp_path):
    manifest = render_world(tmp_path / "world", 1, 2, 3_000_005, workers=1, progress=False, questions=3)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows = [rows[i] for i in (0, 3, 1, 4, 2, 5) if i < len(rows)]  # the order of the rows is not that of the videos
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert mined(whole, manifest) == 0
    rng, kills = np.random.default_rng(5), 0
    while (code := mined(killed, manifest, int(rng.integers(2, 12)))) != 0:
        assert code == -signal.SIGKILL
        kills += 1
        assert kills < 30
    assert kills >= 3
    for name in (RESULTS, PARQUET, "run.json"):
        assert (killed / "out" / name).read_bytes() == (whole / "out" / name).read_bytes()
    assert trees(killed) == trees(whole)
    lines = [json.loads(line) for line in (killed / "out" / RESULTS).read_text().splitlines()]
    assert [line["id"] for line in lines] == [row["id"] for row in rows] and not any(line["error"] for line in lines)
    asked, once = (Counter((folder / "asked").read_text().splitlines()) for folder in (killed, whole))
    assert asked.keys() == once.keys() and asked.total() == once.total()  # nothing that came is asked for again
    assert {path.name for path in (killed / "out").rglob("*")} == {path.name for path in (whole / "out").rglob("*")}
