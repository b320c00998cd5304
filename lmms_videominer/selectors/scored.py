"""Shared by selectors that use image-text scores: a rule that requests scores, and a result that stores them.

A rule is a generator. It yields the frames to score, ascending, is sent their scores, and returns its ``Choice``.
Frames that several questions on one video need are decoded and encoded once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.scoring.scorer import Scorer
from lmms_videominer.search.candidates import ROUNDED, Candidates, Pick, candidates, within_budget
from lmms_videominer.search.stages import needed
from lmms_videominer.search.wishes import Case, Compare, Found, Search
from lmms_videominer.selectors.selector import Calls, Selector, about
from lmms_videominer.types import Node, Scores

ALL = 2**31  # as a number of candidates: no limit


@dataclass(frozen=True)
class Choice:
    """The result of a rule.

    Attributes:
        picks: The chosen frames, at most the budget, in any order.
        weights: Weights that the rule derived from the scores, by frame; empty if it uses the scores directly.
        nodes: The parts of the video that were judged, root first.
    """

    picks: tuple[Pick, ...]
    weights: dict[int, float] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()


Rule: TypeAlias = Generator[np.ndarray, np.ndarray, Choice]


@dataclass
class ScoredCase(Case):
    """One question on one open video, with the scores of its frames.

    Attributes:
        scorer: Computes the scores.
        scores: The scores requested so far, by frame.
    """

    scorer: Scorer = field(kw_only=True)
    scores: dict[int, float] = field(default_factory=dict)

    def pool(self, most: int = ALL) -> Candidates:
        """``candidate_fps`` frames per second, no fewer than the budget if the video has as many; at most ``most``."""
        budget = self.config.frames
        every_s = min(1 / self.config.candidate_fps, self.whole.duration_s / budget or 1.0)
        return candidates(self.whole, self.timestamps_s, max(most, budget), every_s)

    def picks(self, frames: np.ndarray, node_id: str | None = None) -> tuple[Pick, ...]:
        """Picks of scored frames, with their scores."""
        return tuple(Pick(int(i), node_id, round(self.scores[int(i)], ROUNDED)) for i in frames)

    def rng(self, *of: str) -> np.random.Generator:
        """A random generator for this video and ``of``, independent of those for other videos and other values."""
        text = "\0".join([str(self.config.seed), self.video.identity, *of])
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


class ScoredSelector(Selector):
    """Runs one rule per question.

    For a video with no more frames than the budget, all frames are taken and nothing is scored. If the rule returns
    fewer frames than the budget, the middles of the longest stretches without one are added.
    """

    questions_at_once = 1  # video by video: opening several gains nothing

    def rule(self, case: ScoredCase) -> Rule:
        """The method: yields the frames to score (int64 [n], ascending) and returns its choice."""
        raise NotImplementedError

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        return frozenset({"scorer"})

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        return Calls(scored=max(config.frames, about(duration_s * config.candidate_fps)))

    def search(self, case: Case) -> Search:
        return (yield from self._follow(ScoredCase(**vars(case), scorer=needed(self.stages.scorer, "scorer"))))

    def _follow(self, case: ScoredCase) -> Search:
        """Let ``rule`` choose from the scores that it requests."""
        rule = self.rule(case)
        try:
            frames = next(rule)
            while True:
                [values] = yield Compare(((tuple(frames.tolist()), case.question.text),))
                case.scores.update(zip(frames.tolist(), values.tolist(), strict=True))
                frames = rule.send(values)
        except StopIteration as end:
            choice: Choice = end.value
        key_frames = within_budget([choice.picks], case.timestamps_s, case.config.frames)
        filled = ("filled",) if len(choice.picks) < len(key_frames) else ()
        scores = scores_of(case.scorer.identity, case.question.text, case.timestamps_s, case.scores, choice.weights)
        return Found(key_frames, choice.nodes, filled, scores)


def scores_of(
    scorer: str, text: str, timestamps_s: np.ndarray, scores: Mapping[int, float], weights: Mapping[int, float] = {}
) -> Scores:
    """The ``Scores`` of a result.

    Args:
        scorer: Identity of the model that computed them.
        text: The text that the frames were compared with.
        timestamps_s: float64 [frame_count]: presentation time of every frame of the video.
        scores: Scores by frame.
        weights: Weights that a rule derived from them, by frame; empty if it uses the scores directly.
    """
    frames = sorted(scores)
    return Scores(
        scorer=scorer,
        text=text,
        frame_indices=tuple(frames),
        times_s=tuple(timestamps_s[frames].tolist()),
        values=tuple(round(scores[i], ROUNDED) for i in frames),
        weights=tuple(round(weights[i], ROUNDED) for i in frames) if weights else (),
    )
