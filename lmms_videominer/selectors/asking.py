"""Shared by selectors that prompt a language model: their captions, the question's text, and the policy as judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lmms_videominer.config import NO_POLICY, MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.policy.policy import Part
from lmms_videominer.search.candidates import Candidates, candidates
from lmms_videominer.search.wishes import Caption, Case, Decide
from lmms_videominer.selectors.selector import Selector, about
from lmms_videominer.types import Decision, Event, Question, Span
from lmms_videominer.verdict import option_letter
from lmms_videominer.vlm.prompts import PLAIN_TOPIC, caption_prompt

MOST_COMPARED = 4096  # candidates; linkage stores all pairwise distances


class AskingSelector(Selector):
    """A selector that captions and asks a language model or the policy, depending on ``config.judge``."""

    compares_frames: ClassVar[bool] = True  # by ``config.features``

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        judge = "language_model" if config.judge == "reply" else "policy"
        compared = {"scorer" if config.features == "scorer" else "embedder"} if cls.compares_frames else set()
        return frozenset({"vlm", judge} | compared)

    @classmethod
    def check(cls, config: MinerConfig) -> None:
        if config.policy == NO_POLICY and config.judge == "reply":
            raise ConfigError(
                f"policy={NO_POLICY} writes no replies, but selector={cls.name} needs them: set "
                "judge=policy, or name a language model"
            )


def llm_calls(config: MinerConfig, replies: float, decisions: float) -> float:
    """Calls of the language model, depending on ``config.judge``; none with ``policy=none``, which compares vectors."""
    if config.judge == "reply":
        return replies
    return 0 if config.policy == NO_POLICY else decisions


def most_candidates(config: MinerConfig, duration_s: float) -> float:
    """The most frames that ``pool_of`` returns for a video of ``duration_s``."""
    return min(about(duration_s), MOST_COMPARED if config.features == "scorer" else config.max_vlm_calls)


@dataclass
class Seen:
    """The events that a search has captioned so far, by span and number of frames; none is captioned twice."""

    case: Case
    events: dict[tuple[Span, int], Event] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events)

    def look(self, spans: Sequence[Span], frames: int) -> Generator[Caption, Any, tuple[Event, ...]]:
        """The events of ``spans``, in order, each captioned from ``frames`` of its frames."""
        new = tuple(span for span in dict.fromkeys(spans) if (span, frames) not in self.events)
        if new:
            captioned = yield Caption(new, frames, (caption_prompt(self._topic),) * len(new))
            self.events.update({(span, frames): event for span, event in zip(new, captioned, strict=True)})
        return tuple(self.events[span, frames] for span in spans)

    @property
    def _topic(self) -> str:
        """The captioner's topic: the question, or a neutral one, depending on ``config.captioning``."""
        return self.case.question.text if self.case.config.captioning == "question" else PLAIN_TOPIC


def pool_of(case: Case) -> Candidates:
    """One candidate per second, thinned evenly to the number that may be captioned or compared."""
    most = MOST_COMPARED if case.config.features == "scorer" else case.config.max_vlm_calls
    return candidates(case.whole, case.timestamps_s, most)


def lettered_question(question: Question) -> str:
    """The question, followed by its options with letters, one per line."""
    options = [f"{option_letter(i)}. {option}" for i, option in enumerate(question.options)]
    return "\n".join([question.text, *options])


def judgements(
    case: Case, captions: Sequence[str], depth: int = 1
) -> Generator[Decide, tuple[Decision, ...], list[Decision]]:
    """The policy's decision about each caption, in its own format and in one batch (``judge=policy``).

    Args:
        depth: The depth in the prompt: at the last one (``max_depth``) no closer look follows.
    """
    parts = tuple(Part(case.question.text, caption, depth, case.config.max_depth) for caption in captions)
    decisions = yield Decide(parts)
    return [dataclasses.replace(decision, prompt_ids=(), completion_ids=()) for decision in decisions]
