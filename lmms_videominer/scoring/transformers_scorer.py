"""What the scorers that are models of transformers share: batches of frames, and texts as tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TEXT_TOKENS = 77  # of models that do not say how many they take: CLIP's


@dataclass(frozen=True)
class TransformersScorer:
    """A model that compares images with texts.

    Attributes:
        model, processor: As transformers loads them; the model on its device.
        identity: Changes with the weights.
        batch_size: Frames a forward pass.
    """

    model: Any
    processor: Any
    identity: str
    batch_size: int = 64

    def score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        if not len(frames) or not texts:
            return np.zeros((len(frames), len(texts)), np.float32)
        return self._score(frames, texts)

    @property
    def text_config(self) -> Any:
        """Of the part that reads texts: says how many tokens it takes."""
        return self.model.config.get_text_config()

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """As the protocol has it."""
        raise NotImplementedError

    def _score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """``score`` of frames and texts of which there are any."""
        raise NotImplementedError

    def _images(self, frames: np.ndarray) -> Iterator[dict[str, Any]]:
        """The model's image inputs for ``frames``, uint8 [n, H, W, 3], ``batch_size`` at a time, on its device."""
        device, dtype = self.model.device, self.model.dtype
        for start in range(0, len(frames), self.batch_size):
            part = list(frames[start : start + self.batch_size])
            inputs = self.processor.image_processor(part, input_data_format="channels_last", return_tensors="pt")
            yield {
                name: value.to(device, dtype if value.is_floating_point() else None) for name, value in inputs.items()
            }

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        """The model's text inputs, cut to its length, on its device."""
        tokenizer = self.processor.tokenizer
        most = getattr(self.text_config, "max_position_embeddings", TEXT_TOKENS)
        most = min(most, tokenizer.model_max_length)  # less where some positions are not for tokens: XLM-RoBERTa's
        padding = "max_length" if self.model.config.model_type.startswith("siglip") else True  # as SigLIP was trained
        inputs = tokenizer(list(texts), padding=padding, truncation=True, max_length=most, return_tensors="pt")
        return {name: value.to(self.model.device) for name, value in inputs.items()}
