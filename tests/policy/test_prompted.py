"""A policy whose replies name no action."""

from __future__ import annotations

import pytest

from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompted import PromptedPolicy
from lmms_videominer.types import Action, Reading

ONE_WORD = "Reply with one word: accept, continue or delete."
PARTS = [Part("Where is the cat?", caption, 1, 3) for caption in ("a cat", "a dog", "fog")]


class Rambling:
    """Thinks too long about what is no cat, and answers in a word if it is asked for one, except about fog."""

    identity = "rambling"

    def __init__(self):
        self.calls = []

    def complete(self, prompts, temperature, seeds):
        self.calls.append((list(prompts), temperature, list(seeds)))
        return [Completion(self.reply(prompt), (1,) * 10, (2,) * 5) for prompt in prompts]

    def reply(self, prompt):
        if "\na cat" in prompt:
            return "<think>a cat</think><action>accept</action>"
        if prompt.endswith(ONE_WORD) and "fog" not in prompt:
            return "Continue."
        return "<think>It is hard to say"


def test_what_cannot_be_read_is_asked_once_more_and_only_that():
    model = Rambling()
    decided = PromptedPolicy(model, Action.DELETE, asks_again=True).decide(PARTS, 0.5, [7, 8, 9])
    assert [made.decision.action.value for made in decided] == ["accept", "continue", "delete"]
    assert [made.decision.reading for made in decided] == [Reading.STRICT, Reading.LENIENT, Reading.DEFAULT]
    assert [made.usage.policy_calls for made in decided] == [1, 2, 2]
    assert [made.usage.completion_tokens for made in decided] == [5, 10, 10]
    assert [made.usage.decisions_unread for made in decided] == [0, 0, 1]
    [(_, *first), (prompts, *second)] = model.calls
    assert first == [0.5, [7, 8, 9]] and second == [0.5, [8, 9]]
    assert all(
        part.prompt in prompt and "hard to say" in prompt for part, prompt in zip(PARTS[1:], prompts, strict=True)
    )
    assert decided[1].decision.prompt == prompts[0] and decided[1].decision.text == "Continue."


@pytest.mark.parametrize("default", list(Action))
def test_without_it_the_default_is_taken_at_once_and_counted(default):
    model = Rambling()
    decided = PromptedPolicy(model, default).decide(PARTS, 0.0, [7, 8, 9])
    assert [made.decision.action for made in decided] == [Action.ACCEPT, default, default]
    assert [made.usage.decisions_unread for made in decided] == [0, 1, 1]
    assert len(model.calls) == 1


def test_nothing_is_asked_again_where_all_is_read():
    model = Rambling()
    PromptedPolicy(model, Action.DELETE, asks_again=True).decide(PARTS[:1])
    assert len(model.calls) == 1
