"""A policy that prompts a language model, and the one function that turns a completion into a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.policy.language_model import Completion, LanguageModel
from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.policy.policy import Decided, Part
from lmms_videominer.types import Action, Decision


@dataclass(frozen=True)
class PromptedPolicy:
    """Asks ``model`` about each part, in the policy's format.

    Attributes:
        model: Completes the prompts.
        default: The action taken if none can be parsed from a completion.
    """

    model: LanguageModel
    default: Action = Action.CONTINUE

    @property
    def identity(self) -> str:
        return self.model.identity

    def decide(self, parts: Sequence[Part], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Decided]:
        """One decision per part, in order; see ``Policy.decide``."""
        completions = self.model.complete([part.prompt for part in parts], temperature, seeds)
        return [read_decision(part, done, self.default) for part, done in zip(parts, completions, strict=True)]


def read_decision(part: Part, completion: Completion, default: Action) -> Decided:
    """The decision about ``part`` in ``completion``; ``default`` if there is none."""
    action, reading = parse_completion(completion.text, default)
    decision = Decision(action, completion.text, reading, part.prompt, completion.prompt_ids, completion.completion_ids)
    return Decided(decision, completion.usage)
