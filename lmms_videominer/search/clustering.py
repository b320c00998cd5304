"""Clusters events with similar captions by DBSCAN over caption embeddings (arXiv 2510.06040, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lmms_videominer.config import MinerConfig


class Clusterer(Protocol):
    """Groups the events of one segmentation."""

    @property
    def name(self) -> str:
        """Its name in ``MinerConfig.clustering``."""
        ...

    def compared(self, captions: Sequence[str]) -> list[int]:
        """Positions of the captions that ``cluster`` compares, ascending."""
        ...

    def cluster(self, captions: Sequence[str], vectors: np.ndarray) -> list[list[int]]:
        """A partition of ``range(len(captions))``.

        Clusters are ordered by their first member, members ascending.

        Args:
            captions: One per event.
            vectors: float32 [n, d], rows L2-normalised: embeddings of ``compared(captions)``, in order.
        """
        ...


@dataclass(frozen=True)
class EventClusterer:
    """DBSCAN by cosine distance over caption embeddings; each noise point is a cluster of its own.

    An empty caption cannot be compared: it is not embedded, and its event is also a cluster of its own.

    Args:
        eps: Largest cosine distance between neighbours.
        min_samples: Number of neighbours, itself included, that make a point a core point.
    """

    eps: float
    min_samples: int
    name: str = "event"

    def compared(self, captions: Sequence[str]) -> list[int]:
        nonempty = [i for i, caption in enumerate(captions) if caption.strip()]
        return nonempty if len(nonempty) > 1 else []

    def cluster(self, captions: Sequence[str], vectors: np.ndarray) -> list[list[int]]:
        labels = dict(zip(self.compared(captions), self._labels(vectors), strict=True))
        clusters: dict[object, list[int]] = {}
        for i in range(len(captions)):
            label = labels.get(i, -1)
            clusters.setdefault(("noise", i) if label == -1 else label, []).append(i)
        return list(clusters.values())

    def _labels(self, vectors: np.ndarray) -> list[int]:
        """DBSCAN's label of each row, -1 for noise."""
        if not len(vectors):
            return []
        from sklearn.cluster import DBSCAN

        return DBSCAN(eps=self.eps, min_samples=self.min_samples, metric="cosine").fit_predict(vectors).tolist()


@dataclass(frozen=True)
class NoClusterer:
    """Every event is a node: the paper's ablation without clustering."""

    name: str = "none"

    def compared(self, captions: Sequence[str]) -> list[int]:
        return []

    def cluster(self, captions: Sequence[str], vectors: np.ndarray) -> list[list[int]]:
        return [[i] for i in range(len(captions))]


@dataclass(frozen=True)
class FrameClusterer(EventClusterer):
    """DBSCAN over captions of single frames: the paper's ablation with clusters of frames instead of events.

    ``selectors.videominer`` passes it one caption per frame: each event is cut into equal parts, one for each frame
    that the captioner would be shown of it, and a node is a cluster of such parts. So the captioner sees the same
    frames as with ``event``, in the same number of calls.
    """

    name: str = "frame"


CLUSTERERS: dict[str, Callable[[MinerConfig], Clusterer]] = {
    "event": lambda config: EventClusterer(config.cluster_eps, config.cluster_min_samples),
    "frame": lambda config: FrameClusterer(config.cluster_eps, config.cluster_min_samples),
    "none": lambda config: NoClusterer(),
}


def get_clusterer(config: MinerConfig) -> Clusterer:
    """The clusterer that ``config.clustering`` names."""
    return CLUSTERERS[config.clustering](config)
