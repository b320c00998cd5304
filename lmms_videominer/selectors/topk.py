"""Top-k: the frames that fit the question best. The simplest use of scores.

It has no paper of its own; AKS (arXiv 2502.21271) and BOLT (arXiv 2503.21483) both compare with it. Candidates are
frames at one per second; a video with fewer seconds than the budget has as many candidates as the budget.
"""

from __future__ import annotations

from lmms_videominer.search.candidates import top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector


class TopKSelector(ScoredSelector):
    """The N candidates with the highest scores."""

    name = "topk"

    def rule(self, case: ScoredCase) -> Rule:
        pool = case.pool()
        scores = yield pool.indices
        return Choice(case.picks(pool.indices[top(scores, case.config.frames)]))
