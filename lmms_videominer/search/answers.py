"""Answers of the video LLM from key frames: cached as they come, and generated once for equal frames."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from lmms_videominer.errors import CallError, VideoError, VideoMinerError
from lmms_videominer.search.questions import answerable, named
from lmms_videominer.search.speech import told_lines
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Selection, Usage
from lmms_videominer.verdict import chosen_option
from lmms_videominer.video import video_identity
from lmms_videominer.video.damage import count_substituted
from lmms_videominer.video.parts import fitting
from lmms_videominer.video.pixels import Pixels, read_pixels
from lmms_videominer.vlm.prompts import answer_prompt
from lmms_videominer.vlm.replies import replies
from lmms_videominer.vlm.vlm import VLM, VLMRequest

KIND = "answer"  # kind of the cache entries
UNREAD_ANSWER = "unread_answer"  # the fallback of an answer that names none of the options, or several
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
    videos = _identities(selections)
    keys = _keys(selections, videos, vlm, cache)
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
    results: list[Selection | VideoMinerError] = []
    for key, selection in zip(keys, selections, strict=True):
        made = key if isinstance(key, VideoError) else generated.get(key)
        if isinstance(made, VideoMinerError):
            results.append(made)
            continue
        damaged: Set[int] = made.damaged if made else frozenset()
        used = [frame.frame_index for frame in selection.key_frames]
        lost = count_substituted(used, damaged, str(videos[_shown(selection)]), cache)
        answered = dataclasses.replace(selection, usage=selection.usage + Usage(frames_substituted=lost))
        if made:
            results.append(_answered(answered, made, pays=first[str(key)] is selection))
        else:
            results.append(with_answer(answered, known[str(key)]))
    return results


@dataclass(frozen=True)
class _Generated:
    """A new answer, the seconds that it took, by stage, and the damaged frames that reading its key frames met."""

    text: str
    seconds: dict[str, float]
    damaged: Set[int] = frozenset()


def _shown(selection: Selection) -> str:
    """The video that the answer depends on; empty without frames."""
    return selection.question.video if selection.key_frames else ""


def _identities(selections: Sequence[Selection]) -> dict[str, str | VideoError]:
    """By path, the identity of each video, or the error if it is gone."""
    return {path: _identity(path) if path else "" for path in dict.fromkeys(map(_shown, selections))}


def _keys(
    selections: Sequence[Selection], videos: Mapping[str, str | VideoError], vlm: VLM, cache: Cache
) -> list[str | VideoError]:
    """The cache key of each answer, or the error if the video is gone."""
    keys: list[str | VideoError] = []
    for selection in selections:
        video, prompt = videos[_shown(selection)], prompt_of(selection)
        frames = [frame.frame_index for frame in selection.key_frames]
        mined = selection.video.identity if frames else ""  # the file may have been replaced since
        keys.append(
            video
            if isinstance(video, VideoError)
            else cache.key(video=mined or video, vlm=vlm.identity, prompt=prompt, frames=frames, tokens=ANSWER_TOKENS)
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
    frames = dict(zip(selections, read_pixels(list(selections.values()), backend), strict=True))
    frames_s = (time.perf_counter() - started) / len(selections)
    yield {key: pixels for key, pixels in frames.items() if isinstance(pixels, VideoError)}
    readable = {key: pixels for key, pixels in frames.items() if not isinstance(pixels, VideoError)}
    keys = list(readable)
    started = time.perf_counter()
    for part in replies(vlm, [request_of(selections[key], pixels) for key, pixels in readable.items()]):
        now = time.perf_counter()
        seconds = {"frames": frames_s, "answer": (now - started) / len(part)}
        started = now
        made: dict[str, _Generated | VideoMinerError] = {}
        for i, reply in part.items():
            key, read = keys[i], readable[keys[i]]
            made[key] = (
                named(selections[key].question, reply)
                if isinstance(reply, CallError)
                else _Generated(reply, seconds, read.damaged if read else frozenset())
            )
        yield made


def prompt_of(selection: Selection) -> str:
    """The prompt that asks for the answer to the question of ``selection``."""
    question = answerable(selection.question)
    return answer_prompt(question.text, question.options, told_lines(selection.said))


def request_of(selection: Selection, pixels: Pixels | None) -> VLMRequest:
    """The request for the answer to the question of ``selection`` from the pixels of its key frames."""
    return VLMRequest(
        prompt=prompt_of(selection),
        frames=pixels.frames if pixels else None,
        max_new_tokens=ANSWER_TOKENS,
        frame_times_s=tuple(frame.time_s for frame in selection.key_frames),
    )


def with_answer(selection: Selection, answer: str) -> Selection:
    """``selection`` with ``answer``; fallbacks tell an empty one, and one that names none of the options."""
    options = selection.question.options
    amiss = "answer_missing" if not answer.strip() else ""
    if not amiss and options and chosen_option(answer, options) is None:
        amiss = UNREAD_ANSWER
    fallbacks = (*selection.fallbacks, amiss) if amiss else selection.fallbacks
    return dataclasses.replace(selection, answer=answer, fallbacks=fallbacks)


def _answered(selection: Selection, answer: _Generated, pays: bool) -> Selection:
    """``selection`` with its answer; if it ``pays``, the cost of the answer is added to its usage."""
    answered = with_answer(selection, answer.text)
    if not pays:
        return answered
    cost = Usage(answer_calls=1, frames_decoded=len(selection.key_frames), seconds=answer.seconds)
    return dataclasses.replace(answered, usage=(selection.usage + cost).rounded)
