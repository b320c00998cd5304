"""Data parallel: two processes on the CPU give what one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.evaluation import SETTINGS, note_of, row, samples_in, write_task

pytestmark = [pytest.mark.evaluates, pytest.mark.launches]


def run(out: Path, include: Path, model_args: str, *launcher: str) -> list[dict]:
    command = [
        sys.executable,
        "-m",
        *launcher,
        "lmms_eval",
        "--model",
        "videominer_qwen2vl",
        "--model_args",
        model_args,
        "--tasks",
        "tiny_video",
        "--include_path",
        str(include),
        "--output_path",
        str(out),
        "--log_samples",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "VIDEOMINER_CACHE": str(out / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-3000:]
    return samples_in(out)


def test_two_processes_give_the_same_results_as_one(tiny, videos, tmp_path):
    write_task(tmp_path / "tasks", "tiny_video", [row(n, videos[n % 2]) for n in range(5)])  # uneven: one is padding
    arguments = f"pretrained={tiny('qwen2_vl')},{SETTINGS}"

    launcher = ("accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m")
    alone = run(tmp_path / "one", tmp_path / "tasks", arguments)
    together = run(tmp_path / "two", tmp_path / "tasks", arguments, *launcher)

    assert [s["doc_id"] for s in together] == [0, 1, 2, 3, 4]
    assert [s["filtered_resps"] for s in together] == [s["filtered_resps"] for s in alone]
    assert [note_of(s)["frames"] for s in together] == [note_of(s)["frames"] for s in alone]
    summaries = [
        json.loads(next((tmp_path / name).glob("videominer/*/videominer_summary.json")).read_text())
        for name in ("one", "two")
    ]
    assert [s["tasks"]["tiny_video"]["mined"] for s in summaries] == [5, 5]
    for cost in ("vlm_calls_per_sample", "policy_calls_per_sample", "evidence_recall"):
        assert summaries[0]["tasks"]["tiny_video"][cost] == summaries[1]["tasks"]["tiny_video"][cost]
