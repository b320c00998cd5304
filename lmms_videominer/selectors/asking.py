"""What the selectors share that ask a language model: how they caption, how the question reads, the policy as judge."""

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

MOST_COMPARED = 4096  # candidates; linkage keeps the distance of every two
PLAIN_TOPIC = "What happens?"  # in the place of the question, for a captioner that is not to know it


class AskingSelector(Selector):
    """A selector that captions, and asks a language model or the policy, as ``config.judge`` says."""

    compares_frames: ClassVar[bool] = True  # as ``config.features`` says

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        judge = "language_model" if config.judge == "reply" else "policy"
        compared = {"scorer" if config.features == "scorer" else "embedder"} if cls.compares_frames else set()
        return frozenset({"vlm", judge} | compared)

    @classmethod
    def check(cls, config: MinerConfig) -> None:
        if config.policy == NO_POLICY and config.judge == "reply":
            raise ConfigError(
                f"policy={NO_POLICY} writes no replies, and selector={cls.name} asks for some: set "
                "judge=policy, or name a language model"
            )


def asked_at_most(config: MinerConfig, replies: float, decisions: float) -> float:
    """Calls of the language model, as ``config.judge`` says; ``policy=none`` compares vectors instead."""
    if config.judge == "reply":
        return replies
    return 0 if config.policy == NO_POLICY else decisions


def most_candidates(config: MinerConfig, duration_s: float) -> float:
    """The most frames that ``pool_of`` gives in a video of ``duration_s``."""
    return min(about(duration_s), MOST_COMPARED if config.features == "scorer" else config.max_vlm_calls)


@dataclass
class Seen:
    """The events that a search has captioned so far, by span and number of frames: none is asked for twice."""

    case: Case
    events: dict[tuple[Span, int], Event] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.events)

    def look(self, spans: Sequence[Span], frames: int) -> Generator[Caption, Any, tuple[Event, ...]]:
        """The events of ``spans``, in order, each captioned from ``frames`` frames of it."""
        new = tuple(span for span in dict.fromkeys(spans) if (span, frames) not in self.events)
        if new:
            captioned = yield Caption(new, frames, self._topic)
            self.events.update({(span, frames): event for span, event in zip(new, captioned, strict=True)})
        return tuple(self.events[span, frames] for span in spans)

    @property
    def _topic(self) -> str:
        """What the captioner is given: the question, or nothing of it, as ``config.captioning`` says."""
        return self.case.question.text if self.case.config.captioning == "question" else PLAIN_TOPIC


def pool_of(case: Case) -> Candidates:
    """One candidate a second, thinned evenly to what may be captioned, or compared."""
    most = MOST_COMPARED if case.config.features == "scorer" else case.config.max_vlm_calls
    return candidates(case.whole, case.timestamps_s, most)


def lettered_question(question: Question) -> str:
    """The question, with its options lettered, one a line."""
    options = [f"{option_letter(i)}. {option}" for i, option in enumerate(question.options)]
    return "\n".join([question.text, *options])


def judgements(
    case: Case, captions: Sequence[str], depth: int = 1
) -> Generator[Decide, tuple[Decision, ...], list[Decision]]:
    """The policy's decision about each caption, in its own format, all asked at once (``judge=policy``).

    Args:
        depth: What the policy is told: at the last depth (``max_depth``) no closer look follows.
    """
    parts = tuple(Part(case.question.text, caption, depth, case.config.max_depth) for caption in captions)
    decisions = yield Decide(parts)
    return [dataclasses.replace(decision, prompt_ids=(), completion_ids=()) for decision in decisions]
