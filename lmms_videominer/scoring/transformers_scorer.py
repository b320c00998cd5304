"""The base class of scorers from transformers: batches frames and tokenizes texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmms_videominer.profiling import stage

TEXT_TOKENS = 77  # CLIP's limit, for models that do not state theirs


@dataclass(frozen=True)
class TransformersScorer:
    """A model that compares images with texts.

    Attributes:
        model, processor: As loaded by transformers; the model is on its device.
        identity: Changes with the weights.
        batch_size: Frames per forward pass.
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
        """Configuration of the text encoder, which states how many tokens it takes."""
        return self.model.config.get_text_config()

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """See ``Scorer.logits``."""
        raise NotImplementedError

    def _score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """``score`` for at least one frame and one text."""
        raise NotImplementedError

    def _images(self, frames: np.ndarray) -> Iterator[dict[str, Any]]:
        """The model's image inputs for ``frames``, uint8 [n, H, W, 3], in batches of ``batch_size``, on its device."""
        device, dtype = self.model.device, self.model.dtype
        for start in range(0, len(frames), self.batch_size):
            part = list(frames[start : start + self.batch_size])
            with stage("hand over", len(part)):
                made = self.processor.image_processor(part, input_data_format="channels_last", return_tensors="pt")
                inputs = {
                    name: value.to(device, dtype if value.is_floating_point() else None) for name, value in made.items()
                }
            yield inputs

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        """The model's text inputs, truncated to its maximum length, on its device."""
        tokenizer = self.processor.tokenizer
        max_length = getattr(self.text_config, "max_position_embeddings", TEXT_TOKENS)
        max_length = min(
            max_length, tokenizer.model_max_length
        )  # less if some positions are reserved, as in XLM-RoBERTa
        padding = "max_length" if self.model.config.model_type.startswith("siglip") else True  # as SigLIP was trained
        inputs = text_inputs(tokenizer, texts, max_length, padding)
        return {name: value.to(self.model.device) for name, value in inputs.items()}


def text_inputs(tokenizer: Any, texts: Sequence[str], max_length: int, padding: str | bool = True) -> Any:
    """The tensors of ``texts``, each cut to ``max_length`` tokens; special tokens in them are text."""
    return tokenizer(
        list(texts),
        padding=padding,
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
        split_special_tokens=True,
    )
