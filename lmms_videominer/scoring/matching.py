"""BLIP with its image-text matching head: text and frame are read together. The score is the probability of a match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmms_videominer.scoring.transformers_scorer import TransformersScorer

if TYPE_CHECKING:
    import torch

_SMALLEST = 1e-6  # probabilities nearer to 0 or 1 have the odds of this one


@dataclass(frozen=True)
class MatchingScorer(TransformersScorer):
    """``BlipForImageTextRetrieval``."""

    batch_size: int = 32

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The logarithm of the odds: the difference of the head's two logits."""
        chance = np.clip(np.asarray(scores, np.float64), _SMALLEST, 1 - _SMALLEST)
        return np.log(chance) - np.log1p(-chance)

    def _score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            read = [self._tokens([text]) for text in texts]
            rows = [self._compare(pixels, read) for pixels in self._images(frames)]
        return torch.cat(rows).float().cpu().numpy()

    def _compare(self, pixels: dict[str, Any], read: Sequence[dict[str, Any]]) -> torch.Tensor:
        """[b, m]; the model's own forward pass would see the frames anew for every text."""
        import torch

        seen = self.model.vision_model(**pixels).last_hidden_state  # [b, patches, d]
        mask = torch.ones(seen.shape[:-1], dtype=torch.long, device=seen.device)
        columns = []
        for text in read:
            tokens = {name: value.expand(len(seen), -1) for name, value in text.items() if name != "token_type_ids"}
            joined = self.model.text_encoder(**tokens, encoder_hidden_states=seen, encoder_attention_mask=mask)
            columns.append(self.model.itm_head(joined.last_hidden_state[:, 0]).softmax(dim=-1)[:, 1])
        return torch.stack(columns, dim=1)
