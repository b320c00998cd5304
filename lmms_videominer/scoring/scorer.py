"""The scorer protocol. Implementations: ``dual_encoder`` (CLIP, SigLIP, ...) and ``matching`` (BLIP-ITM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


class Scorer(Protocol):
    """Says how well frames fit texts."""

    @property
    def identity(self) -> str:
        """Hash or name that changes whenever the weights change: part of cache keys."""
        ...

    def score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, len(texts)]: a cosine, or the probability that frame and text match; higher fits better.

        All texts of one call are compared with frames that are encoded once.

        Args:
            frames: uint8 [n, H, W, 3], RGB.
        """
        ...

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """float64, as ``scores``: what the model's own softmax over frames takes in their place."""
        ...


@runtime_checkable
class FrameEncoder(Scorer, Protocol):
    """A scorer that has image features."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """float32 [n, d]: the image features of ``frames``, uint8 [n, H, W, 3], RGB; rows of length 1."""
        ...


@runtime_checkable
class Encoder(FrameEncoder, Protocol):
    """A scorer that looks at frames without a text: what it makes of them serves for every text."""

    def compare(self, features: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, len(texts)]: what ``score`` says of frames with these ``features``, [n, d]."""
        ...
