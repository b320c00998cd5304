"""Which checkpoint a run goes on from, and when it must not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("trl")

from support.tiny_training import films, policy_folder, trainer

from lmms_videominer.errors import ConfigError
from lmms_videominer.training.checkpoints import FILES, checkpoints, damage, finish, remove_old
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
        finish(path)
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
    assert checkpoint_of(args(tmp_path, resume_from_checkpoint=before[0]), {}) == before[0]
    for none in (None, False, "false"):
        assert checkpoint_of(args(tmp_path, resume_from_checkpoint=none), {}) is None
    for newest in (True, "true"):
        assert checkpoint_of(args(tmp_path, resume_from_checkpoint=newest), {}) == before[0]


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The output of a run of four steps with a checkpoint every second one, and the policy."""
    folder = tmp_path_factory.mktemp("trained")
    run = trainer(
        policy_folder(folder / "policy"),
        films(folder),
        folder / "run",
        max_steps=4,
        save_strategy="steps",
        save_steps=2,
        learning_rate=0.05,
    )
    run.train()
    run.save_model(str(folder / "run"))
    return folder / "run"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    """As a file may be after the power failed: it has its size, and no content."""
    path.write_bytes(bytes(path.stat().st_size))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = [
    ("trainer_state.json", emptied),
    ("trainer_state.json", cut),
    ("trainer_state.json", Path.unlink),
    ("model.safetensors", cut),
    ("model.safetensors", zeroed),
    ("model.safetensors", Path.unlink),
    ("optimizer.pt", Path.unlink),
    ("optimizer.pt", zeroed),
    ("scheduler.pt", Path.unlink),
    ("rng_state.pth", Path.unlink),
    ("rng_state.pth", cut),
    ("tokenizer.json", cut),
    ("config.json", Path.unlink),
    (FILES, emptied),
    (FILES, cut),
]


@pytest.mark.parametrize(("name", "broken"), DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_an_older_whole_one(trained, tmp_path, caplog, name, broken):
    shutil.copytree(trained, tmp_path / "run")
    assert checkpoint_of(args(tmp_path / "run"), {}) == str(tmp_path / "run" / "checkpoint-4")
    broken(tmp_path / "run" / "checkpoint-4" / name)
    assert checkpoint_of(args(tmp_path / "run"), {}) == str(tmp_path / "run" / "checkpoint-2")
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1 and "checkpoint-4 is incomplete and is ignored" in told[0]
    assert (name if name != FILES or broken is cut else "not written to its end") in told[0]


@pytest.mark.parametrize(("name", "broken"), [row for row in DAMAGES if row[0].endswith((".pt", ".pth", "tensors"))])
def test_a_checkpoint_of_an_earlier_version_is_told_from_a_damaged_one(trained, tmp_path, name, broken):
    shutil.copytree(trained / "checkpoint-2", tmp_path / "checkpoint-2")
    (tmp_path / "checkpoint-2" / FILES).unlink()
    assert not damage(tmp_path / "checkpoint-2")
    broken(tmp_path / "checkpoint-2" / name)
    assert damage(tmp_path / "checkpoint-2")


def test_where_no_checkpoint_is_whole_a_run_starts_over_and_says_so(trained, tmp_path, caplog):
    shutil.copytree(trained / "checkpoint-2", tmp_path / "checkpoint-2")
    cut(tmp_path / "checkpoint-2" / "model.safetensors")
    assert checkpoint_of(args(tmp_path), {}) is None
    assert "has no complete checkpoint: training starts from step 0" in caplog.text


def test_a_damaged_checkpoint_that_is_asked_for_is_an_error_that_names_a_whole_one(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    last = tmp_path / "run" / "checkpoint-4"
    cut(last / "model.safetensors")
    whole = tmp_path / "run" / "checkpoint-2"
    with pytest.raises(ConfigError, match=rf"{last}: not a complete .*safetensors has \d+ bytes.*Set it to {whole}"):
        checkpoint_of(args(tmp_path, resume_from_checkpoint=str(last)), {})
    emptied(whole / "trainer_state.json")
    with pytest.raises(ConfigError, match="No other one there is complete: set it to auto"):
        checkpoint_of(args(tmp_path, resume_from_checkpoint=str(last)), {})


def test_a_run_goes_on_from_the_older_one_and_replaces_the_damaged_one(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    last = tmp_path / "run" / "checkpoint-4"
    cut(last / "model.safetensors")
    (last / "rng_state_7.pth").touch()  # of a run of more processes
    policy, questions = trained.parent / "policy", films(tmp_path)
    settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "learning_rate": 0.05}
    run = trainer(str(policy), questions, tmp_path / "run", **settings)
    run.train(resume_from_checkpoint=checkpoint_of(args(tmp_path / "run"), {}))
    assert not damage(last) and not (last / "rng_state_7.pth").exists()
    whole = (trained / "checkpoint-4" / "model.safetensors").read_bytes()
    assert (last / "model.safetensors").read_bytes() == whole


def test_the_last_whole_checkpoint_is_never_removed_for_damaged_ones(trained, tmp_path):
    for step in (2, 4, 6, 8):
        shutil.copytree(trained / "checkpoint-2", tmp_path / f"checkpoint-{step}")
    for step in (4, 6, 8):
        cut(tmp_path / f"checkpoint-{step}" / "model.safetensors")
    remove_old(tmp_path, 1, {tmp_path / "checkpoint-8"})
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-2", "checkpoint-8"]


def test_save_total_limit_counts_whole_checkpoints_first(trained, tmp_path):
    shutil.copytree(trained / "checkpoint-2", tmp_path / "run" / "checkpoint-2")
    shutil.copytree(trained / "checkpoint-4", tmp_path / "run" / "checkpoint-4")
    cut(tmp_path / "run" / "checkpoint-4" / "model.safetensors")
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 3, "save_total_limit": 2}
    run = trainer(str(trained.parent / "policy"), films(tmp_path), tmp_path / "run", **settings)
    run.train(resume_from_checkpoint=checkpoint_of(args(tmp_path / "run"), {}))
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-2", "checkpoint-3"]
    assert run.args.save_total_limit == 2


def test_a_run_whose_policy_was_cut_off_is_not_finished(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    last = checkpoint_of(args(tmp_path / "run"), {})
    assert is_finished(args(tmp_path / "run", max_steps=4), last)
    cut(tmp_path / "run" / "model.safetensors")
    assert not is_finished(args(tmp_path / "run", max_steps=4), last)


def test_settings_that_cannot_be_read_are_named(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(ConfigError, match=r"settings\.json: cannot be read"):
        checkpoint_of(args(tmp_path / "run"), {})
