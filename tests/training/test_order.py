"""The order of questions: of the seed and the epoch, and of nothing else."""

from __future__ import annotations

import pytest

pytest.importorskip("trl")

from trl.trainer.utils import RepeatSampler

from lmms_videominer.training.order import EpochSampler


def test_the_order_of_an_epoch_depends_on_the_seed_and_its_number_alone():
    def order(seed: int, epoch: int, shuffle: bool = True) -> list[int]:
        sampler = EpochSampler(RepeatSampler(list(range(9)), 1, shuffle=shuffle, seed=seed), lambda: epoch)
        list(sampler)  # what was drawn before changes nothing
        assert len(sampler) == 9
        return list(sampler)

    assert order(3, 1) == order(3, 1) and len({tuple(order(3, epoch)) for epoch in range(4)}) == 4
    assert order(3, 1) != order(9, 1) and sorted(order(3, 1)) == list(range(9))
    assert order(3, 1, shuffle=False) == list(range(9))
