"""Q-Frame (Zhang et al., arXiv 2506.22139): the Gumbel-max trick over the scores of 128 candidates.

As published: 128 frames, evenly over the video; CLIP's logits of each for the question, divided by tau = 0.8, in a
softmax; Gumbel noise is added to its logarithm, and the frames are ranked by the sum: N draws without replacement. The
first ranks go to the video LLM at full resolution, the next at half, the last at a quarter (4, 8 and 32 frames, which
cost as many tokens as 8 whole ones).

What differs:

- One resolution, the video's own: a video LLM behind this package gets its key frames as one video, whose frames have
  one size. So this is the published ablation without multi-resolution: N frames at the cost of N.
- The logits are the model's cosines times its own learned scale. The public code multiplies Long-CLIP's features
  without normalising them; their products are of the same size as those.
- For a BLIP the logit is the logarithm of the odds of a match.
- A video of fewer than 128 seconds has one candidate a second (``candidate_fps``), as in the public code; no fewer than
  the budget.
- The noise is drawn from the seed, the video and the question, so that a run can be repeated.

In the result's scores, ``weights`` is the logarithm of the softmax plus the noise: the N highest are taken.
"""

from __future__ import annotations

import numpy as np

from lmms_videominer.search.candidates import top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector


def perturbed(logits: np.ndarray, tau: float, noise: np.ndarray) -> np.ndarray:
    """float64 [n]: ``log softmax(logits / tau) + noise``. The k highest are k draws without replacement.

    Args:
        logits: [n], n >= 1.
        noise: [n]: of the Gumbel distribution.
    """
    scaled = np.asarray(logits, np.float64) / tau
    scaled = scaled - scaled.max()
    return scaled - np.log(np.exp(scaled).sum()) + noise


class QFrameSelector(ScoredSelector):
    """The N candidates of the highest perturbed logit."""

    name = "qframe"

    def rule(self, case: ScoredCase) -> Rule:
        pool = case.pool(case.config.qframe_candidates)
        scores = yield pool.indices
        noise = case.rng(self.name, case.question.text).gumbel(size=len(scores))
        weights = perturbed(case.scorer.logits(scores), case.config.qframe_tau, noise)
        chosen = pool.indices[top(weights, case.config.frames)]
        return Choice(case.picks(chosen), dict(zip(pool.indices.tolist(), weights.tolist())))
