"""The protocol of the video LLM. It is never trained. It captions events, answers, and may act as the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


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

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        """One completion per request, in order, stripped."""
        ...
