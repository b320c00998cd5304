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
        question: The question's text.
        caption: What the captioner said of the part, a line an event; may be empty.
        depth: Of the part's node, from 1.
        max_depth: The last depth, at which no closer look follows.
    """

    question: str
    caption: str
    depth: int
    max_depth: int

    @property
    def prompt(self) -> str:
        """The user's turn that asks a language model about it."""
        return policy_prompt(self.question, self.caption, self.depth, self.max_depth)


@dataclass(frozen=True)
class Decided:
    """A decision, and what it cost."""

    decision: Decision
    usage: Usage


class Policy(Protocol):
    """Decides about parts of a video, in batches."""

    @property
    def identity(self) -> str:
        """Changes with whatever decides a greedy decision beside the part; empty: nothing is kept."""
        ...

    def decide(self, parts: Sequence[Part], temperature: float, seeds: Sequence[int]) -> list[Decided]:
        """One decision a part, in order.

        Args:
            parts: What to decide about; may be empty.
            temperature: 0 is greedy; above, sampling.
            seeds: One a part; see ``LanguageModel.complete``.
        """
        ...
