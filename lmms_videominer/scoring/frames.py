"""Scores of frames for questions: read in parts, scored for all questions on a video at once, kept in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import ModelError, VideoError
from lmms_videominer.scoring.features import MAX_BATCH_BYTES, FrameJob, encode_frames
from lmms_videominer.scoring.scorer import Encoder, Scorer
from lmms_videominer.store.cache import Cache, pack, unpack
from lmms_videominer.types import Usage
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.video.reader import in_parts

KIND = "score"  # of the cache


@dataclass(frozen=True, eq=False)
class ScoreJob:
    """Frames of one video to compare with one text.

    Attributes:
        video: The open video.
        text: What they are compared with.
        frame_indices: int64 [n], ascending.
    """

    video: OpenVideo
    text: str
    frame_indices: np.ndarray


@dataclass(frozen=True)
class ScoredFrames:
    """The scores of one job, and what they cost.

    Attributes:
        values: float32 [n], in the order of its frames.
        made: Frames that the model looked at for this job. Where it looks without a text, jobs that share their frames
            share the count, the first has the rest, and frames whose features were known are none of it.
        cached: The others: their scores or features were found in the cache, or made for another job of the call.
        frames_decoded: Frames decoded for it, shared in the same way.
    """

    values: np.ndarray
    made: int
    cached: int
    frames_decoded: int

    @property
    def usage(self) -> Usage:
        return Usage(scores=self.made, scores_cached=self.cached, frames_decoded=self.frames_decoded)


def score_frames(
    jobs: Sequence[ScoreJob], scorer: Scorer, cache: Cache, max_batch_bytes: int = MAX_BATCH_BYTES
) -> list[ScoredFrames | VideoError]:
    """Score every frame of every job.

    Jobs on the same frames of a video are scored together. Each frame is decoded and encoded once, and by a scorer that
    looks at frames without a text only once in all: its features are kept too, for other texts and other jobs.

    Args:
        jobs: What to score.
        scorer: Compares.
        cache: Scores are kept by video, scorer, text and frames, features by video, scorer and frame.
        max_batch_bytes: Decoded frames held at once.

    Returns:
        One entry a job, in order; the ``VideoError`` for a job whose frames cannot be decoded.

    Raises:
        ModelError: A score is no number.
    """
    keys = [_key(job, scorer, cache) for job in jobs]
    first = {key: job for key, job in zip(reversed(keys), reversed(jobs))}  # the first of equal ones
    made: dict[str, np.ndarray | VideoError] = {}
    values: dict[str, np.ndarray | VideoError] = dict(_cached(first, cache))
    decoded: dict[str, int] = {}
    for group in _groups({key: first[key] for key in keys if key not in values}):
        rows, count = _score(group, scorer, cache, max_batch_bytes)
        made.update(rows)
        cache.put_many(KIND, {key: pack(row) for key, row in rows.items() if isinstance(row, np.ndarray)})
        decoded.update(_shares(list(group), count))
    values.update(made)
    looks_once = isinstance(scorer, Encoder)
    results: list[ScoredFrames | VideoError] = []
    for key, job in zip(keys, jobs, strict=True):
        scored, count = values[key], len(job.frame_indices)
        if isinstance(scored, VideoError):
            results.append(scored)
        elif key in made and first[key] is job:
            looked = decoded[key] if looks_once else count
            results.append(ScoredFrames(scored, looked, count - looked, decoded[key]))
        else:
            results.append(ScoredFrames(scored, 0, count, 0))
    return results


def _key(job: ScoreJob, scorer: Scorer, cache: Cache) -> str:
    return cache.key(video=job.video.identity, scorer=scorer.identity, text=job.text, frames=job.frame_indices)


def _cached(first: dict[str, ScoreJob], cache: Cache) -> Iterator[tuple[str, np.ndarray]]:
    """What the cache holds, by key; a value of another length is none."""
    for (key, job), text in zip(first.items(), cache.get_many(KIND, list(first))):
        if isinstance(text, str) and len(row := unpack(text)) == len(job.frame_indices):
            yield key, row


def _groups(missing: dict[str, ScoreJob]) -> list[dict[str, ScoreJob]]:
    """Jobs by key, those on the same frames of a video together."""
    groups: dict[tuple[str, bytes], dict[str, ScoreJob]] = {}
    for key, job in missing.items():
        groups.setdefault((job.video.identity, job.frame_indices.tobytes()), {})[key] = job
    return list(groups.values())


def _score(
    group: dict[str, ScoreJob], scorer: Scorer, cache: Cache, max_bytes: int
) -> tuple[dict[str, np.ndarray | VideoError], int]:
    """Scores by key of jobs that share their frames, and how many frames were decoded for them."""
    job = next(iter(group.values()))
    texts = [member.text for member in group.values()]
    decoded = len(job.frame_indices)
    try:
        if not decoded:
            scores = np.zeros((0, len(texts)), np.float32)  # [n, m]
        elif isinstance(scorer, Encoder):
            [seen] = encode_frames([FrameJob(job.video, job.frame_indices)], scorer, cache, max_bytes)
            if isinstance(seen, VideoError):
                return dict.fromkeys(group, seen), 0
            scores, decoded = scorer.compare(seen.vectors, texts), seen.frames_decoded
        else:
            scores = np.concatenate(
                [
                    scorer.score(job.video.reader.frames(part), texts)
                    for part in in_parts(job.frame_indices.tolist(), job.video.info, max_bytes)
                ]
            )
    except VideoError as error:
        return dict.fromkeys(group, error), 0
    if not np.isfinite(scores).all():
        raise ModelError(
            f"scorer {scorer.identity!r} gives scores that hold NaN or infinity; take another one with scorer="
        )
    return {key: np.ascontiguousarray(scores[:, i], np.float32) for i, key in enumerate(group)}, decoded


def _shares(keys: Sequence[str], decoded: int) -> dict[str, int]:
    """``decoded`` frames shared over the jobs of these keys."""
    share, rest = divmod(decoded, len(keys))
    return {key: share + (rest if i == 0 else 0) for i, key in enumerate(keys)}
