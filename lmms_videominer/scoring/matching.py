"""BLIP and BLIP-2 with an image-text matching head, which read text and frame together. The score is the probability
of a match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmms_videominer.scoring.transformers_scorer import TransformersScorer

if TYPE_CHECKING:
    import torch

_SMALLEST = 1e-6  # probabilities are clipped to [this, 1 - this]


@dataclass(frozen=True)
class MatchingScorer(TransformersScorer):
    """A model with a head that predicts whether an image and a text match."""

    batch_size: int = 32

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The log odds: the difference of the head's two logits."""
        probabilities = np.clip(np.asarray(scores, np.float64), _SMALLEST, 1 - _SMALLEST)
        return np.log(probabilities) - np.log1p(-probabilities)

    def _score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            tokens = [self._tokens([text]) for text in texts]
            rows = [self._compare(pixels, tokens) for pixels in self._images(frames)]
        return torch.cat(rows).float().cpu().numpy()

    def _compare(self, pixels: dict[str, Any], texts: Sequence[dict[str, Any]]) -> torch.Tensor:
        """[b, m]: encodes each frame once; the model's own forward pass would encode it again for every text."""
        import torch

        patches = self.model.vision_model(**pixels).last_hidden_state  # [b, patches, d]
        mask = torch.ones(patches.shape[:-1], dtype=torch.long, device=patches.device)
        columns = []
        for text in texts:
            ids, text_mask = (text[name].expand(len(patches), -1) for name in ("input_ids", "attention_mask"))
            columns.append(self._head(patches, mask, ids, text_mask).float().softmax(dim=-1)[:, 1])
        return torch.stack(columns, dim=1)

    def _head(
        self, patches: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor, text_mask: torch.Tensor
    ) -> torch.Tensor:
        """The head's logits [b, 2] for ``patches`` [b, p, d] and token ``ids`` [b, t], with their masks."""
        raise NotImplementedError


@dataclass(frozen=True)
class BlipScorer(MatchingScorer):
    """``BlipForImageTextRetrieval``."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """float32 [n, d], rows L2-normalised: the features that the model compares without its matching head."""
        import torch

        with torch.inference_mode():
            class_tokens = [
                self.model.vision_model(**pixels).last_hidden_state[:, 0] for pixels in self._images(frames)
            ]
            features = self.model.vision_proj(torch.cat(class_tokens)).float()
            return torch.nn.functional.normalize(features, dim=-1).cpu().numpy()

    def _head(
        self, patches: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor, text_mask: torch.Tensor
    ) -> torch.Tensor:
        joined = self.model.text_encoder(
            input_ids=ids, attention_mask=text_mask, encoder_hidden_states=patches, encoder_attention_mask=mask
        )
        return self.model.itm_head(joined.last_hidden_state[:, 0])


@dataclass(frozen=True)
class Blip2Scorer(MatchingScorer):
    """``Blip2ForImageTextRetrieval``: its queries attend to the text; the logits are the mean over the queries."""

    @property
    def text_config(self) -> Any:
        return self.model.config.qformer_config

    def _head(
        self, patches: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor, text_mask: torch.Tensor
    ) -> torch.Tensor:
        import torch

        queries = self.model.query_tokens.expand(len(patches), -1, -1)
        query_mask = torch.ones(queries.shape[:-1], dtype=text_mask.dtype, device=text_mask.device)
        joined = self.model.qformer(
            query_embeds=self.model.embeddings(input_ids=ids, query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat([query_mask, text_mask], dim=1),
            encoder_attention_mask=mask,
            encoder_hidden_states=patches.to(
                queries.dtype
            ),  # the Q-Former is in single precision, the vision tower in half
        )
        query_states = joined.last_hidden_state[:, : queries.shape[1]].to(self.model.itm_head.weight.dtype)
        return self.model.itm_head(query_states).mean(dim=1)
