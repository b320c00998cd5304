"""A policy that prompts a language model, and the functions that turn a completion or a reply into a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.config import ASK, MinerConfig
from lmms_videominer.policy.language_model import Completion, LanguageModel
from lmms_videominer.policy.parser import parse_completion, parse_judged, split_completion
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

    @property
    def at_once(self) -> int:
        """How many parts it serves at once."""
        return getattr(self.model, "at_once", 1)

    def decide(self, parts: Sequence[Part], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Decided]:
        """One entry per part, in order; see ``Policy.decide``."""
        completions = self.model.complete([part.prompt for part in parts], temperature, seeds)
        made = [read_decision(part, done, self.default) for part, done in zip(parts, completions, strict=True)]
        return self._asked_again(parts, made, temperature, seeds) if self.asks_again else made

    def _asked_again(
        self, parts: Sequence[Part], made: Sequence[Decided], temperature: float, seeds: Sequence[int]
    ) -> list[Decided]:
        """``made``, where the model is asked once more about each part whose action could not be read."""
        unread = [
            (i, k) for i, decided in enumerate(made) for k, decision in enumerate(decided.each) if _is_unread(decision)
        ]
        if not unread:
            return list(made)
        asked = [parts[i].each[k] for i, k in unread]
        prompts = [again_prompt(part.prompt, made[i].each[k].text) for part, (i, k) in zip(asked, unread, strict=True)]
        again = self.model.complete(prompts, temperature, [seeds[i] for i, _ in unread] if seeds else ())
        each = [list(decided.each) for decided in made]
        usage = [decided.usage for decided in made]
        for (i, k), part, prompt, done in zip(unread, asked, prompts, again, strict=True):
            each[i][k] = _read(prompt, done.text, done, self.default, part.reasoning)
            usage[i] += done.usage + Usage(decisions_unread=_is_unread(each[i][k]) - 1)
        return [Decided(first, cost, tuple(others)) for (first, *others), cost in zip(each, usage, strict=True)]


def default_of(config: MinerConfig) -> Action:
    """The action taken where none can be read, with ``default_action=ask`` after the model was asked in vain."""
    return Action.DELETE if config.default_action == ASK else Action(config.default_action)


def read_decision(part: Part, completion: Completion, default: Action) -> Decided:
    """The decisions in ``completion`` about ``part`` and those beside it; ``default``, which is counted, for none."""
    count = len(part.each)
    texts = [completion.text] if count == 1 else split_completion(completion.text, count)
    first, *others = (_read(part.prompt, text, completion, default, part.reasoning) for text in texts)
    usage = completion.usage + Usage(decisions_unread=sum(map(_is_unread, (first, *others))))
    return Decided(first, usage, tuple(others))


def read_verdict(prompt: str, reply: str, default: Action) -> tuple[str, Decision]:
    """The caption and the decision in the captioner's ``reply`` to ``judge_prompt``; ``default`` if it names none."""
    caption, action, reading = parse_judged(reply, default)
    return caption, Decision(action, reply, reading, prompt)


def _read(prompt: str, text: str, completion: Completion, default: Action, reasoning: bool) -> Decision:
    """The decision in ``text``, which is ``completion``'s or, about one part of several, a part of it."""
    action, reading = parse_completion(text, default, reasoning)
    return Decision(action, text, reading, prompt, completion.prompt_ids, completion.completion_ids)


def _is_unread(decision: Decision) -> bool:
    return decision.reading is Reading.DEFAULT
