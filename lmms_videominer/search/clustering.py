"""Clusters events with similar captions by their embeddings (arXiv 2510.06040, section 3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lmms_videominer.config import MinerConfig

_WORD = re.compile(r"\w{4,}")  # shorter words are mostly articles, prepositions and forms of to be
_SENTENCE_END = re.compile(r"(?<=[.?!;:])\s+")
_REPEATED = 0.7  # share of a sentence's words that are the question's


class Clusterer(Protocol):
    """Groups the events of one segmentation."""

    @property
    def name(self) -> str:
        """Its name in ``MinerConfig.clustering``."""
        ...

    def compared(self, captions: Sequence[str]) -> list[int]:
        """Positions of the captions that ``cluster`` compares, ascending."""
        ...

    def compared_text(self, caption: str, question: str) -> str:
        """What is embedded of a caption that is compared."""
        ...

    def cluster(self, captions: Sequence[str], vectors: np.ndarray, common: np.ndarray) -> list[list[int]]:
        """A partition of ``range(len(captions))``.

        Clusters are ordered by their first member, members ascending.

        Args:
            captions: One per event.
            vectors: float32 [n, d], rows L2-normalised: embeddings of ``compared(captions)``, in order, each of its
                ``compared_text``.
            common: float32 [d]: the mean over all captions that the tree has compared so far, these among them.
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

    def compared_text(self, caption: str, question: str) -> str:
        return caption

    def cluster(self, captions: Sequence[str], vectors: np.ndarray, common: np.ndarray) -> list[list[int]]:
        labels = dict(zip(self.compared(captions), self._labels(vectors, common), strict=True))
        clusters: dict[object, list[int]] = {}
        for i in range(len(captions)):
            label = labels.get(i, -1)
            clusters.setdefault(("noise", i) if label == -1 else label, []).append(i)
        return list(clusters.values())

    def _labels(self, vectors: np.ndarray, common: np.ndarray) -> list[int]:
        """DBSCAN's label of each row, -1 for noise."""
        if not len(vectors):
            return []
        from sklearn.cluster import DBSCAN

        return DBSCAN(eps=self.eps, min_samples=self.min_samples, metric="cosine").fit_predict(vectors).tolist()


@dataclass(frozen=True)
class ContrastClusterer(EventClusterer):
    """Average linkage over what sets captions apart: their embeddings less ``common``, the mean of the tree's captions.

    Captions repeat the words of the question and the manner of the captioner. How near that brings two of them differs
    from question to question and from embedder to embedder, so no fixed ``eps`` fits; the difference from the mean is
    free of it, and sentences that only repeat the question are left out before. Two clusters become one while the mean
    cosine distance between their members is at most ``eps``, just below 1, the distance of captions that share nothing
    but the mean. Average linkage, because DBSCAN chains scenes together by single captions that lie between them.
    ``eps`` was chosen on one half of tests/search/scenes.json; docs/deviations.md has the figures.
    """

    eps: float = 0.95
    min_samples: int = 1

    def compared_text(self, caption: str, question: str) -> str:
        """The caption without the sentences that repeat the question; the whole caption if it has no others."""
        asked = set(_WORD.findall(question.casefold()))
        told = [part for part in _SENTENCE_END.split(caption) if not _repeats(part, asked)]
        return " ".join(told) or caption

    def _labels(self, vectors: np.ndarray, common: np.ndarray) -> list[int]:
        if not len(vectors):
            return []
        from sklearn.cluster import AgglomerativeClustering

        apart = vectors - common
        apart /= np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-6)
        distances = 1 - apart @ apart.T
        distances[1 - vectors @ vectors.T < 1e-5] = 0  # equal captions, which may be the mean itself
        linkage = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=self.eps)
        return linkage.fit_predict(distances).tolist()


@dataclass(frozen=True)
class NoClusterer:
    """Every event is a node: the paper's ablation without clustering."""

    name: str = "none"

    def compared(self, captions: Sequence[str]) -> list[int]:
        return []

    def compared_text(self, caption: str, question: str) -> str:
        return caption

    def cluster(self, captions: Sequence[str], vectors: np.ndarray, common: np.ndarray) -> list[list[int]]:
        return [[i] for i in range(len(captions))]


def _repeats(sentence: str, asked: set[str]) -> bool:
    words = set(_WORD.findall(sentence.casefold()))
    return len(words) >= 3 and len(words & asked) >= _REPEATED * len(words)


def _by_caption(config: MinerConfig, usual_eps: float) -> Clusterer:
    if eps := config.cluster_eps or usual_eps:
        return EventClusterer(eps, config.cluster_min_samples, config.clustering)
    return ContrastClusterer(name=config.clustering)


# ``frame`` is the paper's ablation with clusters of frames instead of events: ``selectors.videominer`` cuts each event
# into equal parts, one for each frame that the captioner would be shown of it, and a node is a cluster of such parts.
# So the captioner sees the same frames as with ``event``, in the same number of calls.
CLUSTERERS: dict[str, Callable[[MinerConfig, float], Clusterer]] = {
    "event": _by_caption,
    "frame": _by_caption,
    "none": lambda config, usual_eps: NoClusterer(),
}


def get_clusterer(config: MinerConfig, usual_eps: float = 0.0) -> Clusterer:
    """The clusterer that ``config.clustering`` names.

    Args:
        config: The settings.
        usual_eps: Stands in for ``cluster_eps`` where that is 0 (``models.thresholds``).
    """
    return CLUSTERERS[config.clustering](config, usual_eps)
