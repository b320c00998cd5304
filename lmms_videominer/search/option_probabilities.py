"""How probable a video LLM holds each option from the key frames: cached, and asked once for equal frames."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lmms_videominer.errors import CallError, ModelError, VideoError, VideoMinerError
from lmms_videominer.models.calls import computed
from lmms_videominer.search.answers import prompt_of, request_of
from lmms_videominer.search.questions import answerable, named
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Question, Selection
from lmms_videominer.verdict import option_letter
from lmms_videominer.video import video_identity
from lmms_videominer.video.parts import fitting
from lmms_videominer.video.pixels import Pixels, read_pixels
from lmms_videominer.vlm.vlm import ScoringVLM

KIND = "option_probabilities"  # kind of the cache entries


def option_probabilities(
    selections: Sequence[Selection], vlm: ScoringVLM, cache: Cache, backend: str = "auto"
) -> list[tuple[float, ...] | VideoMinerError]:
    """The probability of each option of each question, given that one of them is the answer.

    An option is as probable as the replies that name it, which are its letter and its text: their probabilities are
    added, and divided by those of all options. The whole reply counts (the sum of the log-probabilities of its tokens
    and its end, not their mean), so this is what the video LLM would answer at temperature 1, if it named an option.

    Args:
        selections: Questions with options, and their key frames.
        vlm: The video LLM that answers.
        cache: Stores the probabilities by video, video LLM, prompt and frames.
        backend: Video backend.

    Returns:
        One entry per selection, in order: probabilities that sum to 1, or the error if the video can no longer be read,
        or the video LLM fails on it.
    """
    keys = [_key(selection, vlm, cache) for selection in selections]
    first: dict[str, Selection] = {}
    for key, selection in zip(keys, selections, strict=True):
        if isinstance(key, str):
            first.setdefault(key, selection)
    found: dict[str, tuple[float, ...] | VideoMinerError] = {
        key: tuple(values)
        for key, values in zip(first, cache.get_many(KIND, list(first)))
        if values is not None and len(values) == len(first[key].question.options)
    }
    missing = [key for key in first if key not in found]
    for part in fitting(missing, lambda key: first[key].frame_bytes):
        pixels = read_pixels([first[key] for key in part], backend)
        for key, read in zip(part, pixels, strict=True):
            found[key] = read if isinstance(read, VideoError) else _asked(first[key], read, vlm)
        cache.put_many(KIND, {key: list(made) for key in part if isinstance(made := found[key], tuple)})
    return [key if isinstance(key, VideoError) else found[key] for key in keys]


def _key(selection: Selection, vlm: ScoringVLM, cache: Cache) -> str | VideoError:
    try:
        video = selection.video.identity or video_identity(selection.question.video)
    except VideoError as error:
        return error
    frames = [frame.frame_index for frame in selection.key_frames]
    return cache.key(
        video=video,
        vlm=vlm.identity,
        prompt=prompt_of(selection),
        replies=_replies(selection.question),
        frames=frames,
    )


def _replies(question: Question) -> list[tuple[str, str]]:
    """The replies that name each option."""
    return [(option_letter(i), option.strip()) for i, option in enumerate(answerable(question).options)]


def _asked(selection: Selection, pixels: Pixels | None, vlm: ScoringVLM) -> tuple[float, ...] | VideoMinerError:
    request = request_of(selection, pixels)
    replies = [text for pair in _replies(selection.question) for text in pair]
    try:
        logprobs = computed("video LLM", vlm.reply_logprobs, (len(replies),), request, replies)
        best = float(logprobs.max())
        if not math.isfinite(best):  # NaN among them, infinity, or all of them impossible
            raise CallError(f"the video LLM gives the options no probabilities: {best} is the highest log-probability")
    except ModelError as error:
        return named(selection.question, error)
    options = [math.exp(logprobs[i] - best) + math.exp(logprobs[i + 1] - best) for i in range(0, len(replies), 2)]
    return tuple(option / sum(options) for option in options)
