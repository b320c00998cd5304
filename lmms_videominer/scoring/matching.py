"""BLIP and BLIP-2 with an image-text matching head: text and frame are read together. The score is the probability of a
match."""

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
    """A model whose head says of an image and a text whether they match."""

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
            ids, read_mask = (text[name].expand(len(seen), -1) for name in ("input_ids", "attention_mask"))
            columns.append(self._head(seen, mask, ids, read_mask).float().softmax(dim=-1)[:, 1])
        return torch.stack(columns, dim=1)

    def _head(self, seen: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """The head's logits [b, 2] for patches ``seen`` [b, p, d] and tokens ``ids`` [b, t], with their masks."""
        raise NotImplementedError


@dataclass(frozen=True)
class BlipScorer(MatchingScorer):
    """``BlipForImageTextRetrieval``."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """float32 [n, d], rows of length 1: what the model compares where its matching head is left out."""
        import torch

        with torch.inference_mode():
            seen = [self.model.vision_model(**pixels).last_hidden_state[:, 0] for pixels in self._images(frames)]
            features = self.model.vision_proj(torch.cat(seen)).float()
            return torch.nn.functional.normalize(features, dim=-1).cpu().numpy()

    def _head(self, seen: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        joined = self.model.text_encoder(
            input_ids=ids, attention_mask=read, encoder_hidden_states=seen, encoder_attention_mask=mask
        )
        return self.model.itm_head(joined.last_hidden_state[:, 0])


@dataclass(frozen=True)
class Blip2Scorer(MatchingScorer):
    """``Blip2ForImageTextRetrieval``: its queries read the text beside them; the head's logits are their mean."""

    @property
    def text_config(self) -> Any:
        return self.model.config.qformer_config

    def _head(self, seen: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        import torch

        queries = self.model.query_tokens.expand(len(seen), -1, -1)
        asked = torch.ones(queries.shape[:-1], dtype=read.dtype, device=read.device)
        joined = self.model.qformer(
            query_embeds=self.model.embeddings(input_ids=ids, query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=torch.cat([asked, read], dim=1),
            encoder_attention_mask=mask,
            encoder_hidden_states=seen.to(queries.dtype),  # single precision, beside a vision tower in half
        )
        heard = joined.last_hidden_state[:, : queries.shape[1]].to(self.model.itm_head.weight.dtype)
        return self.model.itm_head(heard).mean(dim=1)
