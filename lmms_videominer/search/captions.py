"""Captions of events by the video LLM, generated in one batch over many videos and cached as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmms_videominer.errors import CallError, VideoError
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Event, Span, Usage
from lmms_videominer.video import frame_indices_at, uniform_times
from lmms_videominer.video.damage import count_substituted
from lmms_videominer.video.parts import MAX_BYTES, fitting
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.vlm.replies import replies
from lmms_videominer.vlm.vlm import VLM, VLMRequest

KIND = "caption"  # kind of the cache entries


@dataclass(frozen=True)
class CaptionJob:
    """Spans of one video to caption.

    Attributes:
        reader: The open video.
        video_id: The identity of its content (``video_identity``).
        prompts: The captioner's prompt for each span.
        spans: One per caption, in any order.
        shown_as: What the video is in the keys of captions (``OpenVideo.shown_as``); empty: ``video_id``.
    """

    reader: VideoReader
    video_id: str
    prompts: tuple[str, ...]
    spans: tuple[Span, ...]
    shown_as: str = ""


@dataclass(frozen=True)
class CaptionedEvents:
    """The events of one job, in the order of its spans, and their cost.

    Attributes:
        events: One per span, with caption and frame times; a missing caption is empty.
        made: Number of captions asked for by this job, the missing ones too.
        cached: Number of captions from the cache, or asked for in the same call for an equal event of an earlier job.
        frames_decoded: Number of frames decoded for the captions asked for.
        frames_substituted: Number of damaged frames behind the captions, for which the nearest one served.
        missing: How many of all these captions did not come, or came empty.
        fault: Why the first missing one did not come; ``None`` if it came empty, or none is missing.
    """

    events: tuple[Event, ...]
    made: int
    cached: int
    frames_decoded: int
    frames_substituted: int = 0
    missing: int = 0
    fault: CallError | None = None

    @property
    def usage(self) -> Usage:
        return Usage(
            vlm_calls=self.made,
            vlm_calls_cached=self.cached,
            captions_missing=self.missing,
            frames_decoded=self.frames_decoded,
            frames_substituted=self.frames_substituted,
        )


def caption_events(
    jobs: Sequence[CaptionJob],
    vlm: VLM,
    cache: Cache,
    caption_frames: int,
    caption_tokens: int,
    max_batch_bytes: int = MAX_BYTES,
) -> list[CaptionedEvents | VideoError]:
    """Caption every event of every job: ``Caption_m = VLM(frames of E_m, Q)`` (arXiv 2510.06040, section 3.1).

    All events that are not in the cache go to the video LLM in one call, as long as their decoded frames
    fit ``max_batch_bytes``; equal events of several jobs (rollouts of one question) are captioned once. Of what a call
    serves part by part, the frames of the next part are read meanwhile, and captions are kept as they come. One that
    does not come, or is empty even when asked for again, is not kept.

    Args:
        jobs: The events to caption.
        vlm: The captioner.
        cache: Stores captions by video, captioner, prompt, frames and maximal length.
        caption_frames: Maximum number of frames shown of an event, uniform over its span.
        caption_tokens: Maximum number of tokens of a caption.

    Returns:
        One entry per job, in order; the ``VideoError`` for a job whose frames cannot be decoded.

    Raises:
        ModelError: The video LLM no longer replies at all.
    """
    plans = [_plan(job, vlm, cache, caption_frames, caption_tokens) for job in jobs]
    unique = {ask.key: ask for plan in reversed(plans) for ask in reversed(plan)}  # the first of equal ones
    captions: dict[str, str | CallError] = dict(_cached(unique, cache))
    missing = [ask for plan in plans for ask in plan if unique[ask.key] is ask and ask.key not in captions]
    errors: dict[str, VideoError] = {}
    for batch in fitting(missing, lambda ask: ask.bytes, max_batch_bytes):
        for part in _generate(batch, vlm, caption_tokens, errors):
            cache.put_many(KIND, {key: text for key, text in part.items() if text and isinstance(text, str)})
            captions.update(part)
    owned = {id(ask) for ask in missing}
    return [errors.get(job.video_id) or _result(job, plan, captions, owned, cache) for job, plan in zip(jobs, plans)]


@dataclass(frozen=True, eq=False)
class _Ask:
    """One event to caption: its video, its frames and the prompt."""

    key: str
    job: CaptionJob
    prompt: str
    frame_indices: tuple[int, ...]
    frame_times_s: tuple[float, ...]

    @property
    def outline(self) -> np.ndarray:
        """uint8 [T, H, W, 3]: zeros in the shape of its frames; takes no memory."""
        return np.broadcast_to(np.uint8(0), (len(self.frame_indices), *self.job.reader.frame_size, 3))

    @property
    def bytes(self) -> int:
        return self.outline.nbytes


def _plan(job: CaptionJob, vlm: VLM, cache: Cache, caption_frames: int, caption_tokens: int) -> list[_Ask]:
    """One ``_Ask`` per span of ``job``."""
    asks = []
    for prompt, span in zip(job.prompts, job.spans, strict=True):
        times_s = uniform_times([span], caption_frames)
        indices = np.unique(frame_indices_at(job.reader, times_s))  # a short event may have fewer frames
        shown = job.shown_as or job.video_id
        key = cache.key(video=shown, vlm=vlm.identity, prompt=prompt, frames=indices, tokens=caption_tokens)
        frame_times_s = job.reader.timestamps_s[indices]
        asks.append(_Ask(key, job, prompt, tuple(indices.tolist()), tuple(frame_times_s.tolist())))
    return asks


def _cached(asks: dict[str, _Ask], cache: Cache) -> dict[str, str]:
    """The captions found in the cache, by key."""
    entries = zip(asks, cache.get_many(KIND, list(asks)))
    return {key: caption for key, caption in entries if isinstance(caption, str) and caption}


def _generate(
    batch: Sequence[_Ask], vlm: VLM, tokens: int, errors: dict[str, VideoError]
) -> Iterator[dict[str, str | CallError]]:
    """Captions by key, as they come; leaves out videos that cannot be decoded and records them in ``errors``."""
    outlines = [VLMRequest(ask.prompt, ask.outline, tokens, ask.frame_times_s) for ask in batch]

    def read(part: Sequence[int]) -> dict[int, VLMRequest]:
        frames = _decode([batch[i] for i in part], errors)
        return {i: replace(outlines[i], frames=frames[batch[i].key]) for i in part if batch[i].key in frames}

    for replied in replies(vlm, outlines, read):
        yield {batch[i].key: reply for i, reply in replied.items()}


def _decode(batch: Sequence[_Ask], errors: dict[str, VideoError]) -> dict[str, np.ndarray]:
    """The frames of each ask, by key, of one part; each video is read in the order of its frames."""
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


def _result(
    job: CaptionJob, plan: Sequence[_Ask], captions: dict[str, str | CallError], owned: set[int], cache: Cache
) -> CaptionedEvents:
    own = [ask for ask in plan if id(ask) in owned]
    replied = [captions[ask.key] for ask in plan]
    texts = [reply if isinstance(reply, str) else "" for reply in replied]
    used = {index for ask in plan for index in ask.frame_indices}
    return CaptionedEvents(
        events=tuple(Event(span, text, ask.frame_times_s) for span, text, ask in zip(job.spans, texts, plan)),
        made=len(own),
        cached=len(plan) - len(own),
        frames_decoded=sum(len(ask.frame_indices) for ask in own),
        frames_substituted=count_substituted(used, job.reader.damaged, job.video_id, cache),
        missing=texts.count(""),
        fault=next((reply for reply in replied if isinstance(reply, CallError)), None),
    )
