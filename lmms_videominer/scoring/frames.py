"""Scores of frames for questions: computed in parts, for all questions on a video at once, and cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import CallError, VideoError, VideoMinerError
from lmms_videominer.models.calls import computed
from lmms_videominer.scoring.features import MAX_BATCH_BYTES, FrameJob, batches, encode_frames
from lmms_videominer.scoring.scorer import Encoder, Scorer
from lmms_videominer.store.cache import Cache, pack, unpack
from lmms_videominer.types import Usage
from lmms_videominer.video.damage import count_substituted
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.video.reader import in_parts

KIND = "score"  # kind of the values in the cache


@dataclass(frozen=True, eq=False)
class ScoreJob:
    """Frames of one video to compare with one text.

    Attributes:
        video: The open video.
        text: The text to compare them with.
        frame_indices: int64 [n], ascending.
    """

    video: OpenVideo
    text: str
    frame_indices: np.ndarray


@dataclass(frozen=True)
class ScoredFrames:
    """The scores of one job, and their cost.

    Attributes:
        values: float32 [n], in the order of its frames.
        made: Frames that the model processed for this job. If it encodes frames without a text, frames with known
            features do not count, and jobs on the same frames divide the count; the first job takes the remainder.
        cached: The other frames: their scores or features came from the cache, or from another job of the call.
        frames_decoded: Frames decoded for this job, divided in the same way.
        frames_substituted: Its damaged frames, for which the nearest one served.
    """

    values: np.ndarray
    made: int
    cached: int
    frames_decoded: int
    frames_substituted: int = 0

    @property
    def usage(self) -> Usage:
        return Usage(
            scores=self.made,
            scores_cached=self.cached,
            frames_decoded=self.frames_decoded,
            frames_substituted=self.frames_substituted,
        )


def score_frames(
    jobs: Sequence[ScoreJob], scorer: Scorer, cache: Cache, max_batch_bytes: int = MAX_BATCH_BYTES
) -> list[ScoredFrames | VideoMinerError]:
    """Score every frame of every job.

    Jobs on the same frames of a video are scored together, so these frames are decoded and encoded once. If the scorer
    encodes frames without a text, their features are cached too, for other texts and other jobs, so that every frame
    is encoded only once. Other scores are kept as they come, one batch of the model after the other.

    Args:
        jobs: The frames and texts to compare.
        scorer: The model that compares them.
        cache: Stores scores by video, scorer, text and frames, and features by video, scorer and frame.
        max_batch_bytes: Limit on the decoded frames in memory at once.

    Returns:
        One entry per job, in order; the error for a job whose frames cannot be decoded, or on which the model fails or
        gives scores that are NaN or infinite.
    """
    keys = [_key(job, scorer, cache) for job in jobs]
    first = {key: job for key, job in zip(reversed(keys), reversed(jobs))}  # the first of equal jobs
    made: dict[str, np.ndarray | VideoMinerError] = {}
    values: dict[str, np.ndarray | VideoMinerError] = dict(_cached(first, cache))
    decoded: dict[str, int] = {}
    scored: dict[str, int] = {}  # frames that the model processed, by key
    for group in _groups({key: first[key] for key in keys if key not in values}):
        rows, count = _score(group, scorer, cache, max_batch_bytes)
        made.update(rows)
        cache.put_many(KIND, {key: pack(row) for key, row in rows.items() if isinstance(row, np.ndarray)})
        decoded.update(_shares(list(group), count))
        scored.update(dict.fromkeys(group, count))
    values.update(made)
    encodes_once = isinstance(scorer, Encoder)
    results: list[ScoredFrames | VideoMinerError] = []
    for key, job in zip(keys, jobs, strict=True):
        scores, count = values[key], len(job.frame_indices)
        if isinstance(scores, VideoMinerError):
            results.append(scores)
            continue
        video = job.video
        lost = count_substituted(job.frame_indices.tolist(), video.reader.damaged, video.identity, cache)
        if key in made and first[key] is job:
            processed = decoded[key] if encodes_once else scored[key]
            results.append(ScoredFrames(scores, processed, count - processed, decoded[key], lost))
        else:
            results.append(ScoredFrames(scores, 0, count, 0, lost))
    return results


def _key(job: ScoreJob, scorer: Scorer, cache: Cache, frames: Sequence[int] | None = None) -> str:
    """The key of the scores of ``frames``, by default those of the job."""
    indices = job.frame_indices if frames is None else frames
    return cache.key(video=job.video.shown_as, scorer=scorer.identity, text=job.text, frames=indices)


def _cached(first: dict[str, ScoreJob], cache: Cache) -> Iterator[tuple[str, np.ndarray]]:
    """The cached scores, by key."""
    for (key, job), text in zip(first.items(), cache.get_many(KIND, list(first))):
        if text is None:
            continue
        if len(row := unpack(text)) == len(job.frame_indices):
            yield key, row
        else:
            cache.refuse(KIND)


def _groups(missing: dict[str, ScoreJob]) -> list[dict[str, ScoreJob]]:
    """The jobs by key, grouped by the frames of a video that they share."""
    groups: dict[tuple[str, bytes], dict[str, ScoreJob]] = {}
    for key, job in missing.items():
        groups.setdefault((job.video.identity, job.frame_indices.tobytes()), {})[key] = job
    return list(groups.values())


def _score(
    group: dict[str, ScoreJob], scorer: Scorer, cache: Cache, max_bytes: int
) -> tuple[dict[str, np.ndarray | VideoMinerError], int]:
    """The scores, by key, of jobs on the same frames, and the number of frames decoded for them.

    If the model fails on the texts of several jobs, each half of the jobs is scored by itself, down to single jobs.
    """
    job = next(iter(group.values()))
    decoded = 0
    try:
        if isinstance(scorer, Encoder) and len(job.frame_indices):
            [encoded] = encode_frames([FrameJob(job.video, job.frame_indices)], scorer, cache, max_bytes)
            if isinstance(encoded, VideoMinerError):
                return dict.fromkeys(group, encoded), 0
            decoded = encoded.frames_decoded
            texts = [member.text for member in group.values()]
            shape = (len(job.frame_indices), len(texts))
            scores = computed("scorer", scorer.compare, shape, encoded.vectors, texts)
        else:
            scores, decoded = _score_in_batches(group, scorer, cache, max_bytes)
    except VideoError as error:
        return dict.fromkeys(group, error), 0
    except CallError as error:
        if len(group) == 1:
            return dict.fromkeys(group, error), decoded
    else:
        columns = [np.ascontiguousarray(scores[:, i], np.float32) for i in range(len(group))]
        return {key: _finite(column, scorer) for key, column in zip(group, columns)}, decoded
    items = list(group.items())
    middle = len(items) // 2
    halves = [_score(dict(part), scorer, cache, max_bytes) for part in (items[:middle], items[middle:])]
    return halves[0][0] | halves[1][0], decoded + sum(count for _, count in halves)


def _score_in_batches(
    group: dict[str, ScoreJob], scorer: Scorer, cache: Cache, max_bytes: int
) -> tuple[np.ndarray, int]:
    """The scores [n, m] of jobs on the same frames, kept batch by batch, and the number of frames decoded for them."""
    jobs = list(group.values())
    video, indices = jobs[0].video, jobs[0].frame_indices.tolist()
    rows, decoded = [np.zeros((0, len(jobs)), np.float32)], 0
    for part in in_parts(indices, video.reader.frame_size, max_bytes):
        for batch in batches(part, scorer):
            scores = None if len(batch) == len(indices) else _known(jobs, scorer, cache, batch)
            if scores is None:
                texts = [job.text for job in jobs]
                shown = video.reader.frames(batch)
                scores = computed("scorer", scorer.score, (len(batch), len(texts)), shown, texts)
                decoded += len(batch)
                if np.isfinite(scores).all() and len(batch) < len(indices):
                    keys = [_key(job, scorer, cache, batch) for job in jobs]
                    cache.put_many(KIND, {key: pack(scores[:, j]) for j, key in enumerate(keys)})
            rows.append(scores)
    return np.concatenate(rows), decoded


def _known(jobs: Sequence[ScoreJob], scorer: Scorer, cache: Cache, batch: Sequence[int]) -> np.ndarray | None:
    """The cached scores [n, m] of one batch of frames; ``None`` unless those of all jobs are there."""
    stored = cache.get_many(KIND, [_key(job, scorer, cache, batch) for job in jobs])
    columns = [unpack(text) for text in stored if isinstance(text, str)]
    whole = len(columns) == len(jobs) and all(len(column) == len(batch) for column in columns)
    return np.stack(columns, axis=1) if whole else None


def _finite(scores: np.ndarray, scorer: Scorer) -> np.ndarray | CallError:
    if np.isfinite(scores).all():
        return scores
    return CallError(
        f"scorer {scorer.identity!r} gives scores that hold NaN or infinity; choose another model with scorer="
    )


def _shares(keys: Sequence[str], decoded: int) -> dict[str, int]:
    """The count of ``decoded`` frames, divided among the jobs with these keys."""
    share, remainder = divmod(decoded, len(keys))
    return {key: share + (remainder if i == 0 else 0) for i, key in enumerate(keys)}
