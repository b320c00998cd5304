"""The order of questions, which depends only on the seed and the number of the epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler


class EpochSampler(Sampler):
    """TRL's order of rows, drawn for each epoch from the sampler's seed and the number of the epoch."""

    def __init__(self, sampler: RepeatSampler, epoch: Callable[[], int]):
        self._sampler: Any = sampler  # its seed is always set by TrainingArguments
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self._sampler.shuffle:
            self._sampler.generator.manual_seed(self._sampler.seed + self._epoch())
        yield from self._sampler

    def __len__(self) -> int:
        return len(self._sampler)
