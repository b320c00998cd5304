"""How busy the GPUs are, by NVIDIA's own library (``pip install nvidia-ml-py``); nothing where there is none."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PERIOD_S = 0.1  # between samples; NVML tells of the last sixth of a second to second before each

logger = logging.getLogger(__name__)


class GPUSampler:
    """Asks the GPUs that torch uses in this process how busy they are, while ``sampling``.

    Attributes:
        samples: Moments (``time.perf_counter_ns``) and the share of time, from 0 to 1, in which any kernel ran: a mean
            over these GPUs. Kernels of other processes count too.
    """

    def __init__(self) -> None:
        self.samples: list[tuple[int, float]] = []

    @property
    def busy(self) -> float | None:
        """The mean of the samples; ``None`` without any."""
        return round(sum(share for _, share in self.samples) / len(self.samples), 4) if self.samples else None

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Sample within the block, in a thread of its own, if NVML finds a GPU."""
        nvml = _nvml()
        if nvml is None:
            yield
            return
        ends = threading.Event()
        thread = threading.Thread(target=self._sample, args=(nvml, ends), name="gpu", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join()
            nvml.nvmlShutdown()

    def _sample(self, nvml: Any, ends: threading.Event) -> None:
        handles: Sequence[Any] = ()
        while not ends.wait(PERIOD_S):
            try:
                handles = handles or _handles(nvml)
                shares = [nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100 for handle in handles]
            except nvml.NVMLError as error:  # a driver or a slice of a GPU that does not tell
                logger.warning("The GPU does not tell how busy it is: %s", error)
                return
            if shares:
                self.samples.append((time.perf_counter_ns(), sum(shares) / len(shares)))


def _nvml() -> Any:
    """NVIDIA's library, ready for use; ``None`` without it or without a GPU."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _handles(nvml: Any) -> list[Any]:
    """The GPUs that torch sees, once it uses any: NVML counts those that are hidden from this process, too."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not getattr(torch, "cuda", None) or not torch.cuda.is_initialized():
        return []
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    return [nvml.nvmlDeviceGetHandleByUUID(name if name.startswith("GPU-") else f"GPU-{name}") for name in names]
