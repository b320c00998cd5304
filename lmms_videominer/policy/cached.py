"""A policy whose greedy completions are kept: a question asked again, or a run that goes on, asks for new ones only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmms_videominer.policy.policy import Policy, PolicyCompletion
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import Usage

KIND = "completion"  # of the cache
AT_ONCE = 512  # prompts: what an interruption loses of a long call


@dataclass(frozen=True)
class CachedPolicy:
    """``policy`` with its greedy completions in ``cache``, by its identity and the prompt.

    Samples are never kept, nor what a policy without an identity says.
    """

    policy: Policy
    cache: Cache

    @property
    def identity(self) -> str:
        return self.policy.identity

    def decide(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[PolicyCompletion]:
        """One completion a prompt, in order, see ``Policy.decide``; ``cached`` where it was found or is a repeat."""
        identity = "" if temperature else self.identity
        if not identity or not prompts:
            return self.policy.decide(prompts, temperature, seeds)
        seed_by_prompt = dict(zip(prompts, seeds))  # a greedy policy reads none: any one of equal prompts will do
        keys = {prompt: self.cache.key(policy=identity, prompt=prompt) for prompt in seed_by_prompt}
        found = dict(zip(keys, self.cache.get_many(KIND, list(keys.values()))))
        missing = [prompt for prompt in keys if found[prompt] is None]
        made: dict[str, PolicyCompletion] = {}
        for start in range(0, len(missing), AT_ONCE):
            part = missing[start : start + AT_ONCE]
            completions = self.policy.decide(part, temperature, [seed_by_prompt[prompt] for prompt in part])
            made.update(zip(part, completions, strict=True))
            self.cache.put_many(KIND, {keys[prompt]: _stored(made[prompt]) for prompt in part})
        known = {prompt: _restored(stored) for prompt, stored in found.items() if stored is not None}
        known |= {prompt: replace(completion, cached=True) for prompt, completion in made.items()}
        return [made.pop(prompt, known[prompt]) for prompt in prompts]


def count_completion(usage: Usage, completion: PolicyCompletion) -> None:
    """Add what ``completion`` cost to ``usage``."""
    if completion.cached:
        usage.policy_calls_cached += 1
        return
    usage.policy_calls += 1
    usage.prompt_tokens += len(completion.prompt_ids)
    usage.completion_tokens += len(completion.completion_ids)


def _stored(completion: PolicyCompletion) -> dict[str, Any]:
    return {"text": completion.text, "prompt": completion.prompt_ids, "completion": completion.completion_ids}


def _restored(stored: dict[str, Any]) -> PolicyCompletion:
    return PolicyCompletion(stored["text"], tuple(stored["prompt"]), tuple(stored["completion"]), cached=True)
