"""The lmms-eval backbone as a ``VLM``, so that the code above ``VLM`` is the same with and without lmms-eval."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lmms_videominer.errors import ModelError
from lmms_videominer.lmms.driver import Driver, Handed, text_of
from lmms_videominer.lmms.handover import clip_folder, hand_over
from lmms_videominer.lmms.profiles import Profile
from lmms_videominer.lmms.requests import shown_with
from lmms_videominer.video.parts import fitting
from lmms_videominer.vlm.vlm import VLMRequest

CALLS_AT_ONCE = 64
TASK, SPLIT = "videominer", "search"  # task and split for requests that do not come from a task
# what lmms-eval's backbones return instead of an answer: those behind an API; LLaVA-Video and Oryx
_FAILED = re.compile(r"\[LMMS_EVAL_.*|Video .* can not load, check the source", re.DOTALL)
# Backbones cut an answer at these; without any, some cut at an empty line.
STOPS = ["<|im_end|>", "<|endoftext|>"]


class BackboneVLM:
    """``VLM`` on top of a backbone of lmms-eval.

    Attributes:
        driver: Calls the backbone.
        identity: Identifies its weights and its processing.
    """

    def __init__(self, driver: Driver, identity: str):
        self.driver, self.identity = driver, identity

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        """One completion per request, in order, stripped; see ``VLM.generate``.

        Raises:
            ModelError: The backbone is a service that did not answer, or it could not load the frames.
        """
        texts: list[str] = [""] * len(requests)
        for members in _alike(requests).values():
            for part in fitting(members, lambda i: _clip_bytes(requests[i], self.driver.profile), most=CALLS_AT_ONCE):
                for i, text in zip(part, self._call([requests[i] for i in part]), strict=True):
                    texts[i] = text
        return texts

    def _call(self, requests: Sequence[VLMRequest]) -> list[str]:
        with clip_folder(self.driver.profile) as clips:
            inputs = []
            for number, request in enumerate(requests):
                clip = hand_over(request.frames, clips, self.driver.is_simple, request.frame_times_s)
                video = clip.video if clip else None
                visuals = shown_with(request.prompt, video, self.driver.is_simple)
                inputs.append(Handed(request.prompt, _settings(request), visuals, number))
            with self.driver.limiting(requests[0].max_new_tokens):
                outputs = self.driver.generate(inputs, TASK, SPLIT, clip.wanted if clip else 0, clips.times_s)
        return [_checked(text_of(output)) for output in outputs]


def _clip_bytes(request: VLMRequest, profile: Profile) -> int:
    return 0 if request.frames is None else request.frames.nbytes * profile.repeat


def is_failure(text: str) -> bool:
    """Whether the output is not an answer but a text that some backbones of lmms-eval return on failure."""
    return bool(_FAILED.fullmatch(text.strip()))


def _checked(text: str) -> str:
    """``text``, stripped. Raises ``ModelError`` for a failure text, which must not be cached as a caption."""
    if is_failure(text):
        raise ModelError(
            f"the backbone gave no answer: {text}. The captions so far are in the cache: run again "
            "when the service answers, or once the cause is fixed"
        )
    return text.strip()


def _settings(request: VLMRequest) -> dict[str, Any]:
    return {
        "max_new_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "do_sample": request.temperature > 0,
        "until": list(STOPS),
    }


def _alike(requests: Sequence[VLMRequest]) -> dict[tuple, list[int]]:
    """Indices of requests that may share a call: those with the same frame count and the same settings."""
    groups: dict[tuple, list[int]] = {}
    for i, request in enumerate(requests):
        count = 0 if request.frames is None else len(request.frames)
        groups.setdefault((count, request.max_new_tokens, request.temperature), []).append(i)
    return groups
