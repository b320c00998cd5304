"""Q-Frame (Zhang et al., arXiv 2506.22139): the Gumbel-max trick over the scores of 128 candidates.

As published: 128 frames, evenly spaced over the video; the CLIP logit of each frame and the question is divided by
tau = 0.8 and passed through a softmax; Gumbel noise is added to its logarithm, and the frames are ranked by the sum,
which amounts to N draws without replacement. The first ranks go to the video LLM at full resolution, the next at half,
the last at a quarter (4, 8 and 32 frames, which cost as many tokens as 8 at full resolution).

What differs:

- One resolution, the video's own: a video LLM behind this package gets its key frames as one video, whose frames have
  one size. So this is the published ablation without multi-resolution: N frames at the cost of N.
- The logits are the model's cosines times its learned scale. The public code multiplies the features of Long-CLIP
  without normalising them; the products have about the same size.
- For BLIP the logit is the log odds of a match.
- A video of fewer than 128 seconds has one candidate per second (``candidate_fps``), as in the public code, but no
  fewer than the budget.
- The noise depends on the seed, the video and the question, so that a run can be repeated.

In the result's scores, ``weights`` is the logarithm of the softmax plus the noise; the N highest are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmms_videominer.config import MinerConfig, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector
from lmms_videominer.selectors.selector import Calls


def perturbed(logits: np.ndarray, tau: float, noise: np.ndarray) -> np.ndarray:
    """float64 [n]: ``log softmax(logits / tau) + noise``. The k highest are k draws without replacement.

    Args:
        logits: [n], n >= 1.
        noise: [n], drawn from the Gumbel distribution.
    """
    scaled = np.asarray(logits, np.float64) / tau
    scaled = scaled - scaled.max()
    return scaled - np.log(np.exp(scaled).sum()) + noise


@dataclass(frozen=True)
class QFrameSettings:
    """The number of candidates, and how sharply they are distinguished."""

    candidates: int = option(128, "Maximum number of frames to choose from.")
    tau: float = option(0.8, "Temperature of the softmax over them.")

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ConfigError(f"qframe_candidates={self.candidates}: must be at least 1")
        if not self.tau > 0:
            raise ConfigError(f"qframe_tau={self.tau}: must be above 0")


class QFrameSelector(ScoredSelector):
    """The N candidates with the highest perturbed logits."""

    name = "qframe"
    Settings = QFrameSettings

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        pool = super().calls_at_most(config, duration_s).scored
        return Calls(scored=min(pool, max(config.frames, cls.settings_of(config).candidates)))

    def rule(self, case: ScoredCase) -> Rule:
        pool = case.pool(self.settings.candidates)
        scores = yield pool.indices
        noise = case.rng(self.name, case.question.text).gumbel(size=len(scores))
        weights = perturbed(case.scorer.logits(scores), self.settings.tau, noise)
        chosen = pool.indices[top(weights, case.config.frames)]
        return Choice(case.picks(chosen), dict(zip(pool.indices.tolist(), weights.tolist())))
