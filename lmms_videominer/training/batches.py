"""Batches of decisions: equal ones merged, distributed over processes, padded to tensors, split into forward passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from lmms_videominer.training.groups import Row

Batch = dict[str, torch.Tensor]
PADDING = -1  # the row number of a padding row


def equal_rows(rows: Sequence[Row]) -> list[list[int]]:
    """Row numbers by reply: rows with the same prompt and the same completion, in the order of their first.

    The trees of a group share their first prompts, and a policy that is sure of itself replies the same in many of
    them. The model runs over each reply once, whatever the advantages of its rows.
    """
    numbers: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for i, row in enumerate(rows):
        numbers.setdefault((row.prompt_ids, row.completion_ids), []).append(i)
    return list(numbers.values())


def deal(count: int, process: int, processes: int, steps: int) -> list[int]:
    """The numbers of the replies of one process: every ``processes``-th of ``count``, padded with ``PADDING``.

    All processes get the same number, a multiple of ``steps`` and at least one per step, since they must run the same
    number of forward passes. Fewer than ``processes * steps`` are padding, unless there are no replies.
    """
    share = max(1, -(-count // (processes * steps))) * steps
    numbers = list(range(process, count, processes))
    return numbers + [PADDING] * (share - len(numbers))


def batch_of(
    rows: Sequence[Row],
    replies: Sequence[Sequence[int]],
    pad_id: int,
    device: torch.device | str,
    masked: Sequence[bool] = (),
    most: int = 1,
) -> Batch:
    """Tensors with the names of ``GRPOTrainer``, a line for each reply: prompts padded left, completions right.

    Args:
        rows: All decisions of the rollout.
        replies: The row numbers of each reply (``equal_rows``); without any, a line of padding, which has one token
            in the prompt and one in the completion.
        pad_id: The padding token.
        device: Device of the tensors.
        masked: By row, whether its completion is excluded from the loss; equal for the rows of a reply.
        most: The least that M may be, below: the rows of the reply that has most, if that is on another process.

    Returns:
        ``prompt_ids``, ``prompt_mask`` int64 [R, P]; ``completion_ids``, ``completion_mask`` int64 [R, C];
        ``row`` int64 [R, M] and ``advantages`` float32 [R, M] of the rows of each reply, at most M, filled up with
        ``PADDING`` and 0. A line of padding has a ``prompt_mask`` of one token, so that attention has something to
        attend to, and an empty ``completion_mask``.
    """
    firsts = [numbers[0] if numbers else PADDING for numbers in replies]
    prompts = [rows[i].prompt_ids if i != PADDING else (pad_id,) for i in firsts]
    completions = [rows[i].completion_ids if i != PADDING else (pad_id,) for i in firsts]
    in_loss = [i != PADDING and not (masked and masked[i]) for i in firsts]
    width, length, most = max(map(len, prompts)), max(map(len, completions)), max(most, *map(len, replies))

    def tensor(values: list[Any]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.int64, device=device)

    return {
        "prompt_ids": tensor([[pad_id] * (width - len(ids)) + list(ids) for ids in prompts]),
        "prompt_mask": tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]),
        "completion_ids": tensor([list(ids) + [pad_id] * (length - len(ids)) for ids in completions]),
        "completion_mask": tensor(
            [[int(counts)] * len(ids) + [0] * (length - len(ids)) for ids, counts in zip(completions, in_loss)]
        ),
        "advantages": torch.tensor(
            [[rows[i].advantage for i in numbers] + [0.0] * (most - len(numbers)) for numbers in replies], device=device
        ),
        "row": tensor([list(numbers) + [PADDING] * (most - len(numbers)) for numbers in replies]),
    }


def by_row(batch: Batch, with_padding: bool = False) -> Batch:
    """``batch`` with a line for each row of its replies instead of for each reply; a line of padding remains one.

    ``row`` and ``advantages`` become [N].

    Args:
        with_padding: Every reply gets M lines, those without a row with a ``tool_mask`` of 0, which keeps them out of
            the loss: processes gather what they know of their lines, so all must have the same number.
    """
    row = batch["row"]  # [R, M]
    taken = row != PADDING
    taken[:, 0] = True  # a line of padding
    kept = torch.ones_like(taken) if with_padding else taken
    line = torch.arange(len(row), device=row.device).repeat_interleave(kept.sum(1))  # [N]
    each = {"row", "advantages"}
    result = {
        name: value[kept] if name in each else value[line] if value.ndim else value for name, value in batch.items()
    }
    return result | ({"tool_mask": taken[kept].long().unsqueeze(1)} if with_padding else {})  # [N, 1]


def sampler_logprobs(rows: Sequence[Row | None], like: torch.Tensor) -> torch.Tensor:
    """The sampler's log-probabilities, float32 [R, C], padded to the shape of ``like``.

    0 for padding and for a row that is ``None``; NaN for a token that the sampler could not score, as in TRL.
    """
    padded = torch.zeros(like.shape, dtype=torch.float32, device=like.device)
    for line, row in zip(padded, rows, strict=True):
        logprobs = row.logprobs if row is not None else ()
        scores = [math.nan if logprob is None else logprob for logprob in logprobs]
        line[: len(scores)] = torch.tensor(scores, dtype=torch.float32, device=like.device)
    return padded


def forward_passes(batch: Batch, size: int) -> list[Batch]:
    """Split ``batch`` into parts of at most ``size`` rows, longest rows first, and trim the padding of each.

    The number of parts depends only on the number of rows, so processes stay in sync. Values without rows (0-dim)
    are in every part.
    """
    lengths = batch["prompt_mask"].sum(1) + batch["completion_mask"].sum(1)  # [R]
    order = torch.argsort(lengths, descending=True, stable=True)
    return [
        _trimmed({name: value[part] if value.ndim else value for name, value in batch.items()})
        for part in order.split(size)
    ]


def _trimmed(part: Batch) -> Batch:
    """``part`` without columns of padding only; at least one prompt and one completion column remain."""
    prompts, completions = part["prompt_mask"], part["completion_mask"]
    width = max(1, int(prompts.sum(1).max()))
    length = max(1, int((completions * torch.arange(1, completions.shape[1] + 1, device=completions.device)).max()))
    by_side = {"prompt_ids": slice(-width, None), "prompt_mask": slice(-width, None)}
    per_token = completions.shape
    return {
        name: value[:, by_side[name]] if name in by_side else value[:, :length] if value.shape == per_token else value
        for name, value in part.items()
    }
