"""The video LLM as a language model, text only: used if no policy model is given."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.seeded_sampling import seeded
from lmms_videominer.vlm.vlm import VLM, VLMRequest


@dataclass(frozen=True)
class TextOnlyVLM:
    """Prompts the video LLM without frames.

    Completions have no token ids. A video LLM takes no seeds: torch's global generators are seeded from all
    seeds of the call, so that in this process an equal call gives equal samples. Unlike with ``CausalLM``, a
    sample depends on the whole batch. Samples of another process or a service are not seeded.
    """

    vlm: VLM
    max_new_tokens: int = 160

    @property
    def identity(self) -> str:
        return f"vlm:{self.vlm.identity}:{self.max_new_tokens}"

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion per prompt, in order; see ``LanguageModel.complete``."""
        requests = [
            VLMRequest(prompt, max_new_tokens=self.max_new_tokens, temperature=temperature) for prompt in prompts
        ]
        if not requests:
            return []
        with seeded(zlib.crc32(repr(list(seeds)).encode())):
            return [Completion(text) for text in self.vlm.generate(requests)]
