"""A policy that prompts a language model, and the functions that turn a completion or a reply into a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.policy.language_model import Completion, LanguageModel
from lmms_videominer.policy.parser import parse_completion, parse_judged
from lmms_videominer.policy.policy import Decided, Part
from lmms_videominer.policy.prompt import again_prompt
from lmms_videominer.types import Action, Decision, Reading, Usage


@dataclass(frozen=True)
class PromptedPolicy:
    """Asks ``model`` about each part, in the policy's format.

    Attributes:
        model: Completes the prompts.
        default: The action taken if none can be parsed from a completion.
        asks_again: Whether the model is first asked once more, for the action alone.
    """

    model: LanguageModel
    default: Action = Action.CONTINUE
    asks_again: bool = False

    @property
    def identity(self) -> str:
        return self.model.identity

    def decide(self, parts: Sequence[Part], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Decided]:
        """One decision per part, in order; see ``Policy.decide``."""
        completions = self.model.complete([part.prompt for part in parts], temperature, seeds)
        made = [read_decision(part, done, self.default) for part, done in zip(parts, completions, strict=True)]
        unread = [i for i, decided in enumerate(made) if decided.decision.reading is Reading.DEFAULT]
        if self.asks_again and unread:
            prompts = [again_prompt(parts[i].prompt, completions[i].text) for i in unread]
            second = self.model.complete(prompts, temperature, [seeds[i] for i in unread] if seeds else ())
            for i, prompt, done in zip(unread, prompts, second, strict=True):
                again = _read(prompt, done, self.default)
                made[i] = Decided(again.decision, completions[i].usage + again.usage)
        return made


def read_decision(part: Part, completion: Completion, default: Action) -> Decided:
    """The decision about ``part`` in ``completion``; ``default``, which is counted, if there is none."""
    return _read(part.prompt, completion, default)


def read_verdict(prompt: str, reply: str, default: Action) -> tuple[str, Decision]:
    """The caption and the decision in the captioner's ``reply`` to ``judge_prompt``; ``default`` if it names none."""
    caption, action, reading = parse_judged(reply, default)
    return caption, Decision(action, reply, reading, prompt)


def _read(prompt: str, completion: Completion, default: Action) -> Decided:
    action, reading = parse_completion(completion.text, default)
    decision = Decision(action, completion.text, reading, prompt, completion.prompt_ids, completion.completion_ids)
    return Decided(decision, completion.usage + Usage(decisions_unread=int(reading is Reading.DEFAULT)))
