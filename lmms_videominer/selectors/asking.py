"""What the selectors share that ask a language model: how the question reads, and the policy as a judge."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.policy.prompt import policy_prompt
from lmms_videominer.search.engine import Ask, Case
from lmms_videominer.types import Action, Decision, Question, Reading
from lmms_videominer.verdict import option_letter


def asked(question: Question) -> str:
    """The question, with its options lettered, one a line."""
    options = [f"{option_letter(i)}. {option}" for i, option in enumerate(question.options)]
    return "\n".join([question.text, *options])


def judgements(case: Case, captions: Sequence[str], depth: int = 1) -> Generator[Ask, tuple[str, ...], list[Decision]]:
    """The policy's decision about each caption, in its own format, all asked at once (``judge=policy``).

    Args:
        depth: What the policy is told: at the last depth (``max_depth``) no closer look follows.
    """
    prompts = tuple(policy_prompt(case.question.text, caption, depth, case.config.max_depth) for caption in captions)
    texts = yield Ask(prompts)
    default = Action(case.config.default_action)
    return [Decision(*_read(text, default), prompt=prompt) for prompt, text in zip(prompts, texts, strict=True)]


def _read(text: str, default: Action) -> tuple[Action, str, Reading]:
    action, reading = parse_completion(text, default)
    return action, text, reading
