"""The scorer protocol. Implementations: ``dual_encoder`` (CLIP, SigLIP, ...) and ``matching`` (BLIP-ITM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


class Scorer(Protocol):
    """Scores how well frames match texts."""

    @property
    def identity(self) -> str:
        """Hash or name that changes whenever the weights change; part of cache keys."""
        ...

    def score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, len(texts)]: a cosine, or the probability that frame and text match; higher is better.

        Encodes each frame once per call, whatever the number of texts.

        Args:
            frames: uint8 [n, H, W, 3], RGB.
        """
        ...

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """float64, same shape as ``scores``: the logits for the model's own softmax over frames."""
        ...


@runtime_checkable
class FrameEncoder(Scorer, Protocol):
    """A scorer that has image features."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """float32 [n, d]: the image features of ``frames``, uint8 [n, H, W, 3], RGB; rows L2-normalised."""
        ...


@runtime_checkable
class Encoder(FrameEncoder, Protocol):
    """A scorer that encodes frames without a text, so its features can be compared with any text."""

    def compare(self, features: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, len(texts)]: the ``score`` of frames with these ``features``, [n, d]."""
        ...
