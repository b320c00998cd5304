"""The policy in training, as a language model for the pipeline: with its current weights, directly or through vLLM."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from trl.models import unwrap_model_for_generation

from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.policy.language_model import Completion

if TYPE_CHECKING:
    from trl import GRPOTrainer


class PolicyInTraining:
    """Completes with the model that ``trainer`` trains; equal seeds and weights give equal completions.

    Under ZeRO-3 a call is collective, since it gathers the weights: every process must make the same number of calls.
    Within a call each process generates on its own. Where none has a prompt, no weights are gathered: processes that
    keep in step make many such calls once their trees are grown.

    Attributes:
        seconds: Time spent on completions since it was last set.
        logprobs: Empty, since the log-probabilities are the model's own.
    """

    identity = ""  # the policy changes at every step

    def __init__(self, trainer: GRPOTrainer):
        self._trainer: Any = trainer  # TRL types its settings as those of any Trainer
        self.seconds = 0.0
        self.logprobs: dict[tuple[tuple[int, ...], tuple[int, ...]], list[float | None]] = {}

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        started = time.perf_counter()
        trainer, args = self._trainer, self._trainer.args
        plugin = trainer.accelerator.state.deepspeed_plugin
        if plugin is not None and plugin.zero_stage == 3 and not any(gather_object([len(prompts)])):
            return []
        with (
            unwrap_model_for_generation(
                trainer.model_wrapped,
                trainer.accelerator,
                gather_deepspeed3_params=args.ds3_gather_for_generation,
                gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
            ) as model,
            _unobserved(trainer.model_wrapped),
            trainer.accelerator.autocast(),
        ):
            completions = self._language_model(model).complete(prompts, temperature, seeds)
        self.seconds += time.perf_counter() - started
        return completions

    def _language_model(self, model: Any) -> CausalLM:
        args = self._trainer.args
        return CausalLM(
            model, self._trainer.processing_class, self.identity, args.max_completion_length, args.rollout_batch_size
        )


class PolicyInVLLM(PolicyInTraining):
    """Completes through vLLM, server or colocated, with the current weights; vLLM ignores our seeds.

    Attributes:
        logprobs: vLLM's log-probabilities of its samples, by prompt and completion, since it was last cleared; ``None``
            for a token that it could not score.
    """

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        started = time.perf_counter()
        model = self._language_model(self._trainer.accelerator.unwrap_model(self._trainer.model))
        ids = [model._prompt_ids(prompt) for prompt in prompts]
        # vLLM splits by the number of prompts: every process must pass the same number, if any has one
        count = max(gather_object([len(ids)]))
        if not count:
            return []
        filler = [model._pad_id]
        completions, logprobs = self._trainer._generate_single_turn(ids + [filler] * (count - len(ids)), None, {}, 1)
        pairs = [(tuple(prompt), tuple(completion)) for prompt, completion in zip(ids, completions)]
        self.logprobs.update(zip(pairs, logprobs))
        tokens = [list(completion) for _, completion in pairs]
        texts = model.tokenizer.batch_decode(tokens, skip_special_tokens=True) if tokens else []
        self.seconds += time.perf_counter() - started
        return [Completion(text.strip(), *ids) for text, ids in zip(texts, pairs, strict=True)]


@contextmanager
def _unobserved(engine: Any) -> Iterator[None]:
    """Keep ZeRO-3 from comparing the processes at the start of every forward pass within the block.

    It does so in a hook that TRL leaves on the model while weights are gathered. If processes run different numbers
    of passes, some would wait there forever.
    """
    offload: Any = getattr(getattr(engine, "optimizer", None), "parameter_offload", None)
    handle: Any = getattr(offload, "fwd_pre_hook", None)
    hooks = offload.module._forward_pre_hooks if handle is not None else {}
    start_of_forward = hooks.pop(handle.id, None) if handle is not None else None
    try:
        yield
    finally:
        if start_of_forward is not None:
            hooks[handle.id] = start_of_forward


@contextmanager
def each_process_alone() -> Iterator[None]:
    """Hide ZeRO-3 from transformers: models load completely, and ``generate`` waits for no other process.

    Each process calls the frozen models as its trees need them, and the policy generates with gathered weights:
    if they had to stay in step with other processes, neither would ever finish.
    """
    from transformers.integrations import deepspeed

    reference = deepspeed._hf_deepspeed_config_weak_ref
    config = reference() if reference is not None else None
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            deepspeed.set_hf_deepspeed_config(config)


def importance_ratio(
    old: torch.Tensor, sampled: torch.Tensor, mask: torch.Tensor, mode: str, low: float | None, high: float | None
) -> torch.Tensor:
    """The probability ratio of the samples under the trained model and under vLLM's, for TRL's correction.

    Args:
        old, sampled: Log-probabilities under the model and under the sampler, float [R, C]; ``sampled`` may have NaN.
        mask: [R, C], 1 for tokens of completions.
        mode: ``token_*`` or ``sequence_*``, and ``*_truncate`` (clamp to the limits) or ``*_mask`` (0 outside).
        low, high: The limits; ``None`` for no limit.

    Returns:
        Float [R, C], or [R, 1] for a ratio of whole sequences.
    """
    difference = torch.nan_to_num((old - sampled) * mask, nan=0.0)  # [R, C]
    if mode.startswith("sequence"):
        difference = difference.sum(-1, keepdim=True)  # [R, 1]
    ratio = difference.exp()
    least, most = -float("inf") if low is None else low, float("inf") if high is None else high
    if mode.endswith("truncate"):
        return ratio.clamp(least, most)
    return ratio.masked_fill((ratio < least) | (ratio > most), 0.0)


def sampling_metrics(
    old: torch.Tensor, sampled: torch.Tensor, mask: torch.Tensor, ratio: torch.Tensor, mode: str
) -> dict[str, torch.Tensor]:
    """How far the sampler is from the trained model on the rows of one process, under TRL's names.

    Args:
        old, sampled, mask, mode: As for ``importance_ratio``, without rows of padding. Tokens that the sampler could
            not score are left out of ``sampling/sampling_logp_difference/*``.
        ratio: What ``importance_ratio`` gives for them.

    Returns:
        Scalars; NaN for a process without rows. ``*/mean`` are to be averaged over processes.
    """
    counted = mask.bool()
    difference = (old - sampled).abs()
    difference = difference[counted & ~difference.isnan()]
    ratios = ratio.flatten() if mode.startswith("sequence") else ratio[counted]
    values = {"sampling/sampling_logp_difference": difference, "sampling/importance_sampling_ratio": ratios}
    reductions: dict[str, Any] = {"min": torch.min, "mean": torch.mean, "max": torch.max}
    nothing = torch.full((), math.nan, device=old.device)
    return {
        f"{name}/{kind}": reduce(value) if value.numel() else nothing
        for name, value in values.items()
        for kind, reduce in reductions.items()
        if (name, kind) != ("sampling/sampling_logp_difference", "min")
    }
