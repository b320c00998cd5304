"""The video LLM's answers from key frames: asked in batches, kept in the cache, asked once where frames are equal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Selection, Usage
from lmms_videominer.video import video_identity
from lmms_videominer.video.parts import fitting
from lmms_videominer.video.pixels import read_key_frames
from lmms_videominer.vlm.prompts import answer_prompt
from lmms_videominer.vlm.vlm import VLM, VLMRequest

KIND = "answer"  # of the cache
ANSWER_TOKENS = 128  # a letter ends at once; an open question may take a few sentences
ANSWERS_AT_ONCE = 64


def answer_selections(
    selections: Sequence[Selection], vlm: VLM, cache: Cache, backend: str = "auto"
) -> list[Selection | VideoError]:
    """Answer each question from its key frames, which are handed over at the video's own resolution.

    A question that was answered from the same frames before is not asked again: neither for another tree
    of this call nor in a later run. Its selection then counts no answer call, and no frame is decoded.

    Args:
        selections: What to answer.
        vlm: The answerer.
        cache: Kept by video, answerer, prompt, frames and length.
        backend: Video backend.

    Returns:
        One entry a selection, in order: a copy with its answer and what that cost; the ``VideoError`` where its
        video cannot be read any more.
    """
    keys = _keys(selections, vlm, cache)
    first: dict[str, Selection] = {}
    for key, selection in zip(keys, selections, strict=True):
        if isinstance(key, str):
            first.setdefault(key, selection)
    known = {key: text for key, text in zip(first, cache.get_many(KIND, list(first))) if isinstance(text, str)}
    made: dict[str, _Made | VideoError] = {}
    missing = [key for key in first if key not in known]
    for keys_at_once in fitting(missing, lambda key: first[key].frame_bytes, most=ANSWERS_AT_ONCE):
        part = {key: first[key] for key in keys_at_once}
        made.update(_generate(part, vlm, backend))
        cache.put_many(KIND, {key: answer.text for key in part if isinstance(answer := made[key], _Made)})
    return [
        key
        if isinstance(key, VideoError)
        else dataclasses.replace(selection, answer=known[key])
        if key in known
        else _answered(selection, made[key], pays=first[key] is selection)
        for key, selection in zip(keys, selections, strict=True)
    ]


@dataclass(frozen=True)
class _Made:
    """An answer just made, and the seconds that it took by stage."""

    text: str
    seconds: dict[str, float]


def _keys(selections: Sequence[Selection], vlm: VLM, cache: Cache) -> list[str | VideoError]:
    """The cache key of each answer; the error where the video is gone."""
    videos: dict[str, str | VideoError] = {"": ""}
    keys: list[str | VideoError] = []
    for selection in selections:
        path = selection.question.video if selection.key_frames else ""  # without frames the video does not matter
        if path not in videos:
            videos[path] = _identity(path)
        video, prompt = videos[path], answer_prompt(selection.question.text, selection.question.options)
        frames = [frame.frame_index for frame in selection.key_frames]
        keys.append(
            video
            if isinstance(video, VideoError)
            else cache.key(video=video, vlm=vlm.identity, prompt=prompt, frames=frames, tokens=ANSWER_TOKENS)
        )
    return keys


def _identity(path: str) -> str | VideoError:
    try:
        return video_identity(path)
    except VideoError as error:
        return error


def _generate(asked: dict[str, Selection], vlm: VLM, backend: str) -> dict[str, _Made | VideoError]:
    """Answers by key, in one call of the video LLM; the error where the frames cannot be read."""
    started = time.perf_counter()
    frames = dict(zip(asked, read_key_frames(list(asked.values()), backend), strict=True))
    frames_s = (time.perf_counter() - started) / len(asked)
    results: dict[str, _Made | VideoError]
    results = {key: pixels for key, pixels in frames.items() if isinstance(pixels, VideoError)}
    requests = {
        key: _request(asked[key], pixels) for key, pixels in frames.items() if not isinstance(pixels, VideoError)
    }
    started = time.perf_counter()
    texts = vlm.generate(list(requests.values())) if requests else []
    seconds = {"frames": frames_s, "answer": (time.perf_counter() - started) / max(1, len(requests))}
    results.update((key, _Made(text, seconds)) for key, text in zip(requests, texts, strict=True))
    return results


def _request(selection: Selection, frames: np.ndarray | None) -> VLMRequest:
    return VLMRequest(
        prompt=answer_prompt(selection.question.text, selection.question.options),
        frames=frames,
        max_new_tokens=ANSWER_TOKENS,
        frame_times_s=tuple(frame.time_s for frame in selection.key_frames),
    )


def _answered(selection: Selection, made: _Made | VideoError, pays: bool) -> Selection | VideoError:
    """``selection`` with its answer, and with what that cost where it is the one that ``pays``."""
    if isinstance(made, VideoError):
        return made
    if not pays:
        return dataclasses.replace(selection, answer=made.text)
    cost = Usage(answer_calls=1, frames_decoded=len(selection.key_frames), seconds=made.seconds)
    return dataclasses.replace(selection, answer=made.text, usage=selection.usage + cost)
