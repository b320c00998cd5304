"""Reproducible sampling: one generator per sequence, or torch's global generators, seeded temporarily."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class GumbelNoise:
    """A logits processor that makes the most likely token an exact sample, with one generator per sequence.

    ``argmax_v(z_v / temperature + g_v)`` with independent Gumbel ``g_v`` has the distribution
    ``softmax(z / temperature)``. ``g_v = -ln e_v`` with ``e_v`` exponential. A sequence draws one vector per
    token, independently of the rest of its batch, so that its tokens depend only on its logits and its seed.

    The draws for a seed differ between kinds of device.

    Args:
        seeds: One per sequence of the batch.
        temperature: Above 0.
        device: The device of the logits.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, device: torch.device | str):
        import torch

        self.temperature = temperature
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """``scores``, float [B, V], divided by the temperature, plus noise; the same shape."""
        import torch

        exponential = torch.empty_like(scores)  # [B, V]
        for row, generator in zip(exponential, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self.temperature - exponential.log_()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, which ``generate`` samples from, within the block; restore them at its end."""
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(list(devices)):
        torch.manual_seed(seed)
        yield
