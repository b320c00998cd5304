"""The trainer of T-GRPO: TRL's GRPOTrainer with trees instead of completions."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, gather_object
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import get_config_model_id, nanmax, nanmin, use_adapter

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, TrainingError
from lmms_videominer.models.loading import loading
from lmms_videominer.policy.prompted import PromptedPolicy
from lmms_videominer.search.seeds import seed_of
from lmms_videominer.search.stages import Stages
from lmms_videominer.training.batches import (
    PADDING,
    Batch,
    batch_of,
    by_row,
    deal,
    equal_rows,
    forward_passes,
    sampler_logprobs,
)
from lmms_videominer.training.checkpoints import WholeCheckpoints
from lmms_videominer.training.config import MEAN_OVER_ROWS, TGRPOConfig
from lmms_videominer.training.groups import Group, Row, grouped, record, rows
from lmms_videominer.training.metrics import ending_metrics, rollout_metrics, save_trees, undecided
from lmms_videominer.training.order import EpochSampler
from lmms_videominer.training.policy_in_training import (
    PolicyInTraining,
    PolicyInVLLM,
    each_process_alone,
    importance_ratio,
    sampling_metrics,
)
from lmms_videominer.training.reward_file import save_rewards
from lmms_videominer.training.rollout import (
    DecisionSample,
    RolloutJob,
    TreeRollout,
    roll_out,
    scoring_vlm,
)
from lmms_videominer.types import Action, Question, Span

logger = logging.getLogger(__name__)


class TGRPOTrainer(WholeCheckpoints, GRPOTrainer):
    """Trains the policy of trees with T-GRPO (arXiv 2510.06040, section 3.2).

    A row of the dataset is a question: ``id``, ``video``, ``question``, ``options``, ``answer``. TRL's sampler
    repeats it ``num_generations`` times, and **a row of a batch is one tree**: ``per_device_train_batch_size`` and
    ``generation_batch_size`` count trees. Everything else is inherited from ``GRPOTrainer``. What differs:

    - ``_generate_and_score_completions``: instead of one completion per prompt, every process grows, answers and
      rewards the trees of its rows with the pipeline of inference. The decisions of all processes are gathered,
      their advantages are computed over all decisions of a question's trees, and the decisions are distributed evenly,
      regardless of their trees. Decisions with equal prompts and replies go together: the model runs over them once.
      Masked rows fill up a process so that all run the same number of forward passes (fewer than processes x
      ``steps_per_generation`` rows per rollout); nothing is dropped.
    - ``_compute_loss``: runs in forward and backward passes of ``forward_batch_size`` replies, and weights each
      so that every decision of a rollout counts the same: the mean is over the decisions of the rollout, not over those
      that happen to share a pass or a process. Stops on all processes if a loss is not finite. TRL's own metrics
      (kl, entropy, clip ratios) are means over passes.
    - ``_get_train_sampler``: the order of an epoch depends only on the seed and the epoch, so that a resumed run
      continues with the same order.
    - ``training_step``: logs the seconds of the update.
    - ``_save_checkpoint``: as ``WholeCheckpoints`` says.

    The sampling of trees depends only on the training seed, the question's id, the tree's number and the step: neither
    on the number of processes nor on the rest of the batch (vLLM draws by itself).

    Args:
        model: The policy: a causal LM, by name or loaded.
        args: Settings.
        stages: The frozen video LLM and embedder, the segmenter, the clusterer and the cache; its policy is not used.
        train_dataset: Questions with unique ids.
        miner_config: Settings of mining; temperature, policy_tokens and seed come from ``args``.
        **rest: See ``GRPOTrainer``.

    Raises:
        ConfigError: The dataset cannot fill a rollout, its ids are not unique, or the video LLM gives no probabilities
            where the reward needs them.
    """

    _tag_names = ["trl", "grpo", "t-grpo", "videominer"]  # noqa: RUF012 (as TRL declares it)
    _name = "T-GRPO"
    args: Any  # a TGRPOConfig with all values filled in
    model: Any
    _logs: Any

    def __init__(
        self,
        model: Any,
        args: TGRPOConfig,
        stages: Stages,
        train_dataset: Dataset,
        miner_config: MinerConfig | None = None,
        **rest: Any,
    ):
        if not isinstance(train_dataset, Dataset):
            raise ConfigError(
                f"train_dataset is a {type(train_dataset).__name__}: the number of questions must be known; "
                "use a datasets.Dataset"
            )
        args.check_questions(train_dataset["id"])
        if args.answer_reward == "probability":
            scoring_vlm(stages.vlm)
        rest["processing_class"] = rest.get("processing_class") or _tokenizer(model, args)
        rewards: Any = _rewarded_in_rollout
        _warn_of_dropout(rest.get("peft_config"))
        super().__init__(model, rewards, args, train_dataset, **rest)
        if self.aux_loss_enabled and args.loss_type not in MEAN_OVER_ROWS:
            raise ConfigError(
                f"loss_type={args.loss_type!r} cannot weight the auxiliary loss of a mixture of experts: "
                f"use one of {', '.join(MEAN_OVER_ROWS)}, or set router_aux_loss_coef to 0"
            )
        self._policy = (PolicyInVLLM if args.use_vllm else PolicyInTraining)(self)
        self._mining, self._rewards = args.mining(miner_config), args.rewards()
        policy = PromptedPolicy(self._policy, Action(self._mining.default_action))
        self._stages = dataclasses.replace(stages, policy=policy)
        self._rows: dict[str, list[Row]] = {}  # of the last rollout, by "train" and "eval"
        self._rollout_s = 0.0
        self._trees_saved = -1  # the last interval of tree_log_steps with saved trees
        self._saved: list[tuple[TreeRollout, Path]] = []  # trees of this rollout whose rewards are not saved yet
        self._undecided: set[str] = set()  # questions already reported as having no decisions

    # --- rollout --------------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        started = time.perf_counter()
        groups = self._roll_out(inputs)
        self._rows[self._mode] = rows(groups, self._rewards)
        self._save_rewards()
        self._rollout_s = time.perf_counter() - started
        self._log_rollout(groups)
        return self._batch(self._rows[self._mode])

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"

    @property
    def _steps(self) -> int:
        """The number of parts that a rollout is split into."""
        return self.args.steps_per_generation if self.model.training else 1

    def _roll_out(self, inputs: Sequence[dict[str, Any]]) -> list[Group]:
        """The groups of all processes; each process grows the trees of its rows."""
        jobs = self._jobs(inputs)
        self._policy.seconds = 0.0
        self._policy.logprobs.clear()
        with each_process_alone():
            rollouts = roll_out(jobs, self._stages, self._mining, self._rewards)
        self._save_trees(rollouts)
        records = [record(job, tree, self._policy.logprobs) for job, tree in zip(jobs, rollouts, strict=True)]
        return grouped(gather_object(records))

    def _jobs(self, inputs: Sequence[dict[str, Any]]) -> list[RolloutJob]:
        first = self.accelerator.process_index * len(inputs)  # processes have consecutive rows
        number = self.num_generations if self.model.training else self.num_generations_eval
        return [self._job(row, (first + i) % number) for i, row in enumerate(inputs)]

    def _job(self, row: dict[str, Any], tree: int) -> RolloutJob:
        evidence = tuple(Span(*span) for span in row.get("evidence") or ())
        part = (row.get("start_s") or 0.0, row.get("end_s"))
        question = Question(row["video"], row["question"], tuple(row.get("options") or ()), evidence, *part)
        # a question is in at most one rollout per step; evaluation uses the same draws throughout training
        step = self.state.global_step if self.model.training else "eval"
        seed = seed_of(self.args.seed, step, row["id"], tree)
        return RolloutJob(question, row["answer"], row["id"], tree, seed)

    def _batch(self, decisions: list[Row]) -> Batch:
        """This process's share of the decisions, in the form that ``GRPOTrainer`` passes to ``_compute_loss``."""
        replies = equal_rows(decisions)
        dealt = deal(len(replies), self.accelerator.process_index, self.accelerator.num_processes, self._steps)
        share = [replies[i] if i != PADDING else [] for i in dealt]
        masked = [
            self.args.mask_truncated_completions and row.completion_ids[-1] not in self.eos_token_ids
            for row in decisions
        ]
        device = self.accelerator.device
        most = max(map(len, replies), default=1)
        batch = batch_of(decisions, share, self._tokenizer.pad_token_id, device, masked, most)
        tokens = sum(len(row.completion_ids) for row, left_out in zip(decisions, masked) if not left_out)
        batch["num_items_in_batch"] = torch.tensor(tokens, device=device)
        batch["num_decisions"] = torch.tensor(len(decisions), device=device)
        return batch | self._known_logprobs(batch, [decisions[numbers[0]] if numbers else None for numbers in share])

    def _known_logprobs(self, batch: Batch, share: Sequence[Row | None]) -> Batch:
        """Log-probabilities of the policy that generated and of the reference, if the loss needs them."""
        known: Batch = {}
        corrected = self.use_vllm and self.vllm_importance_sampling_correction
        aligned = self.args.gradient_accumulation_steps % (self.args.steps_per_generation * self.num_iterations) == 0
        with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            if corrected or not aligned:
                known["old_per_token_logps"] = self._logprobs(self.model, batch)
            if corrected:
                sampled = sampler_logprobs(share, batch["completion_mask"])
                known["sampling_per_token_logps"] = sampled
                known["importance_sampling_ratio"] = importance_ratio(
                    known["old_per_token_logps"],
                    sampled,
                    batch["completion_mask"],
                    self.vllm_importance_sampling_mode,
                    self.vllm_importance_sampling_clip_min,
                    self.vllm_importance_sampling_clip_max,
                )
                self._log_sampling(batch, known)
            if self.beta:
                known["ref_per_token_logps"] = self._reference_logprobs(batch)
        return known

    def _log_sampling(self, batch: Batch, known: Batch) -> None:
        """Log how far vLLM's log-probabilities are from the model's, over the decisions of all processes."""
        real = (batch["row"] != PADDING).any(1)
        names = ("old_per_token_logps", "sampling_per_token_logps")
        mode = self.vllm_importance_sampling_mode
        old, sampled, ratio = (known[name][real] for name in (*names, "importance_sampling_ratio"))
        reductions: dict[str, Any] = {"min": nanmin, "mean": torch.nanmean, "max": nanmax}
        for name, value in sampling_metrics(old, sampled, batch["completion_mask"][real], ratio, mode).items():
            everywhere = self.accelerator.gather(value.reshape(1))
            self._metrics[self._mode][name].append(reductions[name.rpartition("/")[2]](everywhere).item())

    def _reference_logprobs(self, batch: Batch) -> torch.Tensor:
        if self.ref_model is not None:
            return self._logprobs(self.ref_model, batch)
        model = self.accelerator.unwrap_model(self.model)  # with an adapter, the reference is the model without it
        with use_adapter(model, adapter_name="ref" if "ref" in model.peft_config else None):
            return self._logprobs(self.model, batch)

    def _logprobs(self, model: Any, batch: Batch) -> torch.Tensor:
        """Log-probabilities of the completions' tokens, float32 [R, C]; 0 in padding."""
        mask = batch["completion_mask"]
        logprobs = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
        tokens = {name: batch[name] for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")}
        place = torch.arange(len(mask), device=mask.device)
        for part in forward_passes(tokens | {"place": place}, self.args.forward_batch_size):
            ids = torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1)  # [r, p + c]
            attended = torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1)
            length = part["completion_ids"].shape[1]
            logprobs[part["place"], :length] = self._get_per_token_logps_and_entropies(model, ids, attended, length)[0]
        return logprobs * mask

    # --- loss -----------------------------------------------------------------------------------------------

    def _compute_loss(self, model: Any, inputs: Batch) -> torch.Tensor:
        *before, last = forward_passes(inputs, self.args.forward_batch_size)
        earlier = torch.zeros((), device=self.accelerator.device)
        for part in before:
            with self._without_step(model):
                loss = self._loss_of(model, part)
                if loss.requires_grad:
                    self.accelerator.backward(loss, **self._backward_arguments)
            earlier += loss.detach()
        return self._loss_of(model, last) + earlier  # the caller's backward adds the last pass's gradients

    @contextmanager
    def _without_step(self, model: Any) -> Iterator[None]:
        """Accumulate gradients, without reducing them over processes or taking a step."""
        state = self.accelerator.gradient_state
        synchronised = state.sync_gradients
        state._set_sync_gradients(False)
        try:
            with self.accelerator.no_sync(model):
                yield
        finally:
            state._set_sync_gradients(synchronised)

    @property
    def _backward_arguments(self) -> dict[str, Any]:
        deepspeed = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        return {"scale_wrt_gas": False} if deepspeed else {}  # as in Trainer.training_step

    def _loss_of(self, model: Any, part: Batch) -> torch.Tensor:
        part = by_row(part, with_padding=self.accelerator.num_processes > 1)
        loss = super()._compute_loss(model, part)
        if self.loss_type in MEAN_OVER_ROWS:
            # from the mean over the rows of this pass to its share of the mean over all decisions; gradients are
            # averaged over processes, and by TRL over the steps of a rollout
            share = part["row"].shape[0] / part["num_decisions"].clamp(min=1)
            loss = loss * (share * self.accelerator.num_processes * self._steps)
        self._check_finite(model, loss, part)
        return loss

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, *rest: Any, **settings: Any
    ) -> tuple[Any, ...]:
        """As in ``GRPOTrainer``, but the model runs once over lines that follow each other and are equal."""
        both = torch.stack([input_ids, attention_mask], dim=1)  # [N, 2, T]
        lines, line = torch.unique_consecutive(both, return_inverse=True, dim=0)
        results = super()._get_per_token_logps_and_entropies(model, *lines.unbind(1), *rest, **settings)
        return tuple(value[line] if isinstance(value, torch.Tensor) and value.ndim else value for value in results)

    def _check_finite(self, model: Any, loss: torch.Tensor, part: Batch) -> None:
        """Raise ``TrainingError`` on every process if one has a loss that is not finite."""
        wrong = (~torch.isfinite(loss.detach())).float().reshape(1)
        if not self.accelerator.reduce(wrong, "sum").item():
            return
        with torch.no_grad():
            sums = (self._logprobs(model, part) * part["completion_mask"]).sum(1) + part["advantages"]  # [R]
        bad = part["row"][~torch.isfinite(sums)] if wrong.item() else part["row"][:0]
        named = bad if len(bad) or not wrong.item() else part["row"]
        sources = gather_object([str(self._rows[self._mode][i]) for i in named.tolist() if i != PADDING])
        raise TrainingError(
            f"the loss is not finite at step {self.state.global_step}; from: {'; '.join(sources[:3])}"
            f"{f' and {len(sources) - 3} more' if len(sources) > 3 else ''}. "
            "The last checkpoint is intact; a lower learning_rate or max_grad_norm, or bf16 instead of fp16, may help"
        )

    # --- order, log -----------------------------------------------------------------------------------------

    def _get_train_sampler(self, dataset: Dataset | None = None) -> Sampler:
        sampler: Any = super()._get_train_sampler(dataset)
        return EpochSampler(sampler, lambda: int(self.state.epoch or 0))

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        started, self._rollout_s = time.perf_counter(), 0.0
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._metrics["train"]["seconds/update"].append(time.perf_counter() - started - self._rollout_s)
        return loss

    def _log_rollout(self, groups: Sequence[Group]) -> None:
        metrics = rollout_metrics(groups, self._rows[self._mode])
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}  # as in GRPOTrainer
        metrics |= ending_metrics([row.completion_ids for row in self._rows[self._mode]], ends)
        metrics["seconds/rollout"] = self._rollout_s
        metrics["seconds/generation"] = self._policy.seconds
        if self.model.training:
            self.state.num_input_tokens_seen += sum(
                len(row.prompt_ids) + len(row.completion_ids) for row in self._rows["train"]
            )
            metrics["num_tokens"] = float(self.state.num_input_tokens_seen)
        for name, value in metrics.items():
            self._metrics[self._mode][name].append(value)
        if self.log_completions:
            self._log_completions(
                [sample for group in groups if not group.failure for tree in group.trees for sample in tree.decisions]
            )
        if self.accelerator.is_main_process:
            for group in groups:
                if group.failure:
                    logger.warning(
                        "Question %s is left out of step %d: %s",
                        group.question_id,
                        self.state.global_step,
                        group.failure,
                    )
            self._warn_of_undecided(undecided(groups))

    def _warn_of_undecided(self, question_ids: Sequence[str]) -> None:
        """Report each question without decisions once, such as one whose video is too short to be searched."""
        new = [name for name in question_ids if name not in self._undecided]
        self._undecided.update(new)
        if new:
            logger.warning(
                "%d more questions have no decisions to learn from: %s. Their videos are too short for a search: "
                "leave them out, or lower grain_s=%g",
                len(new),
                ", ".join(new),
                self._mining.grain_s,
            )

    def _log_completions(self, samples: Sequence[DecisionSample]) -> None:
        self._logs["prompt"].extend(self._tokenizer.batch_decode([list(sample.prompt_ids) for sample in samples]))
        self._logs["completion"].extend(
            self._tokenizer.batch_decode([list(sample.completion_ids) for sample in samples])
        )
        for part in ("format", "length", "action", "tree", "total"):
            self._logs["rewards"][part].extend(getattr(sample.rewards, part) for sample in samples)
        self._logs["advantages"].extend(row.advantage for row in self._rows[self._mode])

    def _save_trees(self, rollouts: Sequence[Any]) -> None:
        every, step = self.args.tree_log_steps, self.state.global_step
        if not every or not self.model.training or step // every == self._trees_saved:
            return
        self._trees_saved = step // every
        if not self.accelerator.is_main_process:
            return
        trees = [tree for tree in rollouts if isinstance(tree, TreeRollout)]
        first = [tree for tree in trees if tree.question_id == trees[0].question_id]
        paths = save_trees(first, Path(self.args.output_dir or ".") / "trees" / f"step-{step:06d}")
        self._saved = list(zip(first, paths, strict=True))

    def _save_rewards(self) -> None:
        """Save the rewards beside the trees that this rollout saved; advantages are only known of all processes."""
        if self._saved:
            save_rewards(self._saved, self._rows[self._mode], self._saved[0][1].parent)
        self._saved = []


def _tokenizer(model: Any, args: TGRPOConfig) -> PreTrainedTokenizerBase:
    """The policy's tokenizer; ``GRPOTrainer`` would load a processor if a policy cut from a video LLM names one."""
    name = model if isinstance(model, str) else get_config_model_id(model.config)
    loading_settings: Any = args.model_init_kwargs or {}  # a dictionary once GRPOConfig has read it
    revision = loading_settings.get("revision")
    with loading("policy", name):
        return AutoTokenizer.from_pretrained(
            name,
            revision=revision,
            padding_side="left",
            truncation_side="left",
            trust_remote_code=args.trust_remote_code,
        )


def _warn_of_dropout(adapter: Any) -> None:
    dropout = getattr(adapter, "lora_dropout", 0.0)
    if dropout:
        logger.warning(
            "lora_dropout=%g: trees are grown without dropout and learnt from with it, so that their probability ratio "
            "is off before any update. Set lora_dropout to 0",
            dropout,
        )


def _rewarded_in_rollout(*args: Any, **kwargs: Any) -> list[float]:
    """Stands in for GRPOTrainer's reward functions: the rollout already returns decisions with their rewards."""
    raise NotImplementedError("the rewards of decisions come from their rollout")
