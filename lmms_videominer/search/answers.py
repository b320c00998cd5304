"""Answers of the video LLM from key frames: generated in batches, cached, and generated once for equal frames."""

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

KIND = "answer"  # kind of the cache entries
ANSWER_TOKENS = 128  # enough for a letter, or for the few sentences that an open question may need
ANSWERS_AT_ONCE = 64


def answer_selections(
    selections: Sequence[Selection], vlm: VLM, cache: Cache, backend: str = "auto"
) -> list[Selection | VideoError]:
    """Answer each question from its key frames, which are passed on at the video's own resolution.

    A question that has already been answered from the same frames is not asked again, neither for another tree
    of this call nor in a later run. Its selection then counts no answer call, and no frame is decoded.

    Args:
        selections: The questions with their key frames.
        vlm: The video LLM that answers.
        cache: Stores answers by video, video LLM, prompt, frames and maximal length.
        backend: Video backend.

    Returns:
        One entry per selection, in order: a copy with its answer and the cost of that answer, or the
        ``VideoError`` if its video can no longer be read.
    """
    keys = _keys(selections, vlm, cache)
    first: dict[str, Selection] = {}
    for key, selection in zip(keys, selections, strict=True):
        if isinstance(key, str):
            first.setdefault(key, selection)
    known = {key: text for key, text in zip(first, cache.get_many(KIND, list(first))) if isinstance(text, str)}
    generated: dict[str, _Generated | VideoError] = {}
    missing = [key for key in first if key not in known]
    for keys_at_once in fitting(missing, lambda key: first[key].frame_bytes, most=ANSWERS_AT_ONCE):
        part = {key: first[key] for key in keys_at_once}
        generated.update(_generate(part, vlm, backend))
        cache.put_many(KIND, {key: answer.text for key in part if isinstance(answer := generated[key], _Generated)})
    return [
        key
        if isinstance(key, VideoError)
        else dataclasses.replace(selection, answer=known[key])
        if key in known
        else _answered(selection, generated[key], pays=first[key] is selection)
        for key, selection in zip(keys, selections, strict=True)
    ]


@dataclass(frozen=True)
class _Generated:
    """A new answer, and the seconds that it took, by stage."""

    text: str
    seconds: dict[str, float]


def _keys(selections: Sequence[Selection], vlm: VLM, cache: Cache) -> list[str | VideoError]:
    """The cache key of each answer, or the error if the video is gone."""
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


def _generate(selections: dict[str, Selection], vlm: VLM, backend: str) -> dict[str, _Generated | VideoError]:
    """Answers by key, in one call of the video LLM; an error instead of an answer if its frames cannot be read."""
    started = time.perf_counter()
    frames = dict(zip(selections, read_key_frames(list(selections.values()), backend), strict=True))
    frames_s = (time.perf_counter() - started) / len(selections)
    results: dict[str, _Generated | VideoError]
    results = {key: pixels for key, pixels in frames.items() if isinstance(pixels, VideoError)}
    requests = {
        key: _request(selections[key], pixels) for key, pixels in frames.items() if not isinstance(pixels, VideoError)
    }
    started = time.perf_counter()
    texts = vlm.generate(list(requests.values())) if requests else []
    seconds = {"frames": frames_s, "answer": (time.perf_counter() - started) / max(1, len(requests))}
    results.update((key, _Generated(text, seconds)) for key, text in zip(requests, texts, strict=True))
    return results


def _request(selection: Selection, frames: np.ndarray | None) -> VLMRequest:
    return VLMRequest(
        prompt=answer_prompt(selection.question.text, selection.question.options),
        frames=frames,
        max_new_tokens=ANSWER_TOKENS,
        frame_times_s=tuple(frame.time_s for frame in selection.key_frames),
    )


def _answered(selection: Selection, answer: _Generated | VideoError, pays: bool) -> Selection | VideoError:
    """``selection`` with its answer; if it ``pays``, the cost of the answer is added to its usage."""
    if isinstance(answer, VideoError):
        return answer
    if not pays:
        return dataclasses.replace(selection, answer=answer.text)
    cost = Usage(answer_calls=1, frames_decoded=len(selection.key_frames), seconds=answer.seconds)
    return dataclasses.replace(selection, answer=answer.text, usage=selection.usage + cost)
