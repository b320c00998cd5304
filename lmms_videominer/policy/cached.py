"""Caches greedy completions on disk, so that repeated questions and resumed runs generate only new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms_videominer.policy.language_model import Completion, LanguageModel
from lmms_videominer.store.cache import Cache

KIND = "completion"  # kind of the cache entries
AT_ONCE = 512  # prompts between two writes: the most that an interruption loses


@dataclass(frozen=True)
class CachedLanguageModel:
    """``model`` with its greedy completions in ``cache``, by its identity and the prompt.

    Samples are never cached, nor are completions of a model without an identity.
    """

    model: LanguageModel
    cache: Cache

    @property
    def identity(self) -> str:
        return self.model.identity

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion per prompt, in order, see ``LanguageModel.complete``; ``cached`` is set if it cost nothing."""
        identity = "" if temperature else self.identity
        if not identity or not prompts:
            return self.model.complete(prompts, temperature, seeds)
        seed_by_prompt = dict(zip(prompts, seeds))  # a greedy model ignores seeds, so any seed of equal prompts will do

        def make(missing: Sequence[str]) -> list[Completion]:
            return self.model.complete(missing, temperature, [seed_by_prompt.get(prompt, 0) for prompt in missing])

        return greedy_completions(prompts, identity, make, self.cache)


def greedy_completions(
    prompts: Sequence[str], identity: str, make: Callable[[Sequence[str]], list[Completion]], cache: Cache
) -> list[Completion]:
    """One completion per prompt, in order: from ``cache``, or generated once and cached at once.

    Args:
        prompts: The prompts; equal ones are completed once.
        identity: Identity of the model behind ``make``.
        make: Completes the prompts that are not in the cache, in order, at most ``AT_ONCE`` per call.
        cache: Stores completions by identity and prompt.
    """
    keys = {prompt: cache.key(policy=identity, prompt=prompt) for prompt in prompts}
    entries = dict(zip(keys, cache.get_many(KIND, list(keys.values()))))
    missing = [prompt for prompt in keys if entries[prompt] is None]
    new: dict[str, Completion] = {}
    for start in range(0, len(missing), AT_ONCE):
        batch = missing[start : start + AT_ONCE]
        new.update(zip(batch, make(batch), strict=True))
        cache.put_many(KIND, {keys[prompt]: _stored(new[prompt]) for prompt in batch})
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
