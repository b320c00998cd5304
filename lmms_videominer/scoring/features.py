"""Image features of frames, for clustering or comparison with texts: computed in parts, cached per frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lmms_videominer.errors import CallError, ConfigError, VideoError, VideoMinerError
from lmms_videominer.models.calls import computed
from lmms_videominer.scoring.scorer import FrameEncoder, Scorer
from lmms_videominer.store.cache import IMAGE_FEATURES, Cache, pack, unpack
from lmms_videominer.types import Usage
from lmms_videominer.video.damage import count_substituted
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.video.reader import in_parts

T = TypeVar("T")
MAX_BATCH_BYTES = 2**29  # limit on the decoded frames in memory at once
BATCH_SIZE = 64  # frames of one call of a model that does not state its own


@dataclass(frozen=True, eq=False)
class FrameJob:
    """Frames of one video to encode: int64 [n], ascending."""

    video: OpenVideo
    frame_indices: np.ndarray


@dataclass(frozen=True, eq=False)
class EncodedFrames:
    """The features of one job.

    Attributes:
        vectors: float32 [n, d], rows L2-normalised, in the order of the job's frames.
        frames_decoded: Number of frames decoded for the job.
        frames_substituted: Number of its damaged frames, for which the nearest one served.
    """

    vectors: np.ndarray
    frames_decoded: int
    frames_substituted: int = 0

    @property
    def usage(self) -> Usage:
        return Usage(
            scores=self.frames_decoded,
            scores_cached=len(self.vectors) - self.frames_decoded,
            frames_decoded=self.frames_decoded,
            frames_substituted=self.frames_substituted,
        )


def encode_frames(
    jobs: Sequence[FrameJob], scorer: Scorer, cache: Cache, max_batch_bytes: int = MAX_BATCH_BYTES
) -> list[EncodedFrames | VideoMinerError]:
    """Encode every frame of every job, except those in the cache, which includes the frames of earlier jobs.

    Features are kept as they come, one batch of the model after the other.

    Returns:
        One entry per job, in order; the error for a job whose frames cannot be decoded, or on which the model fails or
        gives features that are NaN or infinite.

    Raises:
        ConfigError: The scorer has no image features, because it reads image and text together.
    """
    if not isinstance(scorer, FrameEncoder):
        raise ConfigError(
            f"scorer {scorer.identity!r} has no image features to cluster by: choose a CLIP, SigLIP or "
            "BLIP model with scorer=, or set features=captions"
        )
    return [_encode(job, scorer, cache, max_batch_bytes) for job in jobs]


def batches(part: Sequence[T], model: object) -> Iterator[Sequence[T]]:
    """``part`` as ``model`` batches it."""
    size = max(1, getattr(model, "batch_size", BATCH_SIZE))
    return (part[start : start + size] for start in range(0, len(part), size))


def _encode(
    job: FrameJob, scorer: FrameEncoder, cache: Cache, max_bytes: int, anew: bool = False
) -> EncodedFrames | VideoMinerError:
    """The features of ``job``; ``anew``: none from the cache."""
    keys = [cache.key(video=job.video.shown_as, scorer=scorer.identity, frame=int(i)) for i in job.frame_indices]
    stored = [None] * len(keys) if anew else cache.get_many(IMAGE_FEATURES, keys)
    vectors_by_key = {key: unpack(text) for key, text in zip(keys, stored) if text is not None}
    missing = [i for i, key in enumerate(keys) if key not in vectors_by_key]
    try:
        for part in in_parts(missing, job.video.reader.frame_size, max_bytes):
            for batch in batches(part, scorer):  # read one by one, so that memory does not grow with the job
                frames = job.video.reader.frames(job.frame_indices[batch].tolist())
                vectors = computed("scorer", scorer.encode, (len(batch), -1), frames)
                if not np.isfinite(vectors).all():
                    raise CallError(
                        f"scorer {scorer.identity!r} gives features that hold NaN or infinity; "
                        "choose another model with scorer="
                    )
                encoded = {keys[i]: row for i, row in zip(batch, vectors, strict=True)}
                cache.put_many(IMAGE_FEATURES, {key: pack(vector) for key, vector in encoded.items()})
                vectors_by_key.update(encoded)
    except (VideoError, CallError) as error:
        return error
    if len({len(vector) for vector in vectors_by_key.values()}) > 1:  # some are of another model
        cache.refuse(IMAGE_FEATURES)
        return _encode(job, scorer, cache, max_bytes, anew=True)
    lost = count_substituted(job.frame_indices.tolist(), job.video.reader.damaged, job.video.identity, cache)
    return EncodedFrames(np.stack([vectors_by_key[key] for key in keys]), len(missing), lost)
