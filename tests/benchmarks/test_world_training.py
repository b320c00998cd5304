"""The report of ``benchmarks/world_training.py``, on what is stored of the runs of the docs."""

from __future__ import annotations

import json
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STORED = BENCHMARKS / "results" / "world_training"


@pytest.fixture
def world_training(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import world_training

    yield world_training
    for name in ("world_training", "evaluate_policy"):
        sys.modules.pop(name, None)


def test_every_lambda_is_trained_with_every_seed(world_training):
    arguments = Namespace(seeds=[1, 2], rewards=["rf", "t-grpo"], lambdas=[0.75, 1.0, 2.0])
    names = [run.name for run in world_training.plan(arguments)]
    assert names == [
        *("rf-seed1", "t-grpo-seed1", "rf-seed2", "t-grpo-seed2"),
        *("t-grpo-lambda0.75-seed1", "t-grpo-lambda2-seed1", "t-grpo-lambda0.75-seed2", "t-grpo-lambda2-seed2"),
    ]


def test_the_table_by_lambda_has_means_over_seeds_and_the_end_of_training(world_training, tmp_path):
    runs = [world_training.Run("t-grpo", seed) for seed in (1, 2, 3)] + [world_training.Run("t-grpo", 1, 1.5)]
    shutil.copytree(STORED / "results", tmp_path / "results")
    for run in runs:
        shutil.copytree(STORED / run.name, tmp_path / run.name)
    log = json.loads((tmp_path / "t-grpo-lambda1.5-seed1" / "trainer_state.json").read_text())
    for entry in log["log_history"]:
        if "tree/reward" in entry:
            entry["tree/fallback"] = 0.75  # which the stored logs of before do not have
    (tmp_path / "t-grpo-lambda1.5-seed1" / "trainer_state.json").write_text(json.dumps(log))
    table = world_training.auxin(runs, [15], tmp_path)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "|" in line]
    assert ["15", "1", "200", "93.7 (96.0, 92.0, 93.0)", "98.0", "36.3", "101.4"] in lines  # as in docs/training.md
    assert any(line[:4] == ["15", "1.5", "200", "20.5"] for line in lines)
    last = [entry for entry in log["log_history"] if "tree/reward" in entry][-4:]
    deleted = 100 * sum(entry["action/delete"] for entry in last) / 4
    [collapsed] = [line for line in lines if line[:2] == ["1.5", "1"]]
    assert collapsed[4] == f"{deleted:.0f}" and float(collapsed[4]) > 97 and collapsed[6] == "75"
    [sound] = [line for line in lines if line[:2] == ["1", "3"]]
    assert float(sound[5]) > 0.5 and sound[6] == "-"
    assert (tmp_path / "auxin.png").stat().st_size > 1000
