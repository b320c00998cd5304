"""A policy whose replies name no action."""

from __future__ import annotations

from dataclasses import replace

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


class Listing(Rambling):
    """Answers about several parts line by line, but forgets the third."""

    def reply(self, prompt):
        if "Part 1\n" not in prompt:
            return super().reply(prompt)
        return "1. <think>a cat</think><action>accept</action>\n2. <think>a dog</think><action>delete</action>"


def test_one_reply_decides_about_several_parts():
    together = replace(PARTS[0], beside=tuple(PARTS[1:]))
    model = Listing()
    [made] = PromptedPolicy(model, Action.CONTINUE).decide([together], 0.0, [7])
    assert [decision.action.value for decision in made.each] == ["accept", "delete", "continue"]
    assert [decision.reading for decision in made.each] == [Reading.STRICT, Reading.STRICT, Reading.DEFAULT]
    assert made.each[1].text == "<think>a dog</think><action>delete</action>"
    assert made.usage.policy_calls == 1 and made.usage.completion_tokens == 5 and made.usage.decisions_unread == 1
    assert len(model.calls) == 1


def test_of_several_parts_only_the_unread_one_is_asked_again_by_itself():
    together = replace(PARTS[0], beside=(PARTS[2], PARTS[1]))
    model = Listing()
    [made] = PromptedPolicy(model, Action.DELETE, asks_again=True).decide([together], 0.0, [7])
    assert [decision.action.value for decision in made.each] == ["accept", "delete", "continue"]
    assert made.usage.policy_calls == 2 and made.usage.decisions_unread == 0
    [_, ([prompt], _, seeds)] = model.calls
    assert prompt.startswith(PARTS[1].prompt) and "fog" not in prompt and seeds == [7]
