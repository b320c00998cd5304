"""Remembers which frames of a video are damaged, so that a result from the cache counts them as a new one does."""

from __future__ import annotations

from collections.abc import Iterable, Set

from lmms_videominer.store.cache import Cache

KIND = "damage"  # kind of the cache entries: the damaged frames of a video, ascending


def count_substituted(used: Iterable[int], damaged: Set[int], video_id: str, cache: Cache) -> int:
    """How many distinct frames of ``used`` are damaged, so that the nearest one that can be decoded served for each.

    Args:
        used: Indices of the frames that a stage looked at, now or when it stored what is in the cache; not looked at
            if no frame is damaged.
        damaged: The damaged frames that a reader has met (``VideoReader.damaged``).
        video_id: The identity of the video's content (``video_identity``).
        cache: Keeps the damaged frames of the video, all that were met so far.
    """
    key = cache.key(video=video_id)
    stored = cache.get_many(KIND, [key])[0]
    known = {index for index in stored if isinstance(index, int)} if isinstance(stored, list) else set()
    if damaged - known:
        cache.put_many(KIND, {key: sorted(damaged | known)})
    met = damaged | known
    return len(met & set(used)) if met else 0
