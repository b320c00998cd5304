"""Caches greedy completions on disk, so that repeated questions and resumed runs generate only new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms_videominer.errors import CallError
from lmms_videominer.policy.language_model import Completion, LanguageModel, StreamingLanguageModel
from lmms_videominer.store.cache import Cache

KIND = "completion"  # kind of the cache entries
AT_ONCE = 512  # prompts of one call: the most that an interruption loses of a model that does not stream


@dataclass(frozen=True)
class CachedLanguageModel:
    """``model`` with its greedy completions in ``cache``, by its identity and the prompt.

    Samples are never cached, nor are completions of a model without an identity, nor empty ones.
    """

    model: LanguageModel
    cache: Cache

    @property
    def identity(self) -> str:
        return self.model.identity

    @property
    def at_once(self) -> int:
        """How many prompts it serves at once."""
        return getattr(self.model, "at_once", 1)

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion per prompt, in order, see ``LanguageModel.complete``; ``cached`` is set if it cost nothing.

        Raises:
            CallError: A service did not give one of them; the others are in the cache.
        """
        identity = "" if temperature else self.identity
        if not identity or not prompts:
            return _come(self.model.complete(prompts, temperature, seeds))
        seed_by_prompt = dict(zip(prompts, seeds))  # a greedy model ignores seeds, so any seed of equal prompts will do

        def make(missing: Sequence[str]) -> Iterator[dict[int, Completion]]:
            asked = (missing, temperature, [seed_by_prompt.get(prompt, 0) for prompt in missing])
            if isinstance(self.model, StreamingLanguageModel):
                return self.model.stream(*asked)
            return iter([dict(enumerate(self.model.complete(*asked)))])

        return _come(greedy_completions(prompts, identity, make, self.cache))


def _come(completions: list[Completion]) -> list[Completion]:
    """``completions``, all of which must have come."""
    fault = next((completion.fault for completion in completions if completion.fault), None)
    if fault:
        raise CallError(str(fault)) from fault
    return completions


def greedy_completions(
    prompts: Sequence[str],
    identity: str,
    make: Callable[[Sequence[str]], Iterator[dict[int, Completion]]],
    cache: Cache,
) -> list[Completion]:
    """One completion per prompt, in order: from ``cache``, or generated once and cached as it comes.

    Args:
        prompts: The prompts; equal ones are completed once.
        identity: Identity of the model behind ``make``.
        make: Completes the prompts that are not in the cache, at most ``AT_ONCE`` per call: completions by position,
            part by part.
        cache: Stores completions by identity and prompt.
    """
    keys = {prompt: cache.key(policy=identity, prompt=prompt) for prompt in prompts}
    entries = dict(zip(keys, cache.get_many(KIND, list(keys.values()))))
    missing = [prompt for prompt in keys if entries[prompt] is None]
    new: dict[str, Completion] = {}
    for start in range(0, len(missing), AT_ONCE):
        batch = missing[start : start + AT_ONCE]
        for part in make(batch):
            came = {batch[i]: completion for i, completion in part.items()}
            cache.put_many(KIND, {keys[prompt]: _stored(done) for prompt, done in came.items() if done.text})
            new.update(came)
    known = {prompt: _restored(stored) for prompt, stored in entries.items() if stored is not None}
    known |= {prompt: replace(completion, cached=True) for prompt, completion in new.items()}
    return [new.pop(prompt, known[prompt]) for prompt in prompts]


def _stored(completion: Completion) -> dict[str, Any]:
    return {"text": completion.text, "prompt": completion.prompt_ids, "completion": completion.completion_ids}


def _restored(stored: dict[str, Any]) -> Completion:
    return Completion(stored["text"], tuple(stored["prompt"]), tuple(stored["completion"]), cached=True)


def uncached(model: LanguageModel | None) -> LanguageModel | None:
    """The language model without its cache."""
    return model.model if isinstance(model, CachedLanguageModel) else model
