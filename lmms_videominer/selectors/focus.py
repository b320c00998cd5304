"""FOCUS (Zhu et al., arXiv 2510.27280): clips are the arms of a bandit; those with a high bound are looked at closely.

As published: the video is cut into clips of 16 s, at least 8. Coarse: the middle frame of each clip and 2 random others
are scored. The upper bound of a clip is its mean score plus Bernstein's confidence radius,
``mean + sqrt(2 ln(n) var / n_i) + 3 ln(n) / n_i``, where n_i is the number of its scores and n that of all clips. Fine:
the quarter of the clips with the highest bounds (alpha = 0.25, at least 4) is looked at closely, at one frame per
second, half of them evenly spaced and half random. A fifth of the budget goes to the best scores anywhere, the rest in
equal parts to the clips with the highest bounds (a quarter of all, 4 to 32). In such a clip every frame gets the score
of the nearest scored frame, and frames are drawn by a softmax over these scores (normalised to [0, 1], temperature
0.06), if possible only among frames that are at least 1 s, or a quarter of an N-th of the video if that is less, away
from each frame chosen before.

What differs:

- Inside a clip the nearest scored frame may come from the close look: the public code (2025-11-14) keeps only the
  coarse scores of a clip, so that its close look affects only the fifth. Bounds come from the coarse scores in both:
  after the close look the radius of a clip with few scores would outweigh every mean.
- The public code clamps the estimates of a clip to [0, 1], and requires no distance between frames if an N-th of the
  video is at most 0.2 s.
- Exactly N frames: if a clip has too few frames, the rest goes to the longest stretches without a key frame.
- Scores other than BLIP's probabilities work too; the radius assumes scores in [0, 1], where cosines mostly lie.
- Clips are equal parts of the video in time, and every frame of it may be chosen; a key frame that was not scored has
  the score of the nearest one that was.
- Random choices depend on the seed and the video, so that all questions on a video share the coarse frames; the draws
  also depend on the question.

The nodes are the clips, with their statistics.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmms_videominer.config import MinerConfig, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import ROUNDED, Pick, top
from lmms_videominer.selectors.scored import Choice, Rule, ScoredCase, ScoredSelector
from lmms_videominer.selectors.selector import Calls
from lmms_videominer.types import Event, Node, Span
from lmms_videominer.video import frames_beginning_in

LEAST_CLIPS = 8
EXTRA = 2  # random frames of a clip in addition to the middle one
LEAST_VARIANCE = 1e-6
FINE_FPS = 1.0
GAP_S, GAP_SHARE = 1.0, 0.25  # least distance of a draw from frames chosen before: seconds, or share of duration / N
LEAST_ARMS, MOST_ARMS = 4, 32  # clips that share the rest of the budget


@dataclass(frozen=True)
class Arm:
    """A clip with the frames ``[first, stop)``, at least one."""

    span: Span
    first: int
    stop: int

    @property
    def frames(self) -> np.ndarray:
        return np.arange(self.first, self.stop)


def cut(whole: Span, timestamps_s: np.ndarray, clip_s: float) -> list[Arm]:
    """Equal clips of about ``clip_s`` seconds, at least ``LEAST_CLIPS``, without those in which no frame begins."""
    count = max(LEAST_CLIPS, math.ceil(whole.duration_s / clip_s))
    edges = np.linspace(whole.start_s, whole.end_s, count + 1).tolist()
    spans = [Span(a, b) for a, b in itertools.pairwise(edges)]
    ranges = [frames_beginning_in(timestamps_s, span) for span in spans]
    return [Arm(span, *frames) for span, frames in zip(spans, ranges) if frames[0] < frames[1]]


def coarse(arms: Sequence[Arm], rng: np.random.Generator) -> list[np.ndarray]:
    """The middle frame of each arm and ``EXTRA`` random others, ascending."""
    chosen = []
    for arm in arms:
        middle = (arm.first + arm.stop - 1) // 2
        others = np.setdiff1d(arm.frames, [middle])
        extra = rng.choice(others, min(EXTRA, len(others)), replace=False)
        chosen.append(np.sort(np.append(extra, middle)).astype(np.int64))
    return chosen


def upper_bounds(scores: Sequence[np.ndarray]) -> np.ndarray:
    """float64 [A]: ``mean_i + sqrt(2 ln(n) var_i / n_i) + 3 ln(n) / n_i`` of each arm's scores, at least one each."""
    counts = np.array([len(part) for part in scores], np.float64)  # [A]
    means = np.array([np.mean(part) for part in scores], np.float64)
    variances = np.maximum([np.var(part) for part in scores], LEAST_VARIANCE)
    log_n = math.log(counts.sum())
    return means + np.sqrt(2 * log_n * variances / counts) + 3 * log_n / counts


