"""What the selectors share that ask a language model: how they caption, how the question reads, the policy as judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.policy import Part
from lmms_videominer.search.candidates import Candidates, candidates
from lmms_videominer.search.wishes import Caption, Case, Decide
from lmms_videominer.types import Decision, Event, Question, Span
from lmms_videominer.verdict import option_letter

MOST_COMPARED = 4096  # candidates; linkage keeps the distance of every two
PLAIN_TOPIC = "What happens?"  # in the place of the question, for a captioner that is not to know it


def asking_needs(config: MinerConfig, compares_frames: bool) -> frozenset[str]:
    """What a selector needs that captions, and asks as ``config.judge`` says.

    Args:
        compares_frames: Whether it compares frames too, as ``config.features`` says.
    """
    judge = "language_model" if config.judge == "reply" else "policy"
    compared = {"scorer" if config.features == "scorer" else "embedder"} if compares_frames else set()
    return frozenset({"vlm", judge} | compared)


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
