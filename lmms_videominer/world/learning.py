"""Shared by the training scripts of the world's models: the optimizer, the training step, and the log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch


def padded_length(length: int) -> int:
    """``length`` rounded up to a multiple of 32: oneDNN keeps a kernel, and its memory, for every shape it meets."""
    return -(-length // 32) * 32


class Learner:
    """AdamW with linear warm-up, cosine decay to a twentieth of the peak, and gradients clipped to norm 1.

    Args:
        model: The model to train; its forward pass returns a loss.
        lr: The peak learning rate.
        warmup: Warm-up steps.
        steps: Steps of the whole schedule.
    """

    def __init__(self, model: Any, lr: float, warmup: int, steps: int):
        self.model, self.lr = model, lr
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05, betas=(0.9, 0.98))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda s: min(1.0, (s + 1) / warmup) * (0.525 + 0.475 * math.cos(math.pi * min(s / steps, 1))),
        )

    def step(self, inputs: dict[str, torch.Tensor]) -> float:
        """Train on one batch, with bfloat16 autocast; returns its loss."""
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.model(**inputs).loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def save(self, file: Path, step: int) -> None:
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "step": step,
            },
            file,
        )

    def resume(self, file: Path) -> int:
        """Restore what ``save`` wrote and return its step; a new ``steps`` or ``lr`` takes effect from there."""
        state = torch.load(file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict({**state["schedule"], "base_lrs": [self.lr]})
        return state["step"]

    def run(
        self,
        batches: Iterable[dict[str, torch.Tensor]],
        folder: Path,
        first: int,
        steps: int,
        log_every: int,
        eval_every: int,
        evaluate: Callable[[], dict[str, float]],
        save: Callable[[], Any],
    ) -> None:
        """Train on ``batches`` from step ``first`` to ``steps``, and write ``log.jsonl`` to ``folder``.

        Every ``eval_every`` steps and at the last step, log the result of ``evaluate``, call ``save`` to write the
        model, and write the state for ``resume`` to ``training.pt``.
        """
        self.model.train()
        started, losses = time.time(), []
        for step, inputs in enumerate(batches, first + 1):
            losses.append(self.step(inputs))
            if step % log_every == 0 or step == steps:
                log(
                    folder,
                    {
                        "step": step,
                        "loss": round(sum(losses[-log_every:]) / len(losses[-log_every:]), 4),
                        "seconds": round(time.time() - started),
                    },
                )
            if step % eval_every == 0 or step == steps:
                log(folder, {"step": step, **evaluate()})
                save()
                self.save(folder / "training.pt", step)
            if step >= steps:
                return


def log(folder: Path, record: dict[str, Any]) -> None:
    """Print a record and append it to ``log.jsonl`` in the folder."""
    print(json.dumps(record), flush=True)
    with open(folder / "log.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
