"""Dual encoders, which encode frames and texts separately: CLIP, SigLIP, ALIGN and similar. The score is the cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmms_videominer.scoring.transformers_scorer import TransformersScorer

if TYPE_CHECKING:
    import torch

DEFAULT_SCALE = 100.0  # CLIP's learned scale, for models without one


@dataclass(frozen=True)
class DualEncoderScorer(TransformersScorer):
    """A transformers model with ``get_image_features`` and ``get_text_features``."""

    def _score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return self.compare(self.encode(frames), texts)

    def encode(self, frames: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            features = [_normalised(self.model.get_image_features(**pixels)) for pixels in self._images(frames)]
            return torch.cat(features).float().cpu().numpy()

    def compare(self, features: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            text_features = _normalised(self.model.get_text_features(**self._tokens(texts))).float().cpu().numpy()
        return features @ text_features.T

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The cosines times the scale that the model learned for its softmax."""
        scale = getattr(self.model, "logit_scale", None)
        factor = DEFAULT_SCALE if scale is None else float(scale.detach().float().exp())
        return factor * np.asarray(scores, np.float64)


def _normalised(output: Any) -> torch.Tensor:
    """The features of ``output``, [n, d], L2-normalised by row."""
    features = getattr(output, "pooler_output", output)
    return features / features.norm(dim=-1, keepdim=True)
