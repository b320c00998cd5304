"""Clusters of similar vectors: k-means by cosine, and Ward linkage within a cluster."""

from __future__ import annotations

import numpy as np

ITERATIONS = 100  # at most, of k-means


def spherical_kmeans(vectors: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """K-means by cosine similarity, initialised with distinct vectors drawn at random.

    Each vector goes to the centroid with the highest cosine (of equal ones, the first); a centroid is the normalised
    mean of its vectors. An empty centroid moves to the vector that fits its own centroid least, as in scikit-learn.
    It ends when no vector moves, or after ``ITERATIONS`` rounds.

    Args:
        vectors: float32 [n, d], rows L2-normalised, finite.
        count: Number of groups, reduced to the number of distinct vectors if that is lower; none is empty.
        seed: Seed of the initial draw.

    Returns:
        Positions of each group's members, ascending; groups by their first member.
    """
    distinct = np.unique(vectors, axis=0, return_index=True)[1]
    vectors = vectors.astype(np.float64)  # float32 cannot resolve the cosines of frames of a still scene
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    drawn = np.random.default_rng(seed).choice(np.sort(distinct), min(count, len(distinct)), replace=False)
    centroids = vectors[drawn]  # [k, d]
    labels = np.full(len(vectors), -1)
    for _ in range(ITERATIONS):
        cosines = vectors @ centroids.T  # [n, k]
        new = np.argmax(cosines, axis=1)  # [n]
        if np.array_equal(new, labels):
            break
        labels = new
        centroids = np.stack([_direction(vectors[labels == k], centroids[k]) for k in range(len(centroids))])
        empty = np.setdiff1d(np.arange(len(centroids)), labels)
        lone = np.argsort(cosines[np.arange(len(labels)), labels], kind="stable")[: len(empty)]
        centroids[empty] = vectors[lone]
    return _by_first(labels)


def ward(vectors: np.ndarray, members: np.ndarray, count: int) -> list[np.ndarray]:
    """Split ``members`` into at most ``count`` groups by Ward linkage of their vectors.

    Args:
        vectors: float32 [n, d].
        members: int64 [m], positions in ``vectors``, ascending.

    Returns:
        Positions in ``vectors``, ascending; groups by their first member.
    """
    if len(members) < 2:
        return [members]
    from scipy.cluster.hierarchy import fcluster, linkage

    labels = fcluster(linkage(vectors[members].astype(np.float64), method="ward"), count, criterion="maxclust")
    return [members[group] for group in _by_first(labels)]


def nearest_to_mean(vectors: np.ndarray, members: np.ndarray) -> int:
    """The member whose vector has the highest cosine with the mean of all; of equal ones, the first."""
    mean = _direction(vectors[members], vectors[members[0]])
    return int(members[np.argmax(vectors[members] @ mean)])


def _direction(vectors: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The normalised mean, [d]; ``otherwise`` if it is almost zero."""
    mean = vectors.mean(axis=0) if len(vectors) else np.zeros_like(otherwise)
    norm = float(np.linalg.norm(mean))
    return mean / norm if norm > 1e-6 else otherwise


def _by_first(labels: np.ndarray) -> list[np.ndarray]:
    """The positions of each label, ordered by the first one."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return sorted(groups, key=lambda group: int(group[0]))
