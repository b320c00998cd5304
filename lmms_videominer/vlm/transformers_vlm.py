"""A video LLM run by transformers: Qwen2-VL, Qwen2.5-VL, Qwen3-VL, LLaVA-OneVision, InternVL and their like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmms_videominer.vlm.vlm import VLMRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


class TransformersVLM:
    """Generates from exactly the given frames, handed over as one video.

    Args:
        model: The model, on its device.
        processor: Its processor; frames are resized as it says.
        identity: Changes with the weights or the processing.
        batch_size: Requests a forward pass.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin, identity: str, batch_size: int = 8):
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, name_or_path: str, device: str | None = None, dtype: str = "auto", batch_size: int = 8,
                        trust_remote_code: bool = False) -> TransformersVLM:
        """Load by folder or hub name; the device defaults to CUDA where there is one.

        Raises:
            ModelError: The model is absent or cannot be loaded.
        """
        raise NotImplementedError

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        """One completion a request, in order, stripped."""
        raise NotImplementedError
