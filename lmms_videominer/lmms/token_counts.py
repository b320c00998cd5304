"""The one part of a model's output that lmms-eval 0.7 writes into the log of a sample beside the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lmms_eval.api.instance import TokenCounts


@dataclass
class NotedTokenCounts(TokenCounts):
    """Counts of tokens that also say which frames were chosen and where the tree is.

    ``--log_samples`` writes ``to_dict()`` as ``token_counts`` of the sample: the note is its entry ``videominer``.
    """

    note: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: TokenCounts | None, note: dict[str, Any]) -> NotedTokenCounts:
        known = counts or TokenCounts()
        return cls(known.input_tokens, known.output_tokens, known.reasoning_tokens, note)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "videominer": self.note}
