"""Answers of the video LLM from key frames: cached as they come, and generated once for equal frames."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.errors import CallError, VideoError, VideoMinerError
from lmms_videominer.search.questions import answerable, named
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Selection, Usage
from lmms_videominer.video import video_identity
from lmms_videominer.video.parts import fitting
from lmms_videominer.video.pixels import read_key_frames
from lmms_videominer.vlm.prompts import answer_prompt
from lmms_videominer.vlm.replies import replies
from lmms_videominer.vlm.vlm import VLM, VLMRequest

KIND = "answer"  # kind of the cache entries
ANSWER_TOKENS = 128  # enough for a letter, or for the few sentences that an open question may need
ANSWERS_AT_ONCE = 64


def answer_selections(
    selections: Sequence[Selection], vlm: VLM, cache: Cache, backend: str = "auto"
) -> list[Selection | VideoMinerError]:
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
        error if its video can no longer be read, or the video LLM fails on it. An answer that is empty even when asked
        for again is not kept; the selection names it among its fallbacks, ``"answer_missing"``.

    Raises:
        ModelError: The video LLM no longer replies at all.
    """
    keys = _keys(selections, vlm, cache)
    first: dict[str, Selection] = {}
    for key, selection in zip(keys, selections, strict=True):
        if isinstance(key, str):
            first.setdefault(key, selection)
    entries = zip(first, cache.get_many(KIND, list(first)))
    known = {key: text for key, text in entries if isinstance(text, str) and text}
    generated: dict[str, _Generated | VideoMinerError] = {}
    missing = [key for key in first if key not in known]
    for keys_at_once in fitting(missing, lambda key: first[key].frame_bytes, most=ANSWERS_AT_ONCE):
        for part in _generate({key: first[key] for key in keys_at_once}, vlm, backend):
            texts = {key: answer.text for key, answer in part.items() if isinstance(answer, _Generated)}
            cache.put_many(KIND, {key: text for key, text in texts.items() if text})
            generated.update(part)
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
        video, prompt = videos[path], _prompt(selection)
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


def _generate(
    selections: dict[str, Selection], vlm: VLM, backend: str
) -> Iterator[dict[str, _Generated | VideoMinerError]]:
    """Answers by key, as they come; an error instead of one if its frames cannot be read or the video LLM fails."""
    started = time.perf_counter()
    frames = dict(zip(selections, read_key_frames(list(selections.values()), backend), strict=True))
    frames_s = (time.perf_counter() - started) / len(selections)
    yield {key: pixels for key, pixels in frames.items() if isinstance(pixels, VideoError)}
    requests = {
        key: _request(selections[key], pixels) for key, pixels in frames.items() if not isinstance(pixels, VideoError)
    }
    keys = list(requests)
    started = time.perf_counter()
    for part in replies(vlm, list(requests.values())):
        now = time.perf_counter()
        seconds = {"frames": frames_s, "answer": (now - started) / len(part)}
        started = now
        yield {
            keys[i]: named(selections[keys[i]].question, reply)
            if isinstance(reply, CallError)
            else _Generated(reply, seconds)
            for i, reply in part.items()
        }


def _prompt(selection: Selection) -> str:
    question = answerable(selection.question)
    return answer_prompt(question.text, question.options)


def _request(selection: Selection, frames: np.ndarray | None) -> VLMRequest:
    return VLMRequest(
        prompt=_prompt(selection),
        frames=frames,
        max_new_tokens=ANSWER_TOKENS,
        frame_times_s=tuple(frame.time_s for frame in selection.key_frames),
    )


def _answered(selection: Selection, answer: _Generated | VideoMinerError, pays: bool) -> Selection | VideoMinerError:
    """``selection`` with its answer; if it ``pays``, the cost of the answer is added to its usage."""
    if isinstance(answer, VideoMinerError):
        return answer
    fallbacks = selection.fallbacks if answer.text else (*selection.fallbacks, "answer_missing")
    answered = dataclasses.replace(selection, answer=answer.text, fallbacks=fallbacks)
    if not pays:
        return answered
    cost = Usage(answer_calls=1, frames_decoded=len(selection.key_frames), seconds=answer.seconds)
    return dataclasses.replace(answered, usage=selection.usage + cost)
