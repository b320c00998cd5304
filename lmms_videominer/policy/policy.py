"""The protocol of the policy: prompts in, completions out. Parsing is apart, in ``parser``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class PolicyCompletion:
    """One completion of the policy.

    Attributes:
        text: The completion, without special tokens, stripped.
        prompt_ids: Tokens that the model saw, chat template included, padding left out.
        completion_ids: Tokens that it made, the end-of-sequence token included where it made one,
            padding left out. Both are empty for a policy without token access.
        cached: Found in the cache, or a repeat of another one of its call: it cost nothing.
    """

    text: str
    prompt_ids: tuple[int, ...] = ()
    completion_ids: tuple[int, ...] = ()
    cached: bool = False


class Policy(Protocol):
    """Decides about nodes, in batches."""

    @property
    def identity(self) -> str:
        """Changes with whatever decides a greedy completion beside the prompt; empty: nothing is kept.

        That is the weights, the tokenizer with its chat template, and the most tokens of a completion.
        """
        ...

    def decide(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[PolicyCompletion]:
        """One completion a prompt, in order.

        Args:
            prompts: User turns, without chat template; may be empty.
            temperature: 0 is greedy; above, sampling.
            seeds: One a prompt, in [0, 2**63); a greedy policy does not read them. A prompt's completion
                depends on the prompt, the temperature and its own seed: not on what else is in the batch
                (rounding aside), nor on the state of the global random generators.
        """
        ...
