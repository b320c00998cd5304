"""The lmms-eval backbone as a ``VLM``, so that the code above ``VLM`` is the same with and without lmms-eval."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from lmms_videominer.errors import CallError
from lmms_videominer.lmms.driver import Driver, Handed, text_of
from lmms_videominer.lmms.handover import clip_folder, hand_over
from lmms_videominer.lmms.profiles import Profile
from lmms_videominer.lmms.requests import shown_with
from lmms_videominer.redaction import hidden
from lmms_videominer.video.parts import fitting
from lmms_videominer.vlm.vlm import VLMRequest, alike

CALLS_AT_ONCE = 64
_WIDTHS = ("batch_size_per_gpu", "num_concurrent", "num_cpus")  # where backbones keep how much they do at once
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
        secrets: Among its arguments; a reply that repeats one has ``***`` instead, also in the cache.
        knows_world_only: Whether it is the bundled video LLM, see ``models.drawn_films``.
    """

    def __init__(self, driver: Driver, identity: str, secrets: Collection[str] = (), *, knows_world_only: bool = False):
        self.driver, self.identity, self.secrets = driver, identity, secrets
        self.knows_world_only = knows_world_only

    @property
    def at_once(self) -> int:
        """How many requests the backbone serves at once: its batch size, or its connections to a service."""
        widths = [getattr(self.driver.backbone, name, 1) for name in _WIDTHS]
        return max(1, *(width for width in widths if isinstance(width, int)))

    def generate(self, requests: Sequence[VLMRequest]) -> list[str | CallError]:
        """One completion per request, in order, stripped; see ``VLM.generate``.

        An error stands in place of a reply that the backbone, a service, did not give, or whose frames it could not
        load.
        """
        replies: dict[int, str | CallError] = {}
        for part in self.parts(requests):
            replies.update(zip(part, self._call([requests[i] for i in part]), strict=True))
        return [replies[i] for i in range(len(requests))]

    def parts(self, requests: Sequence[VLMRequest]) -> list[list[int]]:
        """The requests of each call of the backbone, which may batch them or run them side by side."""
        return [
            part
            for members in alike(requests)
            for part in fitting(members, lambda i: _clip_bytes(requests[i], self.driver.profile), most=CALLS_AT_ONCE)
        ]

    def _call(self, requests: Sequence[VLMRequest]) -> list[str | CallError]:
        with clip_folder(self.driver.profile) as clips:
            inputs = []
            for number, request in enumerate(requests):
                clip = hand_over(request.frames, clips, self.driver.is_simple, request.frame_times_s)
                video = clip.video if clip else None
                visuals = shown_with(request.prompt, video, self.driver.is_simple)
                inputs.append(Handed(request.prompt, _settings(request), visuals, number))
            with self.driver.limiting(requests[0].max_new_tokens):
                outputs = self.driver.generate(inputs, TASK, SPLIT, clip.wanted if clip else 0, clips.times_s)
        if len(outputs) != len(requests):  # some backbones add an empty output for a video that they cannot read
            raise CallError(f"the backbone gave {len(outputs)} replies to {len(requests)} requests")
        return [_checked(text_of(output), self.secrets) for output in outputs]


def _clip_bytes(request: VLMRequest, profile: Profile) -> int:
    return 0 if request.frames is None else request.frames.nbytes * profile.repeat


def is_failure(text: str) -> bool:
    """Whether the output is not an answer but a text that some backbones of lmms-eval return on failure."""
    return bool(_FAILED.fullmatch(text.strip()))


def _checked(text: str, secrets: Collection[str]) -> str | CallError:
    """``text`` without ``secrets``, stripped; an error for a failure text, which is no reply."""
    text = hidden(text, secrets)
    return CallError(f"the backbone gave no reply: {text.strip()}") if is_failure(text) else text.strip()


def _settings(request: VLMRequest) -> dict[str, Any]:
    return {
        "max_new_tokens": request.max_new_tokens,
        "temperature": request.temperature,
        "do_sample": request.temperature > 0,
        "until": list(STOPS),
    }
