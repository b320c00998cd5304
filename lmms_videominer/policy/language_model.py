"""The protocol of language models: prompts in, completions out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lmms_videominer.errors import CallError
from lmms_videominer.models.plain_text import legible
from lmms_videominer.types import Usage


@dataclass(frozen=True)
class Completion:
    """One completion of a language model.

    Attributes:
        text: The completion, without special tokens, stripped; legible (``legible``) whatever it is made from.
        prompt_ids: Tokens that the model saw, including the chat template, without padding.
        completion_ids: Tokens that it generated, including the end-of-sequence token if it generated one,
            without padding. Both are empty for a model without token access.
        prompt_tokens, completion_tokens: Their numbers as a service counts them, which gives no ids.
        cached: Whether it cost nothing: it was in the cache, or repeats another one of the same call.
        fault: Why a service did not give it, then without a text; ``None`` if it came.
    """

    text: str
    prompt_ids: tuple[int, ...] = ()
    completion_ids: tuple[int, ...] = ()
    cached: bool = False
    fault: CallError | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", legible(self.text))

    @property
    def usage(self) -> Usage:
        """The cost of the completion."""
        if self.cached:
            return Usage(policy_calls_cached=1)
        return Usage(
            policy_calls=1,
            prompt_tokens=len(self.prompt_ids) or self.prompt_tokens,
            completion_tokens=len(self.completion_ids) or self.completion_tokens,
        )


class LanguageModel(Protocol):
    """Completes prompts, in batches."""

    @property
    def identity(self) -> str:
        """Changes with everything but the prompt that determines a greedy completion; empty: nothing is cached.

        That is the weights, the tokenizer with its chat template, and the maximal length of a completion.
        """
        ...

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        """One completion per prompt, in order.

        Args:
            prompts: User turns, without chat template; may be empty.
            temperature: 0 for greedy decoding; above 0 for sampling.
            seeds: One per prompt, in [0, 2**63); a greedy model ignores them. A completion depends only on its
                prompt, the temperature and its own seed: neither on the rest of the batch (rounding aside)
                nor on the state of the global random generators.
        """
        ...


@runtime_checkable
class StreamingLanguageModel(LanguageModel, Protocol):
    """A language model that gives completions as they come."""

    def stream(
        self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]
    ) -> Iterator[dict[int, Completion]]:
        """The completions of ``complete``, by the position of the prompt, one call of the model after the other."""
        ...


def in_order(parts: Iterable[dict[int, Completion]], count: int) -> list[Completion]:
    """The ``count`` completions of all ``parts`` of a stream, by position."""
    done: dict[int, Completion] = {}
    for part in parts:
        done.update(part)
    return [done[i] for i in range(count)]


def check_seeds(prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> None:
    """Raise ``ValueError`` if samples are wanted and not every prompt has a seed."""
    if temperature and len(seeds) != len(prompts):
        raise ValueError(f"sampling needs one seed per prompt: {len(seeds)} seeds for {len(prompts)} prompts")
