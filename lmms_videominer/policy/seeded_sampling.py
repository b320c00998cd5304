"""Sampling that repeats: a generator a sequence, or torch's global generators seeded for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class GumbelNoise:
    """A logits processor under which the likeliest token is an exact sample, each sequence from a generator of its own.

    ``argmax_v(z_v / temperature + g_v)`` with independent Gumbel ``g_v`` has the distribution
    ``softmax(z / temperature)``. ``g_v = -ln e_v`` with ``e_v`` exponential. A sequence draws one vector a
    token, whatever the others of its batch do, so that its tokens follow from its logits and its seed alone.

    The draws of one seed differ between kinds of device.

    Args:
        seeds: One a sequence of the batch.
        temperature: Above 0.
        device: Where the logits are.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, device: torch.device | str):
        import torch

        self.temperature = temperature
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Noisy scores, float [B, V], of ``scores``, the same shape."""
        import torch

        exponential = torch.empty_like(scores)  # [B, V]
        for row, generator in zip(exponential, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self.temperature - exponential.log_()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators seeded, which is all that ``generate`` samples from, and restored on leaving."""
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(list(devices)):
        torch.manual_seed(seed)
        yield
