"""Token counts with a note: besides the text, the only part of a model's output that lmms-eval 0.7 logs per sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lmms_eval.api.instance import TokenCounts


@dataclass
class NotedTokenCounts(TokenCounts):
    """Token counts with a note on the chosen frames and the location of the tree.

    ``--log_samples`` writes ``to_dict()`` as ``token_counts`` of the sample; the note is its entry ``videominer``.
    """

    note: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: TokenCounts | None, note: dict[str, Any]) -> NotedTokenCounts:
        counts = counts or TokenCounts()
        return cls(counts.input_tokens, counts.output_tokens, counts.reasoning_tokens, note)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "videominer": self.note}
