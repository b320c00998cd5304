"""The protocol of the policy: parts of a video in, decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lmms_videominer.policy.prompt import part_body, policy_prompt, several_prompt
from lmms_videominer.types import Decision, Usage


@dataclass(frozen=True)
class Part:
    """One part of a video to decide about (arXiv 2510.06040, section 3.1: ``PM(Caption, Q, depth)``).

    Attributes:
        question: The text of the question.
        caption: The captions of the part, one line per event; may be empty.
        depth: Depth of the part's node; 0 for the whole video, before it is searched: it has no caption.
        max_depth: The last depth, at which no closer look follows.
        context: Further lines about the search (``search.context``).
        reasoning: Whether the reply reasons before it names its action; about the whole video it always does.
        beside: Parts of the same search to decide about in the same reply.
    """

    question: str
    caption: str
    depth: int
    max_depth: int
    context: tuple[str, ...] = ()
    reasoning: bool = True
    beside: tuple[Part, ...] = ()

    @property
    def prompt(self) -> str:
        """The user turn that asks a language model about the part, and those beside it."""
        if not self.beside:
            return policy_prompt(self.question, self.caption, self.depth, self.max_depth, self.context, self.reasoning)
        bodies = [part_body(part.caption, part.depth, part.max_depth, part.context) for part in self.each]
        return several_prompt(self.question, bodies, self.reasoning)

    @property
    def each(self) -> tuple[Part, ...]:
        """This part by itself, and those beside it."""
        return (replace(self, beside=()), *self.beside)


@dataclass(frozen=True)
class Decided:
    """The decisions of one reply, about a part and those beside it, and their cost.

    Attributes:
        decision: That about the part.
        beside: Those about the parts beside it, in order.
    """

    decision: Decision
    usage: Usage
    beside: tuple[Decision, ...] = ()

    @property
    def each(self) -> tuple[Decision, ...]:
        """All of them."""
        return (self.decision, *self.beside)


class Policy(Protocol):
    """Decides about parts of a video, in batches."""

    @property
    def identity(self) -> str:
        """Changes with whatever decides a greedy decision besides the part; empty: unknown.

        It is part of the identity of a run. Decisions are kept by the policies that prompt or compare, not for others.
        """
        ...

    def decide(self, parts: Sequence[Part], temperature: float, seeds: Sequence[int]) -> list[Decided]:
        """One entry per part, in order, with a decision for it and for each part beside it.

        Args:
            parts: The parts to decide about; may be empty.
            temperature: 0 for greedy decoding; above 0 for sampling.
            seeds: One per part; see ``LanguageModel.complete``.
        """
        ...
