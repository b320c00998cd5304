"""The video LLM as a language model, text only: used if no policy model is given."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmms_videominer.errors import CallError
from lmms_videominer.policy.language_model import Completion, in_order
from lmms_videominer.policy.seeded_sampling import seeded
from lmms_videominer.vlm.replies import replies
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

    @property
    def at_once(self) -> int:
        """How many prompts it serves at once."""
        return getattr(self.vlm, "at_once", 1)

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion per prompt, in order; see ``LanguageModel.complete``."""
        if not prompts:
            return []
        with seeded(zlib.crc32(repr(list(seeds)).encode())):
            return in_order(self.stream(prompts, temperature), len(prompts))

    def stream(
        self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()
    ) -> Iterator[dict[int, Completion]]:
        """Completions as they come, with a fault in place of those that do not; samples only within ``complete``."""
        requests = [
            VLMRequest(prompt, max_new_tokens=self.max_new_tokens, temperature=temperature) for prompt in prompts
        ]
        for part in replies(self.vlm, requests):
            yield {
                i: Completion("", fault=reply) if isinstance(reply, CallError) else Completion(reply)
                for i, reply in part.items()
            }
