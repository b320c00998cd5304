"""Two CPU processes under every launcher and every shipped DeepSpeed configuration, against one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("trl")
pytest.importorskip("deepspeed")

from support.tiny_training import films, policy_folder

from lmms_videominer.training.config import TGRPOConfig

BIN = Path(sys.executable).parent
MODULE = "lmms_videominer.training"
SETTINGS = """
video_llm: videominer-world
search: plain
frames: 2
max_depth: 2
events: 3
scan_frames: 16
caption_frames: 1
caption_tokens: 8
grain_s: 0.0
clustering: none
target_length: 2
length_sigma: 1.0
num_generations: 4
max_completion_length: 3
forward_batch_size: 8
max_steps: 3
learning_rate: 0.1
optim: sgd
lr_scheduler_type: constant
max_grad_norm: 0.0
seed: 3
bf16: false
gradient_checkpointing: false
dataloader_pin_memory: false
save_strategy: "no"
report_to: none
disable_tqdm: true
logging_steps: 1
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """A settings file: four questions, the video of one of them damaged."""
    folder = tmp_path_factory.mktemp("run")
    rows = [dict(row) for row in films(folder)]
    damaged = Path(rows[2]["video"])
    damaged.write_bytes(damaged.read_bytes()[:300])
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {
        "questions": folder / "questions.jsonl",
        "model_name_or_path": policy_folder(folder / "policy"),
        "cache_dir": folder / "cache",
    }
    path = folder / "settings.yaml"
    path.write_text(SETTINGS + "".join(f"{name}: {value}\n" for name, value in names.items()))
    return path


def free_port() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return str(held.getsockname()[1])


