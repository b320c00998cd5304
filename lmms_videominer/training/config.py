"""Settings of T-GRPO on top of TRL's ``GRPOConfig``; invalid ones are refused before any model is loaded."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from trl import GRPOConfig

from lmms_videominer.config import ASK, MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.selectors.settings import configured
from lmms_videominer.shipped import shipped_folder
from lmms_videominer.training.rewards import RewardConfig
from lmms_videominer.training.rollout import check_policy_decides

MEAN_OVER_ROWS = ("grpo", "dr_grpo", "sapo", "luspo")  # losses that are a mean over the rows of a forward pass
SUM_OVER_TOKENS = ("dapo", "cispo", "vespo")  # losses divided by the tokens of the whole generation batch
# Settings of GRPOConfig that the rollout of trees does not support, with the value they must keep and the reason.
FIXED = {
    "multi_objective_aggregation": ("sum_then_normalize", "the rewards of a decision are summed first"),
    "reward_weights": (None, "set the parts of the reward: length_weight, format_full, lambda_auxin"),
    "entropy_coef": (0.0, "its mean over a forward pass would weight decisions by their batch"),
    "use_adaptive_entropy": (False, "its mean over a forward pass would weight decisions by their batch"),
    "top_entropy_quantile": (1.0, "its quantile over a forward pass would weight decisions by their batch"),
    "sync_ref_model": (False, "a checkpoint does not contain the reference, so a resumed run would have another one"),
    "remove_unused_columns": (False, "a row has video, question, options and answer"),
    "ds3_gather_for_generation": (True, "trees call the policy a different number of times on every process"),
    "use_transformers_continuous_batching": (False, "use vllm"),
}
WORLD_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")  # set by launchers
DEEPSPEED = ("zero2", "zero3", "zero3_offload")  # names of the files shipped in deepspeed_configs
PLAIN_SAMPLING = {"top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0, "generation_kwargs": None}
# Settings of MinerConfig that training sets itself or does not use.
SET_BY_TRAINING = ("selector", "policy", "temperature", "seed", "policy_tokens", "policy_batch_size", "embedder")

# The settings of mining that a training file may have, with the names, help texts and defaults of MinerConfig.
MiningArguments = dataclasses.make_dataclass(
    "MiningArguments",
    [
        (f.name, type(f.default), field(default=f.default, metadata=f.metadata))
        for f in dataclasses.fields(MinerConfig)
        if f.name in MinerConfig.names() and f.name not in SET_BY_TRAINING
    ],
)


def _of_rewards(name: str) -> Any:
    """The field ``name`` of ``RewardConfig`` as a field of the training settings."""
    source = RewardConfig.__dataclass_fields__[name]
    return field(default=source.default, metadata=dict(source.metadata))


@dataclass
class TGRPOConfig(GRPOConfig):
    """``GRPOConfig`` with the settings of the rewards. One row of a batch is one tree.

    ``per_device_train_batch_size`` and ``generation_batch_size`` count trees, ``num_generations`` the trees of one
    question, ``max_completion_length`` the tokens of one decision; ``forward_batch_size`` bounds the memory of a
    forward and backward pass for trees of any size. ``deepspeed`` may be the name of a shipped file: ``zero2``,
    ``zero3``, ``zero3_offload``.

    Raises:
        ConfigError: The settings cannot work together; the message quotes the values.
    """

    reward: str = _of_rewards("reward")
    lambda_auxin: float = _of_rewards("lambda_auxin")
    target_length: float = _of_rewards("target_length")
    length_sigma: float = _of_rewards("length_sigma")
    length_weight: float = _of_rewards("length_weight")
    format_full: float = _of_rewards("format_full")
    format_partial: float = _of_rewards("format_partial")
    advantages: str = _of_rewards("advantages")
    answer_reward: str = _of_rewards("answer_reward")
    call_price: float = _of_rewards("call_price")
    evidence_target: float = _of_rewards("evidence_target")
    evidence_ungated: float = _of_rewards("evidence_ungated")
    fallback_reward: str = _of_rewards("fallback_reward")

    forward_batch_size: int = field(default=8, metadata={"help": "Distinct replies in one forward and backward pass."})
    rollout_batch_size: int = field(default=16, metadata={"help": "Decisions that transformers generates in a batch."})
    tree_log_steps: int = field(
        default=50,
        metadata={
            "help": "Save the trees of one question under output_dir/trees in the first rollout of every "
            "interval of this many steps; 0: never."
        },
    )

    loss_type: str = field(default="grpo", metadata={"help": "grpo, dr_grpo, sapo, luspo, dapo, cispo or vespo."})
    beta: float = field(default=0.04, metadata={"help": "Coefficient of the KL term; 0: no reference model."})
    max_completion_length: int | None = field(default=256, metadata={"help": "Maximum tokens of one decision."})

    def __post_init__(self) -> None:
        self._check_trees()
        if self.deepspeed and self.use_cpu:
            raise ConfigError(
                f"use_cpu=True with deepspeed={self.deepspeed!r}: accelerate ignores DeepSpeed with use_cpu. "
                "Hide the GPUs instead: CUDA_VISIBLE_DEVICES= DS_ACCELERATOR=cpu"
            )
        if isinstance(self.deepspeed, str) and self.deepspeed in DEEPSPEED:
            self.deepspeed = str(shipped_folder("deepspeed_configs") / f"{self.deepspeed}.json")
        self._meet_alone()
        self._meet_on_cpu()
        try:
            super().__post_init__()
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._check_fixed()
        self._check_checkpoints()

    def _meet_alone(self) -> None:
        """For DeepSpeed in one process without a launcher, which would look for other processes through MPI."""
        if self.deepspeed and "LOCAL_RANK" not in os.environ and not any(os.environ.get(name) for name in WORLD_SIZES):
            os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1")
            os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
            os.environ.setdefault("MASTER_PORT", "0")  # any free port

    def _meet_on_cpu(self) -> None:
        """For DeepSpeed without an accelerator: transformers sets no backend there, so processes would not connect."""
        if not self.deepspeed or "LOCAL_RANK" not in os.environ or torch.accelerator.is_available():
            return
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"  # for PartialState, as in TrainingArguments
        try:
            PartialState(backend="gloo", timeout=timedelta(seconds=self.ddp_timeout))
        finally:
            del os.environ["ACCELERATE_USE_DEEPSPEED"]
        config = self.accelerator_config or {}
        if isinstance(config, str):  # JSON, or the name of a JSON file
            config = json.loads(config if config.lstrip().startswith("{") else Path(config).read_text())
        self.accelerator_config = {**config, "use_configured_state": True}

    def _check_trees(self) -> None:
        self.rewards()
        if (self.num_generations or 0) < 2:
            raise ConfigError(f"num_generations={self.num_generations}: a group needs at least 2 trees to compare")
        for name in ("forward_batch_size", "rollout_batch_size", "max_completion_length"):
            if (getattr(self, name) or 0) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least 1")
        if not self.temperature > 0:
            raise ConfigError(
                f"temperature={self.temperature}: a greedy policy grows the same tree "
                f"{self.num_generations} times; set it above 0"
            )
        if self.loss_type not in MEAN_OVER_ROWS + SUM_OVER_TOKENS:
            raise ConfigError(
                f"loss_type={self.loss_type!r}: must be one of {', '.join(MEAN_OVER_ROWS + SUM_OVER_TOKENS)}; "
                "others would weight a decision by the rest of its forward pass"
            )

    def _check_fixed(self) -> None:
        if self.scale_rewards not in ("group", "none"):
            raise ConfigError(
                f"scale_rewards={self.scale_rewards!r}: T-GRPO compares the trees of one question: group, or none for "
                "rewards less their mean"
            )
        if self.scale_rewards == "none" and self.advantages not in ("paper", "unscaled"):
            raise ConfigError(
                f"scale_rewards='none' with advantages={self.advantages!r}: without scaling there is no deviation to "
                "bound; leave out one of them"
            )
        for name, (value, reason) in FIXED.items():
            if getattr(self, name) != value:
                raise ConfigError(f"{name}={getattr(self, name)!r}: T-GRPO needs {value!r}: {reason}")
        if not self.use_vllm:
            for name, value in PLAIN_SAMPLING.items():
                if getattr(self, name) != value:
                    raise ConfigError(
                        f"{name}={getattr(self, name)!r}: trees are sampled at the plain temperature; "
                        f"leave it at {value!r}"
                    )
        if self.fsdp:
            raise ConfigError(f"fsdp={self.fsdp!r}: shard with DeepSpeed instead (deepspeed_configs/zero3.json)")

    def _check_checkpoints(self) -> None:
        """Refuse checkpoints inside a rollout: a resumed run would grow its trees again, with other weights."""
        per_generation: Any = self.steps_per_generation  # filled in by GRPOConfig
        steps = per_generation * self.num_iterations
        saves = self.save_steps * self.gradient_accumulation_steps
        if self.save_strategy == "steps" and self.save_steps < 1:
            raise ConfigError(
                f"save_steps={self.save_steps}: must be a number of steps, a multiple of "
                f"steps_per_generation={per_generation} x num_iterations={self.num_iterations}"
            )
        if self.save_strategy == "steps" and saves % steps:
            raise ConfigError(
                f"save_steps={self.save_steps} x gradient_accumulation_steps={self.gradient_accumulation_steps} is not "
                f"a multiple of steps_per_generation={per_generation} x num_iterations={self.num_iterations}: "
                "a checkpoint inside a rollout could not be resumed identically"
            )

    def rewards(self) -> RewardConfig:
        """The settings of the rewards; ``scale_rewards=none`` leaves advantages unscaled, as in TRL."""
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(RewardConfig)}
        return RewardConfig(**settings | ({"advantages": "unscaled"} if self.scale_rewards == "none" else {}))

    def mining(self, config: MinerConfig | None = None) -> MinerConfig:
        """``config`` for rollouts: with the videominer selector and a sampling policy.

        Raises:
            ConfigError: The captioner, not the policy, would decide.
        """
        tokens: Any = self.max_completion_length  # checked on construction
        config = config or MinerConfig()
        if config.parts_per_decision > 1:
            raise ConfigError(
                f"parts_per_decision={config.parts_per_decision}: T-GRPO rewards one action a completion; leave it at 1"
            )
        if config.default_action == ASK:  # each decision is a sample of its own: nothing is asked again
            config = dataclasses.replace(config, default_action="continue")
        config = configured(
            config,
            selector="videominer",
            temperature=self.temperature,
            policy_tokens=tokens,
            seed=self.seed,
        )
        check_policy_decides(config)
        return config

    def check_questions(self, ids: Sequence[str]) -> None:
        """Refuse data that cannot fill one rollout or whose groups cannot be distinguished.

        Raises:
            ConfigError: There are too few questions, or an id occurs twice.
        """
        trees: Any = self.generation_batch_size  # filled in by GRPOConfig
        groups = trees // (self.num_generations or 1)
        if len(ids) < groups:
            raise ConfigError(
                f"{len(ids)} questions cannot fill one rollout of {groups} (generation_batch_size="
                f"{self.generation_batch_size} / num_generations={self.num_generations}): "
                "lower the batch size, or provide more questions"
            )
        if len(set(ids)) < len(ids):
            twice = next(name for name, count in Counter(ids).items() if count > 1)
            raise ConfigError(f"question id {twice!r} occurs twice: trees of different questions would be compared")
