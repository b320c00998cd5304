"""What the selectors share that go by image-text scores: videos one after another, scores asked for in rounds, results.

A search is a generator. It yields the frames that it wants scored, ascending, is sent their scores, and returns its
``Choice``. All questions on a video search side by side: what they want of the same frames is decoded and encoded once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoError, VideoMinerError
from lmms_videominer.scoring.frames import ScoredFrames, ScoreJob, score_frames
from lmms_videominer.scoring.scorer import Scorer
from lmms_videominer.selectors.candidates import Candidates, Pick, candidates, within_budget
from lmms_videominer.selectors.selector import checked_question
from lmms_videominer.stages import OpenVideo, Stages, needed, opened
from lmms_videominer.types import Event, Node, Question, Scores, Selection, Span, Usage

ROUNDED = 6  # decimals of the scores in a result
ALL = 2**31  # as a number of candidates: no limit


@dataclass(frozen=True)
class Choice:
    """What a search ends with.

    Attributes:
        picks: At most the budget, in any order.
        weights: What the rule made of each frame's score, by frame; empty where it goes by the scores.
        nodes: The parts of the video that were judged, root first.
    """

    picks: tuple[Pick, ...]
    weights: dict[int, float] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()


Search: TypeAlias = Generator[np.ndarray, np.ndarray, Choice]


@dataclass
class Case:
    """One question on one open video.

    Attributes:
        question, video: What is searched.
        timestamps_s: float64 [frame_count]: presentation time of every frame.
        config: The settings.
        scorer: Gives the scores.
        usage: What the search has cost so far.
        scores: The scores made for it so far, by frame.
    """

    question: Question
    video: OpenVideo
    timestamps_s: np.ndarray
    config: MinerConfig
    scorer: Scorer
    usage: Usage = field(default_factory=Usage)
    scores: dict[int, float] = field(default_factory=dict)

    @property
    def whole(self) -> Span:
        return Span(0.0, self.video.info.duration_s)

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


class ScoredSelector:
    """Runs one search a question.

    A video with no more frames than the budget gives all of them, and nothing is scored. The rule's frames are filled
    up to the budget, where they fall short, with the middles of the longest stretches without one.
    """

    name: ClassVar[str]

    def __init__(self, stages: Stages, config: MinerConfig):
        self.stages, self.config = stages, config

    def search(self, case: Case) -> Search:
        """The method: yields the frames it wants scored (int64 [n], ascending), returns what it chose."""
        raise NotImplementedError

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        from tqdm import tqdm

        by_video: dict[str, list[int]] = {}
        for i, question in enumerate(questions):
            by_video.setdefault(question.video, []).append(i)
        results: dict[int, Selection | VideoMinerError] = {}
        with tqdm(total=len(questions), desc=self.name, disable=not progress) as bar:
            for members in by_video.values():
                found = self._on_video([questions[i] for i in members])
                results.update(zip(members, found, strict=True))
                bar.update(len(members))
        return [results[i] for i in range(len(questions))]

    def _on_video(self, questions: Sequence[Question]) -> list[Selection | VideoMinerError]:
        started = time.perf_counter()
        with opened([questions[0].video], self.config.reader) as videos:
            [video] = videos.values()
            runs = [self._start(question, video) for question in questions]
            running = [run for run in runs if isinstance(run, _Run)]
            for run in running:
                run.case.usage.seconds["open"] = (time.perf_counter() - started) / len(running)
            while waiting := [run for run in running if run.wanted is not None]:
                self._serve(waiting)
            return [self._result(run) if isinstance(run, _Run) else run for run in runs]

    def _start(self, question: Question, video: OpenVideo | VideoError) -> _Run | VideoMinerError:
        if isinstance(video, VideoError):
            return video
        try:
            checked_question(question)
        except VideoMinerError as error:
            return error
        times_s = video.reader.timestamps_s
        case = Case(question, video, times_s, self.config, needed(self.stages.scorer, "scorer"))
        return _Run(case, _whole(case) if len(times_s) <= self.config.frames else self.search(case))

    def _serve(self, runs: Sequence[_Run]) -> None:
        """Score what all of ``runs`` want."""
        started = time.perf_counter()
        jobs = [ScoreJob(run.case.video, run.case.question.text, run.wanted) for run in runs if run.wanted is not None]
        scored = score_frames(jobs, needed(self.stages.scorer, "scorer"), self.stages.cache)
        seconds = (time.perf_counter() - started) / len(runs)
        for run, found in zip(runs, scored, strict=True):
            spent = run.case.usage.seconds
            spent["score"] = spent.get("score", 0.0) + seconds
            run.receive(found)

    def _result(self, run: _Run) -> Selection | VideoMinerError:
        case, choice = run.case, run.result
        if not isinstance(choice, Choice):
            assert choice is not None
            return choice
        key_frames = within_budget([choice.picks], case.timestamps_s, self.config.frames)
        short = len(case.timestamps_s) <= self.config.frames
        filled = "filled" if not short and len(choice.picks) < len(key_frames) else ""
        return Selection(
            question=case.question,
            video=case.video.info,
            key_frames=key_frames,
            selector=self.name,
            nodes=choice.nodes,
            usage=case.usage,
            fallbacks=tuple(name for name in (filled, self.stages.cache.fallback) if name),
            config=dataclasses.asdict(self.config),
            seed=self.config.seed,
            scores=_columns(case, choice.weights),
        )


class _Run:
    """A search under way: the frames that it waits for, or how it ended."""

    def __init__(self, case: Case, search: Search):
        self.case, self._search = case, search
        self.wanted: np.ndarray | None = None
        self.result: Choice | VideoError | None = None
        self._go_on(None)

    def receive(self, scored: ScoredFrames | VideoError) -> None:
        """Send the search what it waits for; an error ends it."""
        wanted, self.wanted = self.wanted, None
        if isinstance(scored, VideoError):
            self._search.close()
            self.result = scored
            return
        assert wanted is not None
        self.case.scores.update(zip(wanted.tolist(), scored.values.tolist(), strict=True))
        self.case.usage.scores += scored.made
        self.case.usage.scores_cached += scored.cached
        self.case.usage.frames_decoded += scored.frames_decoded
        self._go_on(scored.values)

    def _go_on(self, values: np.ndarray | None) -> None:
        try:
            self.wanted = self._search.send(values)  # type: ignore[arg-type]  # None starts a generator
        except StopIteration as end:
            self.result = end.value


def _whole(case: Case) -> Search:
    """All frames of a short video."""
    picks = tuple(Pick(i, "0") for i in range(len(case.timestamps_s)))
    return Choice(picks, nodes=(Node("0", 0, (Event(case.whole),), note="short"),))
    yield  # a search that asks nothing


def _columns(case: Case, weights: dict[int, float]) -> Scores | None:
    """The scores of a case as a result keeps them; ``None`` where it has none."""
    frames = sorted(case.scores)
    if not frames:
        return None
    return Scores(
        scorer=case.scorer.identity,
        text=case.question.text,
        frame_indices=tuple(frames),
        times_s=tuple(case.timestamps_s[frames].tolist()),
        values=tuple(round(case.scores[i], ROUNDED) for i in frames),
        weights=tuple(round(weights[i], ROUNDED) for i in frames) if weights else (),
    )
