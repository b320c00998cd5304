"""Models that encode frames and texts apart: CLIP, SigLIP, ALIGN and their kin. The score is the cosine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

DEFAULT_SCALE = 100.0  # CLIP's learned scale, for models that keep none
TEXT_TOKENS = 77  # of models that do not say how many they take: CLIP's


@dataclass(frozen=True)
class DualEncoderScorer:
    """A transformers model with ``get_image_features`` and ``get_text_features``.

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
        import torch

        if not len(frames) or not texts:
            return np.zeros((len(frames), len(texts)), np.float32)
        with torch.inference_mode():
            told = self._texts(texts)  # [m, d]
            rows = [self._images(pixels) @ told.T for pixels in image_batches(self, frames)]
        return torch.cat(rows).float().cpu().numpy()

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """float32 [n, d]: the image features of ``frames``, uint8 [n, H, W, 3]; rows of length 1."""
        import torch

        with torch.inference_mode():
            return torch.cat([self._images(pixels) for pixels in image_batches(self, frames)]).float().cpu().numpy()

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The cosines times the scale that the model learned for its softmax."""
        scale = getattr(self.model, "logit_scale", None)
        factor = DEFAULT_SCALE if scale is None else float(scale.detach().float().exp())
        return factor * np.asarray(scores, np.float64)

    def _images(self, pixels: dict[str, Any]) -> torch.Tensor:
        return _unit(self.model.get_image_features(**pixels))

    def _texts(self, texts: Sequence[str]) -> torch.Tensor:
        return _unit(self.model.get_text_features(**text_inputs(self, texts)))


def image_batches(scorer: Any, frames: np.ndarray) -> Iterator[dict[str, Any]]:
    """The model's image inputs for ``frames``, uint8 [n, H, W, 3], ``batch_size`` at a time, on its device."""
    device, dtype = scorer.model.device, scorer.model.dtype
    for start in range(0, len(frames), scorer.batch_size):
        part = list(frames[start : start + scorer.batch_size])
        inputs = scorer.processor.image_processor(part, input_data_format="channels_last", return_tensors="pt")
        yield {name: value.to(device, dtype if value.is_floating_point() else None) for name, value in inputs.items()}


def text_inputs(scorer: Any, texts: Sequence[str]) -> dict[str, Any]:
    """The model's text inputs, cut to its length, on its device."""
    config = scorer.model.config
    most = getattr(config.get_text_config(), "max_position_embeddings", TEXT_TOKENS)
    padding = "max_length" if config.model_type.startswith("siglip") else True  # as SigLIP was trained
    inputs = scorer.processor.tokenizer(list(texts), padding=padding, truncation=True, max_length=most,
                                        return_tensors="pt")  # fmt: skip
    return {name: value.to(scorer.model.device) for name, value in inputs.items()}


def _unit(output: Any) -> torch.Tensor:
    """Features, [n, d], as rows of length 1."""
    features = getattr(output, "pooler_output", output)
    return features / features.norm(dim=-1, keepdim=True)