def best_arms(bounds: np.ndarray, share: float, least: int, most: int) -> np.ndarray:
    """int64: the arms with the highest bounds, the highest first: ``share`` of all, rounded up, within the limits."""
    count = min(max(least, math.ceil(len(bounds) * share)), most)
    return np.argsort(-bounds, kind="stable")[:count]


def close_look(arm: Arm, count: int, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """About ``count`` frames of an arm, ascending, without ``known``: half evenly spaced, half random."""
    even = round(count / 2)
    size = arm.stop - arm.first
    middles = arm.first + (np.arange(even) * size / max(even, 1) + size / max(2 * even, 1)).astype(np.int64)
    middles = np.setdiff1d(middles, known)
    others = np.setdiff1d(arm.frames, np.concatenate([known, middles]))
    drawn = rng.choice(others, min(count - even, len(others)), replace=False)
    return np.sort(np.concatenate([middles, drawn])).astype(np.int64)


def nearest_scores(frames: np.ndarray, scored: Mapping[int, float]) -> np.ndarray:
    """float64, shaped like ``frames``: the score of the nearest scored frame; of two equally near, the earlier."""
    known = np.array(sorted(scored))
    nearest = known[np.abs(frames[:, None] - known[None]).argmin(axis=1)]
    return np.array([scored[int(i)] for i in nearest], np.float64)


def apart(frames: np.ndarray, chosen: np.ndarray, timestamps_s: np.ndarray, gap_s: float) -> np.ndarray:
    """Those of ``frames`` that are at least ``gap_s`` from every frame of ``chosen``; all ``frames`` if there are none.

    Args:
        frames, chosen: int64 [n] and [m].
        timestamps_s: float64 [frame_count].
    """
    distances_s = np.abs(timestamps_s[frames][:, None] - timestamps_s[chosen][None])  # [n, m]
    far = frames[(distances_s >= gap_s).all(axis=1)]
    return far if len(far) else frames


def draw(scores: np.ndarray, count: int, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """int64 [min(count, n)], ascending: positions drawn without replacement by ``softmax(scores / temperature)``.

    ``scores``, [n], are min-max normalised to [0, 1] first. Drawn by the Gumbel-max trick.
    """
    values = np.asarray(scores, np.float64) - np.min(scores)
    values = values / values.max() if values.max() > 0 else values
    return top(values / temperature + rng.gumbel(size=len(values)), count)


@dataclass(frozen=True)
class FOCUSSettings:
    """The clips, and how the budget is split between the best scores and draws."""

    clip_s: float = option(16.0, "Length of a clip, an arm of the bandit, in seconds.")
    share: float = option(0.25, "Alpha, the share of the clips that are looked at closely.")
    top: float = option(0.2, "Share of the budget for the best scores in the whole video.")
    temperature: float = option(0.06, "Temperature at which the frames of a clip are drawn.")

    def __post_init__(self) -> None:
        for name in ("clip_s", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"focus_{name}={getattr(self, name)}: must be above 0")
        for name in ("share", "top"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"focus_{name}={getattr(self, name)}: must be in [0, 1]")


class FOCUSSelector(ScoredSelector):
    """The best scored frames, and draws from the clips with the highest bounds."""

    name = "focus"
    Settings = FOCUSSettings

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        if not math.isfinite(duration_s):
            return Calls(scored=duration_s)
        settings = cls.settings_of(config)
        clips = max(LEAST_CLIPS, math.ceil(duration_s / settings.clip_s))
        close = max(LEAST_ARMS, math.ceil(clips * settings.share))
        return Calls(scored=clips * (1 + EXTRA) + close * max(1, math.ceil(duration_s / clips)))

    def rule(self, case: ScoredCase) -> Rule:
        settings, arms = self.settings, cut(case.whole, case.timestamps_s, self.settings.clip_s)
        first = coarse(arms, case.rng(self.name))
        yield np.concatenate(first)
        bounds = upper_bounds([np.array([case.scores[i] for i in part.tolist()]) for part in first])
        rng = case.rng(self.name, case.question.text)
        promising = best_arms(bounds, settings.share, LEAST_ARMS, len(arms))
        fine = [close_look(arms[i], _fine_count(arms[i]), first[i], rng) for i in sorted(promising)]
        if sum(map(len, fine)):
            yield np.concatenate(fine)
        nodes = (Node("0", 0, (Event(case.whole),)), *_nodes(arms, bounds, set(promising.tolist()), case.scores))
        return Choice(_chosen(case, settings, arms, bounds, rng), nodes=nodes)


def _fine_count(arm: Arm) -> int:
    return max(1, round(arm.span.duration_s * FINE_FPS))


def _chosen(
    case: ScoredCase, settings: FOCUSSettings, arms: Sequence[Arm], bounds: np.ndarray, rng: np.random.Generator
) -> tuple[Pick, ...]:
    """Frames for the share of the best scores, and the rest in equal parts from the arms with the highest bounds."""
    config, scored = case.config, np.array(sorted(case.scores))
    values = np.array([case.scores[i] for i in scored.tolist()])
    best = scored[top(values, round(settings.top * min(config.frames, len(scored))))]
    starts = np.array([arm.first for arm in arms])
    owners = np.searchsorted(starts, best, side="right") - 1
    picks = [pick for frame, arm in zip(best, owners) for pick in case.picks(np.array([frame]), _id(int(arm)))]
    chosen = best
    gap_s = min(GAP_S, GAP_SHARE * case.whole.duration_s / config.frames)
    givers = best_arms(bounds, settings.share, LEAST_ARMS, MOST_ARMS)
    share, rest = divmod(config.frames - len(best), len(givers))
    for rank, i in enumerate(givers.tolist()):
        free = np.setdiff1d(arms[i].frames, chosen)
        count = share + (rank < rest)
        if not count or not len(free):
            continue
        free = apart(free, chosen, case.timestamps_s, gap_s)
        known = {frame: score for frame, score in case.scores.items() if arms[i].first <= frame < arms[i].stop}
        estimates = nearest_scores(free, known)
        drawn = draw(estimates, count, settings.temperature, rng)
        chosen = np.append(chosen, free[drawn])
        for position in drawn:
            picks.append(Pick(int(free[position]), _id(i), round(float(estimates[position]), ROUNDED)))
    return tuple(picks)


def _nodes(arms: Sequence[Arm], bounds: np.ndarray, promising: set[int], scored: Mapping[int, float]) -> list[Node]:
    nodes = []
    for i, arm in enumerate(arms):
        values = [score for frame, score in scored.items() if arm.first <= frame < arm.stop]
        note = f"mean {np.mean(values):.3f} of {len(values)} scores, coarse bound {bounds[i]:.3f}"
        nodes.append(Node(_id(i), 1, (Event(arm.span),), note=note + (", looked at closely" if i in promising else "")))
    return nodes


def _id(arm: int) -> str:
    return f"0.{arm}"
