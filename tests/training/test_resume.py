"""Which checkpoint a run goes on from, and when it must not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmms_videominer.errors import ConfigError
from lmms_videominer.training.resume import (
    checkpoint_of,
    is_finished,
    save_settings,
    settings_of,
    warn_inside_rollout,
)


def checkpoint(folder: Path, step: int, whole: bool = True) -> str:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if whole:
        state = {"global_step": step, "max_steps": 64, "num_train_epochs": 1}
        (path / "trainer_state.json").write_text(json.dumps(state))
    return str(path)


def args(folder: Path, **changed) -> SimpleNamespace:
    values = {
        "output_dir": str(folder),
        "resume_from_checkpoint": "auto",
        "max_steps": 64,
        "num_train_epochs": 1,
        "gradient_accumulation_steps": 1,
        "steps_per_generation": 4,
        "num_iterations": 1,
    }
    return SimpleNamespace(**{**values, **changed})


def test_a_checkpoint_that_was_cut_off_is_passed_over_and_named(tmp_path, caplog):
    before = checkpoint(tmp_path, 96), checkpoint(tmp_path, 112, whole=False)
    checkpoint(tmp_path, 16)
    assert checkpoint_of(args(tmp_path), {}) == before[0]
    assert before[1] in caplog.text and "is incomplete" in caplog.text
    assert checkpoint_of(args(tmp_path / "empty"), {}) is None
    assert checkpoint_of(args(tmp_path, resume_from_checkpoint="elsewhere"), {}) == "elsewhere"


def test_a_run_with_other_settings_does_not_go_on_from_it(tmp_path):
    rewards, run = SimpleNamespace(lambda_auxin=1.0, seed=3, logging_steps=1), SimpleNamespace(questions="a.jsonl")
    save_settings(str(tmp_path), settings_of(rewards, run))
    last = checkpoint(tmp_path, 16)
    rewards.logging_steps = 10
    assert checkpoint_of(args(tmp_path), settings_of(rewards, run)) == last
    rewards.lambda_auxin = 0.75
    with pytest.raises(ConfigError, match=r"lambda_auxin=1\.0 \(now 0\.75\)\. Choose another output_dir"):
        checkpoint_of(args(tmp_path), settings_of(rewards, run))


def test_a_finished_run_is_left_alone_once_its_policy_is_saved(tmp_path):
    last = checkpoint(tmp_path, 64)
    assert not is_finished(args(tmp_path), last)  # killed between the last checkpoint and the policy
    (tmp_path / "config.json").touch()
    assert is_finished(args(tmp_path), last) and not is_finished(args(tmp_path), None)
    assert not is_finished(args(tmp_path, max_steps=128), last)
    assert is_finished(args(tmp_path, max_steps=-1), last)
    assert not is_finished(args(tmp_path, max_steps=-1, num_train_epochs=2), last)


def test_a_checkpoint_inside_a_rollout_is_named(tmp_path, caplog):
    warn_inside_rollout(args(tmp_path), checkpoint(tmp_path, 64))
    assert not caplog.text
    warn_inside_rollout(args(tmp_path), checkpoint(tmp_path, 66))
    assert "checkpoint-66 lies within a rollout" in caplog.text
