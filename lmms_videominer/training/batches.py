"""Decisions as batches: dealt to processes, padded to tensors, cut into forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lmms_videominer.training.groups import Row

Batch = dict[str, torch.Tensor]
PADDING = -1  # the row number of a row that only fills up


def deal(count: int, process: int, processes: int, steps: int) -> list[int]:
    """The rows of one process: every ``processes``-th of ``count``, filled up with ``PADDING``.

    All processes get equally many, a multiple of ``steps`` and at least one a step: they must run equally many
    forward passes. Fewer than ``processes * steps`` rows are padding, unless there is no row at all.
    """
    share = max(1, -(-count // (processes * steps))) * steps
    mine = list(range(process, count, processes))
    return mine + [PADDING] * (share - len(mine))


def batch_of(
    rows: Sequence[Row], dealt: Sequence[int], pad_id: int, device: torch.device | str, masked: Sequence[bool] = ()
) -> Batch:
    """Tensors as ``GRPOTrainer`` names them: prompts padded on the left, completions on the right.

    Args:
        rows: All decisions of the rollout.
        dealt: Numbers of those in this batch; ``PADDING`` is a row of one masked token a side.
        pad_id: Fills up.
        device: Where the tensors go.
        masked: By row, whether its completion is left out of the loss.

    Returns:
        ``prompt_ids``, ``prompt_mask`` int64 [R, P]; ``completion_ids``, ``completion_mask`` int64 [R, C];
        ``advantages`` float32 [R]; ``row`` int64 [R]: the numbers dealt. Padding rows have a ``prompt_mask`` of
        one token, so that attention has something to attend to, and an empty ``completion_mask``.
    """
    prompts = [rows[i].prompt_ids if i != PADDING else (pad_id,) for i in dealt]
    completions = [rows[i].completion_ids if i != PADDING else (pad_id,) for i in dealt]
    kept = [i != PADDING and not (masked and masked[i]) for i in dealt]
    width, length = max(map(len, prompts)), max(map(len, completions))

    def tensor(values: list[Any]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    return {
        "prompt_ids": tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in prompts]),
        "prompt_mask": tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]),
        "completion_ids": tensor([list(ids) + [pad_id] * (length - len(ids)) for ids in completions]),
        "completion_mask": tensor(
            [[int(keep)] * len(ids) + [0] * (length - len(ids)) for ids, keep in zip(completions, kept)]
        ),
        "advantages": torch.tensor([rows[i].advantage if i != PADDING else 0.0 for i in dealt], device=device),
        "row": tensor(list(dealt)),
    }


def sampler_logprobs(dealt: Sequence[Row | None], like: torch.Tensor) -> torch.Tensor:
    """The sampler's log-probabilities, float32 [R, C], padded as ``like`` is; 0 in padding, ``None`` rows."""
    padded = torch.zeros(like.shape, dtype=torch.float32, device=like.device)
    for line, row in zip(padded, dealt, strict=True):
        told = row.logprobs if row is not None else ()
        line[: len(told)] = torch.tensor(told, dtype=torch.float32, device=like.device)
    return padded


def forward_passes(batch: Batch, size: int) -> list[Batch]:
    """``batch`` in parts of at most ``size`` rows, the long ones first, each without the padding it does not need.

    The number of parts depends on the number of rows alone: processes keep step. Values without rows (0-dim) are
    in every part.
    """
    lengths = batch["prompt_mask"].sum(1) + batch["completion_mask"].sum(1)  # [R]
    order = torch.argsort(lengths, descending=True, stable=True)
    return [
        _trimmed({name: value[part] if value.ndim else value for name, value in batch.items()})
        for part in order.split(size)
    ]


def _trimmed(part: Batch) -> Batch:
    """Without the columns that hold padding only; at least one of a prompt and one of a completion stays."""
    prompts, completions = part["prompt_mask"], part["completion_mask"]
    width = max(1, int(prompts.sum(1).max()))
    length = max(1, int((completions * torch.arange(1, completions.shape[1] + 1, device=completions.device)).max()))
    by_side = {"prompt_ids": slice(-width, None), "prompt_mask": slice(-width, None)}
    per_token = completions.shape
    return {
        name: value[:, by_side[name]]
        if name in by_side
        else value[:, :length]
        if value.ndim == 2 and value.shape == per_token
        else value
        for name, value in part.items()
    }
