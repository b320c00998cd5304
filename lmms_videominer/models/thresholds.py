"""What a cosine means, by embedder: the thresholds that were measured with it (docs/deviations.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lmms_videominer.models.bundle import CHECKPOINTS
from lmms_videominer.models.embedder import Embedder
from lmms_videominer.models.identity import model_identity


@dataclass(frozen=True)
class Thresholds:
    """The values of settings that are left at 0.

    Attributes:
        cluster_eps: Largest cosine distance between neighbours; 0: captions are compared by what sets them apart from
            the other captions of the tree (``search.clustering.ContrastClusterer``).
        similarity_accept, similarity_delete: Cosines of caption and question.
    """

    cluster_eps: float
    similarity_accept: float
    similarity_delete: float


BUNDLED = Thresholds(cluster_eps=0.1, similarity_accept=0.5, similarity_delete=0.25)
# measured with all-MiniLM-L6-v2; the clusters need no threshold of the embedder's own, the cosines may
OTHERS = Thresholds(cluster_eps=0.0, similarity_accept=0.55, similarity_delete=0.35)


def thresholds_of(embedder: Embedder | None) -> Thresholds:
    """The thresholds for ``embedder``: the bundle's own, or those of all others."""
    return BUNDLED if embedder is not None and embedder.identity == _shipped_identity() else OTHERS


@cache
def _shipped_identity() -> str:
    return model_identity(str(CHECKPOINTS / "embedder"))
