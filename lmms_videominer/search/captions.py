"""What the video LLM sees in each event, asked in one batch over many videos, and kept in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Event, Span, Usage
from lmms_videominer.video import frame_indices_at, uniform_times
from lmms_videominer.video.parts import MAX_BYTES, fitting
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.vlm.prompts import caption_prompt
from lmms_videominer.vlm.vlm import VLM, VLMRequest

KIND = "caption"  # of the cache


@dataclass(frozen=True)
class CaptionJob:
    """Spans of one video to caption for one question.

    Attributes:
        reader: The open video.
        video_id: Its content identity (``video_identity``).
        question: The question's text.
        spans: One a caption, any order.
    """

    reader: VideoReader
    video_id: str
    question: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class CaptionedEvents:
    """The events of one job, in the order of its spans, and what they cost.

    Attributes:
        events: One a span, with caption and frame times.
        made: Captions generated for this job.
        cached: Captions found in the cache, or made in the same call for an equal event of an earlier job.
        frames_decoded: Frames decoded for the captions made.
    """

    events: tuple[Event, ...]
    made: int
    cached: int
    frames_decoded: int

    @property
    def usage(self) -> Usage:
        return Usage(vlm_calls=self.made, vlm_calls_cached=self.cached, frames_decoded=self.frames_decoded)


def caption_events(
    jobs: Sequence[CaptionJob],
    vlm: VLM,
    cache: Cache,
    caption_frames: int,
    caption_tokens: int,
    max_batch_bytes: int = MAX_BYTES,
) -> list[CaptionedEvents | VideoError]:
    """Caption every event of every job: ``Caption_m = VLM(frames of E_m, Q)`` (arXiv 2510.06040, section 3.1).

    Everything that the cache lacks goes to the video LLM in one call, as long as its decoded frames
    fit ``max_batch_bytes``; equal events of several jobs (rollouts of one question) are captioned once.

    Args:
        jobs: What to caption.
        vlm: The captioner.
        cache: Kept by video, captioner, prompt, frames and length.
        caption_frames: Most frames of an event shown, uniform over its span.
        caption_tokens: Most tokens of a caption.

    Returns:
        One entry a job, in order; the ``VideoError`` for a job whose frames cannot be decoded.
    """
    plans = [_plan(job, vlm, cache, caption_frames, caption_tokens) for job in jobs]
    wanted = {ask.key: ask for plan in reversed(plans) for ask in reversed(plan)}  # the first of equal ones
    captions = _cached(wanted, cache)
    missing = [ask for plan in plans for ask in plan if wanted[ask.key] is ask and ask.key not in captions]
    errors: dict[str, VideoError] = {}
    for batch in fitting(missing, lambda ask: ask.bytes, max_batch_bytes):
        made = _generate(batch, vlm, caption_tokens, errors)
        cache.put_many(KIND, made)
        captions.update(made)
    owned = {id(ask) for ask in missing}
    return [errors.get(job.video_id) or _result(job, plan, captions, owned) for job, plan in zip(jobs, plans)]


@dataclass(frozen=True, eq=False)
class _Ask:
    """One event to caption: which frames of which video, and the prompt."""

    key: str
    job: CaptionJob
    prompt: str
    frame_indices: tuple[int, ...]
    frame_times_s: tuple[float, ...]

    @property
    def bytes(self) -> int:
        info = self.job.reader.info
        return len(self.frame_indices) * info.width * info.height * 3


def _plan(job: CaptionJob, vlm: VLM, cache: Cache, caption_frames: int, caption_tokens: int) -> list[_Ask]:
    """One ask a span of ``job``."""
    prompt, asks = caption_prompt(job.question), []
    for span in job.spans:
        times_s = uniform_times([span], caption_frames)
        indices = np.unique(frame_indices_at(job.reader, times_s))  # a short event has fewer frames than asked for
        key = cache.key(video=job.video_id, vlm=vlm.identity, prompt=prompt, frames=indices, tokens=caption_tokens)
        shown_s = job.reader.timestamps_s[indices]
        asks.append(_Ask(key, job, prompt, tuple(indices.tolist()), tuple(shown_s.tolist())))
    return asks


def _cached(wanted: dict[str, _Ask], cache: Cache) -> dict[str, str]:
    """Captions that the cache holds, by key."""
    found = zip(wanted, cache.get_many(KIND, list(wanted)))
    return {key: caption for key, caption in found if isinstance(caption, str)}


def _generate(batch: Sequence[_Ask], vlm: VLM, tokens: int, errors: dict[str, VideoError]) -> dict[str, str]:
    """Captions by key, in one call; videos that cannot be decoded go to ``errors`` and are left out."""
    frames = _decode(batch, errors)
    readable = [ask for ask in batch if ask.key in frames]
    requests = [VLMRequest(ask.prompt, frames[ask.key], tokens, ask.frame_times_s) for ask in readable]
    texts = vlm.generate(requests) if requests else []
    return {ask.key: text.strip() for ask, text in zip(readable, texts, strict=True)}


def _decode(batch: Sequence[_Ask], errors: dict[str, VideoError]) -> dict[str, np.ndarray]:
    """Frames of each ask by key, each video read once, in the order of its frames."""
    by_video: dict[str, list[_Ask]] = {}
    for ask in batch:
        if ask.job.video_id not in errors:
            by_video.setdefault(ask.job.video_id, []).append(ask)
    frames: dict[str, np.ndarray] = {}
    for video_id, asks in by_video.items():
        indices = sorted({index for ask in asks for index in ask.frame_indices})
        try:
            decoded = asks[0].job.reader.frames(indices)  # uint8 [len(indices), H, W, 3]
        except VideoError as error:
            errors[video_id] = error
            continue
        frames.update({ask.key: decoded[np.searchsorted(indices, ask.frame_indices)] for ask in asks})
    return frames


def _result(job: CaptionJob, plan: Sequence[_Ask], captions: dict[str, str], owned: set[int]) -> CaptionedEvents:
    made = [ask for ask in plan if id(ask) in owned]
    events = tuple(Event(span, captions[ask.key], ask.frame_times_s) for span, ask in zip(job.spans, plan))
    return CaptionedEvents(events, len(made), len(plan) - len(made), sum(len(ask.frame_indices) for ask in made))
