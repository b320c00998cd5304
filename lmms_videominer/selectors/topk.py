"""Top-k: the frames that fit the question best, and nothing else. The plainest use of scores.

No paper of its own; AKS (arXiv 2502.21271) and BOLT (arXiv 2503.21483) both compare themselves with it. Candidates are
frames at one a second; a video of fewer seconds than the budget has as many as the budget.
"""

from __future__ import annotations

from lmms_videominer.search.candidates import top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector


class TopKSelector(ScoredSelector):
    """The N candidates of the highest score."""

    name = "topk"

    def rule(self, case: ScoredCase) -> Rule:
        pool = case.pool()
        scores = yield pool.indices
        return Choice(case.picks(pool.indices[top(scores, case.config.frames)]))