def launched(command: list[str], config: Path, output: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """The finished run of ``command CONFIG --output_dir OUTPUT SETTINGS``; a run that hangs fails by its timeout."""
    environment = os.environ | {
        "CUDA_VISIBLE_DEVICES": "",
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        [*command, str(config), "--output_dir", str(output), *settings],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def torchrun() -> list[str]:
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "--master_port",
        free_port(),
        "-m",
        MODULE,
    ]


def accelerate() -> list[str]:
    # --multi_gpu starts one process a device, whatever the devices; with --cpu it would need MPI for a second one
    return [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        free_port(),
        "-m",
        MODULE,
    ]


def deepspeed() -> list[str]:
    return [str(BIN / "deepspeed"), "--num_gpus", "2", "--master_port", free_port(), "--module", MODULE]


def log(output: Path) -> list[dict]:
    entries = json.loads((output / "trainer_state.json").read_text())["log_history"]
    return [entry for entry in entries if "loss" in entry]


@pytest.fixture(scope="module")
def alone(config) -> Path:
    """What one process leaves, trained on the same trees."""
    output = config.parent / "alone"
    run = launched(
        [sys.executable, "-m", MODULE], config, output, "--per_device_train_batch_size", "16", "--use_cpu", "True"
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.launches
def test_deepspeed_needs_no_launcher_for_one_process(config, alone, tmp_path):
    run = launched(
        [sys.executable, "-m", MODULE], config, tmp_path, "--per_device_train_batch_size", "16", "--deepspeed", "zero2"
    )
    assert run.returncode == 0, run.stderr[-3000:]
    expected, found = weights(alone), weights(tmp_path)
    for name, weight in expected.items():
        torch.testing.assert_close(found[name].float(), weight.float(), rtol=0, atol=1e-6, msg=name)


def test_a_world_that_a_launcher_made_is_left_to_it(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")  # of mpirun: DeepSpeed asks MPI for the rest
    before = dict(os.environ)
    TGRPOConfig._meet_alone(SimpleNamespace(deepspeed="zero2"))
    assert dict(os.environ) == before


@pytest.mark.launches
@pytest.mark.parametrize(
    ("launcher", "settings"),
    [
        (accelerate, "--use_cpu True"),
        (deepspeed, "--deepspeed zero2"),
        (torchrun, "--deepspeed zero3"),
        (torchrun, "--deepspeed zero3_offload"),
    ],
    ids=["accelerate-ddp", "deepspeed-zero2", "torchrun-zero3", "torchrun-zero3_offload"],
)
def test_two_processes_train_as_one(launcher, settings, config, alone, tmp_path):
    run = launched(launcher(), config, tmp_path, "--per_device_train_batch_size", "8", *settings.split())
    assert run.returncode == 0, run.stderr[-3000:]
    together, by_one = log(tmp_path), log(alone)
    assert [entry["decisions"] for entry in together] == [entry["decisions"] for entry in by_one]
    assert all(entry["decisions"] for entry in by_one)
    assert [entry["loss"] for entry in together] == pytest.approx([entry["loss"] for entry in by_one], abs=1e-5)
    assert [entry["groups/failed"] for entry in together] == [1.0] * 3  # the damaged video's, and nothing hung for it
    # on the policy that sampled, the loss is the KL term alone: what the gradients were shows in the weights
    start, expected, found = map(weights, (config.parent / "policy", alone, tmp_path))
    assert found.keys() == expected.keys()
    assert max((expected[name] - start[name]).abs().max() for name in expected) > 0.01
    for name, weight in expected.items():
        torch.testing.assert_close(found[name].float(), weight.float(), rtol=0, atol=1e-6, msg=name)


WATCHED = """
import json, os, sys
from pathlib import Path
from deepspeed.runtime.zero import GatheredParameters
from safetensors.torch import save_file
from lmms_videominer.store.selection_json import to_json
from lmms_videominer.training import run
from lmms_videominer.training.policy_in_training import PolicyInTraining
from lmms_videominer.training.rollout import TreeRollout
from lmms_videominer.training.trainer import TGRPOTrainer

complete, save_trees, save_model = PolicyInTraining.complete, TGRPOTrainer._save_trees, TGRPOTrainer.save_model
asked, trees = [], {}

def watched(self, prompts, *rest):
    asked[-1].append(len(prompts))
    return complete(self, prompts, *rest)

def grown(self, rollouts):
    for tree in rollouts:
        if isinstance(tree, TreeRollout):
            told = json.loads(to_json(tree.selection))
            found = [told["nodes"], told["key_frames"], told["answer"], tree.tree_reward]
            trees[f"{self.state.global_step} {tree.question_id} {tree.tree}"] = found
    asked.append([])
    save_trees(self, rollouts)

def saved(self, folder):
    save_model(self, folder)
    name = Path(folder) / f"rank-{os.environ.get('RANK', 0)}"
    with GatheredParameters(list(self.model.parameters())):
        weights = {name: weight.detach().float().clone() for name, weight in self.model.named_parameters()}
    save_file(weights, name.with_suffix(".safetensors"))
    name.with_suffix(".json").write_text(json.dumps({"asked": asked[:-1], "trees": trees}))

PolicyInTraining.complete, TGRPOTrainer._save_trees, TGRPOTrainer.save_model = watched, grown, saved
asked.append([])
sys.exit(run.main())
"""
BEST_FIRST = "--search best-first --wave 1 --grain_s 1 --max_vlm_calls 8 --max_nodes 8"


class Watched:
    """What one process of a run did: the number of prompts of each call of the policy, by rollout; trees; weights."""

    def __init__(self, folder: Path, rank: int):
        told = json.loads((folder / f"rank-{rank}.json").read_text())
        self.asked, self.trees = told["asked"], told["trees"]
        self.weights = load_file(folder / f"rank-{rank}.safetensors")

    @property
    def rounds(self) -> list[int]:
        """How many calls there were in each rollout until nothing was left to decide."""
        return [max(i for i, prompts in enumerate(calls, 1) if prompts) for calls in self.asked]


@pytest.fixture(scope="module")
def watched_script(config) -> Path:
    path = config.parent / "watched.py"
    path.write_text(WATCHED)
    return path


@pytest.fixture(scope="module")
def best_first_alone(config, watched_script) -> Watched:
    output = config.parent / "best-first"
    settings = f"{BEST_FIRST} --per_device_train_batch_size 16 --use_cpu True"
    run = launched([sys.executable, str(watched_script)], config, output, *settings.split())
    assert run.returncode == 0, run.stderr[-3000:]
    return Watched(output, 0)


@pytest.mark.launches
@pytest.mark.parametrize("settings", ["--use_cpu True", "--deepspeed zero3"], ids=["ddp", "zero3"])
def test_best_first_searches_of_two_processes_end_apart_and_train_as_one(
    settings, config, watched_script, best_first_alone, tmp_path
):
    settings = f"{BEST_FIRST} --per_device_train_batch_size 8 {settings}"
    run = launched([*torchrun()[:-2], str(watched_script)], config, tmp_path, *settings.split())
    assert run.returncode == 0, run.stderr[-3000:]
    first, second = (Watched(tmp_path, rank) for rank in range(2))
    # in step: both call the policy as often, 9 times at most, though one has nothing left to decide before the other
    assert [len(calls) for calls in first.asked] == [len(calls) for calls in second.asked] == [9] * 3
    assert first.rounds != second.rounds
    assert len(best_first_alone.trees) == 3 * 3 * 4  # the damaged film has none
    assert {**first.trees, **second.trees} == best_first_alone.trees
    start, expected = weights(config.parent / "policy"), best_first_alone.weights
    assert max((expected[name] - start[name]).abs().max() for name in expected) > 0.01
    for name, weight in expected.items():
        assert torch.equal(first.weights[name], second.weights[name]), name
        torch.testing.assert_close(first.weights[name], weight, rtol=0, atol=1e-6, msg=name)


@pytest.mark.launches
def test_a_loss_that_is_no_number_ends_every_process(config, tmp_path):
    run = launched(
        torchrun(),
        config,
        tmp_path,
        "--per_device_train_batch_size",
        "8",
        "--use_cpu",
        "True",
        "--learning_rate",
        "1e30",
    )
    assert run.returncode != 0
    assert "the loss is not finite at step 1; from: question film-" in run.stderr


KILLED = """
import os, signal, sys, time
from lmms_videominer.training import run
from lmms_videominer.training.trainer import TGRPOTrainer

save = TGRPOTrainer._save_rng_state

def killed(self, folder):
    if os.environ["RANK"] == "1" and self.state.global_step == 2:
        time.sleep(2)  # the other process has written everything by now
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, folder)

TGRPOTrainer._save_rng_state = killed
sys.exit(run.main())
"""


@pytest.mark.launches
def test_a_checkpoint_that_one_of_two_processes_did_not_finish_is_passed_over_by_both(config, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    settings = "--per_device_train_batch_size 8 --use_cpu True --save_strategy steps --save_steps 1"
    settings += " --resume_from_checkpoint auto"
    run = launched([*torchrun()[:-2], str(script)], config, tmp_path / "run", *settings.split())
    assert run.returncode != 0 and (tmp_path / "run" / "checkpoint-2" / "model.safetensors").exists()
    run = launched(torchrun(), config, tmp_path / "run", *settings.split())
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stderr.count("checkpoint-2 is incomplete and is ignored: it was not written to its end") == 1
    assert f"Resuming from {tmp_path / 'run' / 'checkpoint-1'}" in run.stderr
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoint-2").glob("rng_state*")) == [
        "rng_state_0.pth",
        "rng_state_1.pth",
    ]
    assert log(tmp_path / "run")[-1]["step"] == 3


@pytest.mark.launches
def test_a_checkpoint_of_deepspeed_that_lacks_a_shard_is_passed_over(config, tmp_path):
    settings = "--per_device_train_batch_size 8 --deepspeed zero2 --save_strategy steps --save_steps 1"
    settings += " --resume_from_checkpoint auto"
    run = launched(torchrun(), config, tmp_path, *settings.split(), "--max_steps", "2")
    assert run.returncode == 0, run.stderr[-3000:]
    [shard, *_] = (tmp_path / "checkpoint-2" / "global_step2").glob("*zero_pp_rank_1_*optim_states.pt")
    shard.write_bytes(shard.read_bytes()[:1000])
    run = launched(torchrun(), config, tmp_path, *settings.split(), "--max_steps", "3")
    assert run.returncode == 0, run.stderr[-3000:]
    assert f"{shard.name} has 1000 bytes instead of" in run.stderr
    assert f"Resuming from {tmp_path / 'checkpoint-1'}" in run.stderr
