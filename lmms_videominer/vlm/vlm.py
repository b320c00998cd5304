"""The protocol of the video LLM. It is never trained. It captions events, answers, and may act as the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from lmms_videominer.errors import CallError


@dataclass(frozen=True)
class VLMRequest:
    """One call of the video LLM.

    Attributes:
        prompt: The user's turn, without the chat template.
        frames: uint8 [T, H, W, 3] RGB in temporal order, or ``None`` for text only.
        max_new_tokens: Maximum number of tokens to generate.
        frame_times_s: Time of each frame in the video, in seconds; empty if unknown.
        temperature: 0 is greedy.
    """

    prompt: str
    frames: np.ndarray | None = None
    max_new_tokens: int = 96
    frame_times_s: tuple[float, ...] = ()
    temperature: float = 0.0


class VLM(Protocol):
    """Generates text from frames and a prompt, in batches."""

    @property
    def identity(self) -> str:
        """Hash or name that changes whenever the weights or the processing change; part of cache keys."""
        ...

    def generate(self, requests: Sequence[VLMRequest]) -> Sequence[str | CallError]:
        """One completion per request, in order, stripped; the error in place of one that a service did not give."""
        ...


@runtime_checkable
class PartedVLM(VLM, Protocol):
    """A video LLM that says which requests it serves together; others get ``replies.AT_ONCE`` at once."""

    def parts(self, requests: Sequence[VLMRequest]) -> list[list[int]]:
        """The positions of ``requests`` in parts, in the order in which ``generate`` would serve them.

        Of the frames of ``requests``, only the shape counts: they may be read later. ``generate`` of one part gives
        what ``generate`` of all requests gives for them.
        """
        ...


@runtime_checkable
class ScoringVLM(VLM, Protocol):
    """A video LLM that says how probable given replies are."""

    def reply_logprobs(self, request: VLMRequest, replies: Sequence[str]) -> Sequence[float]:
        """The natural logarithm of the probability of each reply, its end included, at temperature 1."""
        ...


def alike(requests: Sequence[VLMRequest]) -> list[list[int]]:
    """The positions of requests that may share a call: with the same frame count, length and temperature."""
    groups: dict[tuple, list[int]] = {}
    for i, request in enumerate(requests):
        count = 0 if request.frames is None else len(request.frames)
        groups.setdefault((count, request.max_new_tokens, request.temperature), []).append(i)
    return list(groups.values())
