"""Image features of frames, to be clustered or compared with texts: read in parts, kept in the cache frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import ConfigError, ModelError, VideoError
from lmms_videominer.scoring.scorer import FrameEncoder, Scorer
from lmms_videominer.store.cache import IMAGE_FEATURES, Cache, pack, unpack
from lmms_videominer.types import Usage
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.video.reader import in_parts

MAX_BATCH_BYTES = 2**29  # decoded frames held at once


@dataclass(frozen=True, eq=False)
class FrameJob:
    """Frames of one video to encode: int64 [n], ascending."""

    video: OpenVideo
    frame_indices: np.ndarray


@dataclass(frozen=True, eq=False)
class EncodedFrames:
    """float32 [n, d], rows L2-normalised, in the order of the job's frames; and how many were decoded for it."""

    vectors: np.ndarray
    frames_decoded: int

    @property
    def usage(self) -> Usage:
        return Usage(
            scores=self.frames_decoded,
            scores_cached=len(self.vectors) - self.frames_decoded,
            frames_decoded=self.frames_decoded,
        )


def encode_frames(
    jobs: Sequence[FrameJob], scorer: Scorer, cache: Cache, max_batch_bytes: int = MAX_BATCH_BYTES
) -> list[EncodedFrames | VideoError]:
    """Encode every frame of every job; what the cache holds, an earlier job's among it, is not encoded again.

    Returns:
        One entry a job, in order; the ``VideoError`` for a job whose frames cannot be decoded.

    Raises:
        ConfigError: The scorer has no image features: it reads image and text together.
        ModelError: A feature is no number: nothing could be made of it.
    """
    if not isinstance(scorer, FrameEncoder):
        raise ConfigError(
            f"scorer {scorer.identity!r} has no image features to cluster by: take a CLIP, a SigLIP or a "
            "BLIP with scorer=, or set features=captions"
        )
    return [_encode(job, scorer, cache, max_batch_bytes) for job in jobs]


def _encode(job: FrameJob, scorer: FrameEncoder, cache: Cache, max_bytes: int) -> EncodedFrames | VideoError:
    keys = [cache.key(video=job.video.identity, scorer=scorer.identity, frame=int(i)) for i in job.frame_indices]
    held = {key: unpack(text) for key, text in zip(keys, cache.get_many(IMAGE_FEATURES, keys)) if isinstance(text, str)}
    missing = [i for i, key in enumerate(keys) if key not in held]
    try:
        for part in in_parts(missing, job.video.info, max_bytes):
            frames = job.video.reader.frames(job.frame_indices[part].tolist())
            vectors = scorer.encode(frames)
            if not np.isfinite(vectors).all():
                raise ModelError(
                    f"scorer {scorer.identity!r} gives features that hold NaN or infinity; "
                    "take another one with scorer="
                )
            made = {keys[i]: vector.astype(np.float32) for i, vector in zip(part, vectors, strict=True)}
            cache.put_many(IMAGE_FEATURES, {key: pack(vector) for key, vector in made.items()})
            held.update(made)
    except VideoError as error:
        return error
    return EncodedFrames(np.stack([held[key] for key in keys]), len(missing))
