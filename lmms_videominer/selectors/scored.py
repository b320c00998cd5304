"""What the selectors share that go by image-text scores: a rule that asks for scores, and a result that keeps them.

A rule is a generator. It yields the frames that it wants scored, ascending, is sent their scores, and returns its
``Choice``. Of questions on one video that want the same frames each is decoded and encoded once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.scoring.scorer import Scorer
from lmms_videominer.search.candidates import Candidates, Pick, candidates, within_budget
from lmms_videominer.search.stages import needed
from lmms_videominer.search.wishes import Case, Compare, Found, Search
from lmms_videominer.selectors.selector import Calls, Selector, about
from lmms_videominer.types import Node, Scores

ROUNDED = 6  # decimals of the scores in a result
ALL = 2**31  # as a number of candidates: no limit


@dataclass(frozen=True)
class Choice:
    """What a rule ends with.

    Attributes:
        picks: At most the budget, in any order.
        weights: What the rule made of each frame's score, by frame; empty where it goes by the scores.
        nodes: The parts of the video that were judged, root first.
    """

    picks: tuple[Pick, ...]
    weights: dict[int, float] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()


Rule: TypeAlias = Generator[np.ndarray, np.ndarray, Choice]


@dataclass
class ScoredCase(Case):
    """One question on one open video, with the scores made for it.

    Attributes:
        scorer: Gives the scores.
        scores: Those asked for so far, by frame.
    """

    scorer: Scorer = field(kw_only=True)
    scores: dict[int, float] = field(default_factory=dict)

    def pool(self, most: int = ALL) -> Candidates:
        """``candidate_fps`` frames a second, no fewer than the budget if the video has them; at most ``most``."""
        budget = self.config.frames
        every_s = min(1 / self.config.candidate_fps, self.whole.duration_s / budget or 1.0)
        return candidates(self.whole, self.timestamps_s, max(most, budget), every_s)

    def picks(self, frames: np.ndarray, node_id: str | None = None) -> tuple[Pick, ...]:
        """Scored frames as picks."""
        return tuple(Pick(int(i), node_id, round(self.scores[int(i)], ROUNDED)) for i in frames)

    def rng(self, *of: str) -> np.random.Generator:
        """Random numbers of their own for every video and every ``of``: what one question draws, another does not."""
        text = "\0".join([str(self.config.seed), self.video.identity, *of])
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


class ScoredSelector(Selector):
    """Runs one rule a question.

    A video with no more frames than the budget gives all of them, and nothing is scored. The rule's frames are filled
    up to the budget, where they fall short, with the middles of the longest stretches without one.
    """

    questions_at_once = 1  # video by video: nothing is gained by having several open

    def rule(self, case: ScoredCase) -> Rule:
        """The method: yields the frames it wants scored (int64 [n], ascending), returns what it chose."""
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
        """Let ``rule`` choose from the scores that it asks for."""
        rule = self.rule(case)
        try:
            wanted = next(rule)
            while True:
                [values] = yield Compare(((tuple(wanted.tolist()), case.question.text),))
                case.scores.update(zip(wanted.tolist(), values.tolist(), strict=True))
                wanted = rule.send(values)
        except StopIteration as end:
            choice: Choice = end.value
        key_frames = within_budget([choice.picks], case.timestamps_s, case.config.frames)
        filled = ("filled",) if len(choice.picks) < len(key_frames) else ()
        scores = scores_of(case.scorer.identity, case.question.text, case.timestamps_s, case.scores, choice.weights)
        return Found(key_frames, choice.nodes, filled, scores)


def scores_of(
    scorer: str, text: str, timestamps_s: np.ndarray, scores: Mapping[int, float], weights: Mapping[int, float] = {}
) -> Scores:
    """Scores by frame as a result keeps them.

    Args:
        scorer: Identity of the model that gave them.
        text: What the frames were compared with.
        timestamps_s: float64 [frame_count]: of the video's frames.
        scores: By frame.
        weights: What a rule made of them, by frame; empty where it goes by the scores.
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
