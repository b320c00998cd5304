"""Greedy completions kept on disk: a question asked again, or a run that goes on, asks for new ones only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms_videominer.policy.language_model import Completion, LanguageModel
from lmms_videominer.store.cache import Cache

KIND = "completion"  # of the cache
AT_ONCE = 512  # prompts: what an interruption loses of a long call


@dataclass(frozen=True)
class CachedLanguageModel:
    """``model`` with its greedy completions in ``cache``, by its identity and the prompt.

    Samples are never kept, nor what a model without an identity says.
    """

    model: LanguageModel
    cache: Cache

    @property
    def identity(self) -> str:
        return self.model.identity

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion a prompt, in order, see ``LanguageModel.complete``; ``cached`` where it cost nothing."""
        identity = "" if temperature else self.identity
        if not identity or not prompts:
            return self.model.complete(prompts, temperature, seeds)
        seed_by_prompt = dict(zip(prompts, seeds))  # a greedy model reads none: any one of equal prompts will do

        def make(missing: Sequence[str]) -> list[Completion]:
            return self.model.complete(missing, temperature, [seed_by_prompt.get(prompt, 0) for prompt in missing])

        return greedy_completions(prompts, identity, make, self.cache)


def greedy_completions(
    prompts: Sequence[str], identity: str, make: Callable[[Sequence[str]], list[Completion]], cache: Cache
) -> list[Completion]:
    """One completion a prompt, in order: from ``cache``, or made once and kept as it comes.

    Args:
        prompts: What is asked; repeats are made once.
        identity: Of what ``make`` asks.
        make: Completes prompts that the cache lacks, in order, at most ``AT_ONCE`` a call.
        cache: Kept by identity and prompt.
    """
    keys = {prompt: cache.key(policy=identity, prompt=prompt) for prompt in prompts}
    found = dict(zip(keys, cache.get_many(KIND, list(keys.values()))))
    missing = [prompt for prompt in keys if found[prompt] is None]
    made: dict[str, Completion] = {}
    for start in range(0, len(missing), AT_ONCE):
        batch = missing[start : start + AT_ONCE]
        made.update(zip(batch, make(batch), strict=True))
        cache.put_many(KIND, {keys[prompt]: _stored(made[prompt]) for prompt in batch})
    known = {prompt: _restored(stored) for prompt, stored in found.items() if stored is not None}
    known |= {prompt: replace(completion, cached=True) for prompt, completion in made.items()}
    return [made.pop(prompt, known[prompt]) for prompt in prompts]


def _stored(completion: Completion) -> dict[str, Any]:
    return {"text": completion.text, "prompt": completion.prompt_ids, "completion": completion.completion_ids}


def _restored(stored: dict[str, Any]) -> Completion:
    return Completion(stored["text"], tuple(stored["prompt"]), tuple(stored["completion"]), cached=True)


def uncached(model: LanguageModel | None) -> LanguageModel | None:
    """The language model behind its cache."""
    return model.model if isinstance(model, CachedLanguageModel) else model
