"""The protocol of language models: prompts in, completions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lmms_videominer.types import Usage


@dataclass(frozen=True)
class Completion:
    """One completion of a language model.

    Attributes:
        text: The completion, without special tokens, stripped.
        prompt_ids: Tokens that the model saw, chat template included, padding left out.
        completion_ids: Tokens that it made, the end-of-sequence token included where it made one,
            padding left out. Both are empty for a model without token access.
        cached: Found in the cache, or a repeat of another one of its call: it cost nothing.
    """

    text: str
    prompt_ids: tuple[int, ...] = ()
    completion_ids: tuple[int, ...] = ()
    cached: bool = False

    @property
    def usage(self) -> Usage:
        """What it cost."""
        if self.cached:
            return Usage(policy_calls_cached=1)
        return Usage(policy_calls=1, prompt_tokens=len(self.prompt_ids), completion_tokens=len(self.completion_ids))


@runtime_checkable
class LanguageModel(Protocol):
    """Completes prompts, in batches."""

    @property
    def identity(self) -> str:
        """Changes with whatever decides a greedy completion beside the prompt; empty: nothing is kept.

        That is the weights, the tokenizer with its chat template, and the most tokens of a completion.
        """
        ...

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        """One completion a prompt, in order.

        Args:
            prompts: User turns, without chat template; may be empty.
            temperature: 0 is greedy; above, sampling.
            seeds: One a prompt, in [0, 2**63); a greedy model does not read them. A prompt's completion
                depends on the prompt, the temperature and its own seed: not on what else is in the batch
                (rounding aside), nor on the state of the global random generators.
        """
        ...
