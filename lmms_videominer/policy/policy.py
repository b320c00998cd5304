"""The protocol of the policy: parts of a video in, decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lmms_videominer.policy.prompt import policy_prompt
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
    """

    question: str
    caption: str
    depth: int
    max_depth: int
    context: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        """The user turn that asks a language model about the part."""
        return policy_prompt(self.question, self.caption, self.depth, self.max_depth, self.context)


@dataclass(frozen=True)
class Decided:
    """A decision and its cost."""

    decision: Decision
    usage: Usage


class Policy(Protocol):
    """Decides about parts of a video, in batches."""

    @property
    def identity(self) -> str:
        """Changes with whatever decides a greedy decision besides the part; empty: unknown.

        It is part of the identity of a run. Decisions are kept by the policies that prompt or compare, not for others.
        """
        ...

    def decide(self, parts: Sequence[Part], temperature: float, seeds: Sequence[int]) -> list[Decided]:
        """One decision per part, in order.

        Args:
            parts: The parts to decide about; may be empty.
            temperature: 0 for greedy decoding; above 0 for sampling.
            seeds: One per part; see ``LanguageModel.complete``.
        """
        ...
