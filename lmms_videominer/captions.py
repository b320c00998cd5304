"""What the video LLM sees in each event, asked in one batch over many videos, and kept in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.cache import Cache
from lmms_videominer.errors import VideoError
from lmms_videominer.types import Event, Span
from lmms_videominer.video import frame_indices_at, uniform_times
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.vlm.prompts import caption_prompt
from lmms_videominer.vlm.vlm import VLM, VLMRequest

MAX_BATCH_BYTES = 4 * 2**30  # decoded frames held at once; more are captioned in several calls


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


def caption_events(jobs: Sequence[CaptionJob], vlm: VLM, cache: Cache, caption_frames: int, caption_tokens: int,
                   max_batch_bytes: int = MAX_BATCH_BYTES) -> list[CaptionedEvents | VideoError]:
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
    raise NotImplementedError
