"""Chooses the frames that a coarse scan may take: at sync frames, if they show what the others show."""

from __future__ import annotations

import numpy as np

from lmms_videominer.segmenters.appearance import appearances
from lmms_videominer.store.cache import Cache
from lmms_videominer.video.reader import NO_FRAMES, VideoReader
from lmms_videominer.video.timing import frames_shown_at

KIND = "coarse_scan"  # kind of the cache entries: whether the sync frames of a video tell
FEWEST = 128  # sync frames of a video that are worth it
SAMPLE = 64  # sync frames that others are held against
BETWEEN = 16  # frames between sync frames that are held against them
STRANGERS = 5  # from so many of them that look like no sync frame, the sync frames do not tell
REGULAR = 0.95  # of the longest distance of two sync frames: what comes sooner was set for a change of the picture
SETTLED_S = 0.5  # after such a sync frame, which may be a flash
UNLIKE = 0.02  # squared distance of appearances that is none; compression leaves a fifth of it
_ALIKE = 3  # a frame looks like others as the third nearest of them does: one may be there by chance
_USUAL = 0.9  # the share of sync frames that look as much like others as counts as usual


def coarse_frames(reader: VideoReader) -> np.ndarray:
    """int64 [k]: frames at the sync frames of a video; none if those are too few, or do not show what the others show.

    An encoder sets sync frames at a regular distance, and sooner where the picture changes: at cuts, and at flashes,
    which would then be scanned far more often than they are shown. So the frame ``SETTLED_S`` after such a sync frame
    is taken, if the next one is not there before.

    Where sync frames recur in step with the film's own edits, each may show the same camera. So ``BETWEEN`` frames
    between them, each at another distance from the sync frame before, are held against ``SAMPLE`` sync frames. A frame
    is a stranger if it looks less like any three of those than nine in ten of them look like three others. Of frames
    drawn like the sync frames a tenth are strangers, 5 of 16 once in sixty videos.

    Raises:
        VideoError: No frame can be decoded.
    """
    sync, count = reader.sync_frames, len(reader.timestamps_s)
    if len(sync) < FEWEST:
        return NO_FRAMES
    candidates = settled(sync, reader.timestamps_s)
    sampled = candidates[np.linspace(0, len(candidates) - 1, SAMPLE).round().astype(np.int64)]  # [SAMPLE]
    places = np.linspace(0, len(sync) - 1, SAMPLE).round().astype(np.int64)
    between = _between(sync, places, count)  # [BETWEEN]
    vectors, _ = appearances(reader, sorted({*sampled.tolist(), *between.tolist()}))
    order = np.unique(np.concatenate([sampled, between]))
    own, others = (vectors[np.searchsorted(order, frames)] for frames in (sampled, between))
    return NO_FRAMES if strangers(own, others) >= STRANGERS else candidates


def settled(sync: np.ndarray, timestamps_s: np.ndarray) -> np.ndarray:
    """int64 [k], k at most n: of at least two ascending sync frames [n] the first and those at the longest distance.

    For each of the others the frame ``SETTLED_S`` later, if the next sync frame is not there before.
    """
    at_s = timestamps_s[sync]  # [n]
    gaps_s = np.diff(at_s)
    is_regular = np.append(True, gaps_s >= REGULAR * gaps_s.max())  # [n]
    later = frames_shown_at(timestamps_s, at_s + SETTLED_S)
    is_there = is_regular | (later < np.append(sync[1:], len(timestamps_s)))
    return np.where(is_regular, sync, later)[is_there]


def known_coarse_frames(reader: VideoReader, video_id: str, cache: Cache) -> np.ndarray:
    """``coarse_frames``; whether there are any is kept in ``cache``, so that nothing is decoded to know it again.

    Args:
        video_id: The identity of the video's content (``video_identity``).
    """
    if len(reader.sync_frames) < FEWEST:
        return NO_FRAMES
    key = cache.key(video=video_id, size=reader.frame_size)
    told = cache.get_many(KIND, [key])[0]
    if isinstance(told, bool):
        return settled(reader.sync_frames, reader.timestamps_s) if told else NO_FRAMES
    coarse = coarse_frames(reader)
    cache.put_many(KIND, {key: bool(len(coarse))})
    return coarse


def _between(sync: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """int64 [BETWEEN]: a frame after every fourth of the sync frames at ``places``, each at another share of the way
    to the next."""
    chosen = places[SAMPLE // BETWEEN // 2 :: SAMPLE // BETWEEN]
    first, stop = sync[chosen], np.append(sync, count)[chosen + 1]
    shares = (np.arange(BETWEEN) * 7 % BETWEEN + 0.5) / BETWEEN  # one after the other far apart
    return first + (shares * (stop - first)).astype(np.int64)


def strangers(own: np.ndarray, others: np.ndarray) -> int:
    """How many of ``others``, [M, D], look less like any three of ``own``, [N, D], than is usual among those."""
    apart = _squared_distances(own, own)  # [N, N]
    np.fill_diagonal(apart, np.inf)
    usual = max(float(np.quantile(_nearest(apart), _USUAL)), UNLIKE)
    return int((_nearest(_squared_distances(others, own)) > usual).sum())


def _nearest(distances: np.ndarray) -> np.ndarray:
    """float64 [M]: of each row of [M, N] the ``_ALIKE``-th smallest."""
    return np.partition(distances, _ALIKE - 1, axis=1)[:, _ALIKE - 1]


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """float64 [M, N] of [M, D] and [N, D]."""
    products = left @ right.T
    return np.maximum((left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2 * products, 0.0)
