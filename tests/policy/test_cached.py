"""Completions kept: what is asked again, who is asked for what is new, and what is never kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.policy import cached
from lmms_videominer.policy.cached import CachedLanguageModel
from lmms_videominer.policy.language_model import Completion
from lmms_videominer.store.cache import MemoryCache, open_cache
from lmms_videominer.types import Usage


@dataclass
class Echo:
    """Completes a prompt by itself, with its seed where it samples."""

    identity: str = "echo"
    asked: list[str] = field(default_factory=list)
    breaks_at: int = 10**9

    def complete(self, prompts, temperature, seeds):
        if len(self.asked) + len(prompts) > self.breaks_at:
            raise KeyboardInterrupt
        self.asked += prompts
        drawn = seeds if temperature else [0] * len(prompts)
        return [Completion(f"{prompt} {seed}", (1, 2), (len(prompt), 5)) for prompt, seed in zip(prompts, drawn)]


@given(st.lists(st.lists(st.sampled_from("abcdef")), max_size=4))
def test_calls_give_what_the_policy_gives_and_ask_it_for_each_prompt_once(calls):
    policy, cache = Echo(), MemoryCache()
    for prompts in calls:
        seeds = list(range(len(prompts)))
        told = CachedLanguageModel(policy, cache).complete(prompts, 0.0, seeds)
        assert [replace(completion, cached=False) for completion in told] == Echo().complete(prompts, 0.0, seeds)
    assert policy.asked == list(dict.fromkeys(prompt for prompts in calls for prompt in prompts))


def test_another_process_finds_them_on_disk_and_they_cost_nothing(tmp_path):
    CachedLanguageModel(Echo(), open_cache(str(tmp_path))).complete(["a", "b"], 0.0, [1, 2])
    policy = Echo()
    completions = CachedLanguageModel(policy, open_cache(str(tmp_path))).complete(["b", "c", "c"], 0.0, [3, 4, 5])
    usage = sum((completion.usage for completion in completions), Usage())
    assert policy.asked == ["c"]
    assert (usage.policy_calls, usage.policy_calls_cached) == (1, 2)
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 2)


@pytest.mark.parametrize(("identity", "temperature"), [("echo", 0.7), ("", 0.0)])
def test_samples_and_what_a_nameless_policy_says_are_not_kept(identity, temperature):
    policy = CachedLanguageModel(Echo(identity), MemoryCache())
    first, second = (policy.complete(["a", "a"], temperature, seeds) for seeds in ([1, 2], [3, 4]))
    assert policy.model.asked == ["a"] * 4 and not any(completion.cached for completion in (*first, *second))
    assert bool(temperature) == (first != second)


def test_another_policy_is_asked_for_itself():
    cache, other = MemoryCache(), Echo("another")
    CachedLanguageModel(Echo(), cache).complete(["a"], 0.0, [0])
    CachedLanguageModel(other, cache).complete(["a"], 0.0, [0])
    assert other.asked == ["a"]


def test_a_long_call_that_is_interrupted_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(cached, "AT_ONCE", 2)
    cache, prompts, seeds = MemoryCache(), list("abcde"), [0] * 5
    with pytest.raises(KeyboardInterrupt):
        CachedLanguageModel(Echo(breaks_at=4), cache).complete(prompts, 0.0, seeds)
    policy = Echo()
    assert [c.text[0] for c in CachedLanguageModel(policy, cache).complete(prompts, 0.0, seeds)] == prompts
    assert policy.asked == ["e"]
