"""The video LLM as a language model, text only: what serves when no policy model is given."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.seeded_sampling import seeded
from lmms_videominer.vlm.vlm import VLM, VLMRequest


@dataclass(frozen=True)
class TextOnlyVLM:
    """Asks the video LLM without frames.

    Completions carry no token ids. A video LLM takes no seeds: where it runs in this process, torch's
    global generators are seeded from all seeds of the call, so that the same call repeats, but a
    sample depends on the whole batch, unlike a ``CausalLM``'s. What another process or a service
    samples is not seeded.
    """

    vlm: VLM
    max_new_tokens: int = 160

    @property
    def identity(self) -> str:
        return f"vlm:{self.vlm.identity}:{self.max_new_tokens}"

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion a prompt, in order; see ``LanguageModel.complete``."""
        requests = [
            VLMRequest(prompt, max_new_tokens=self.max_new_tokens, temperature=temperature) for prompt in prompts
        ]
        if not requests:
            return []
        with seeded(zlib.crc32(repr(list(seeds)).encode())):
            return [Completion(text) for text in self.vlm.generate(requests)]
