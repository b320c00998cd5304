"""What the selectors share that search: batches of questions, open videos, results."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoError, VideoMinerError
from lmms_videominer.search.engine import Case, Found, Search, Talk, run
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors.selector import checked_question
from lmms_videominer.types import Event, Node, Question, Selection
from lmms_videominer.video.opening import OpenVideo, opened

MOST_AT_ONCE = 64  # questions on one video; beyond, they are parted


class SearchingSelector:
    """Runs one search a question, many side by side.

    A video with no more frames than the budget gives all of them, and no model is asked.
    """

    name: ClassVar[str]
    questions_at_once: ClassVar[int] = 16  # the readers of so many are open, and their calls batched, together

    def __init__(self, stages: Stages, config: MinerConfig):
        self.stages, self.config = stages, config

    def search(self, case: Case) -> Search:
        """The method: yields what it wants to know, returns what it found.

        Raises:
            VideoMinerError: The question or the video does not allow it.
        """
        raise NotImplementedError

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        from tqdm import tqdm

        results: dict[int, Selection | VideoMinerError] = {}
        with tqdm(total=len(questions), desc=self.name, disable=not progress) as bar:
            for members in batches([question.video for question in questions], self.questions_at_once):
                results.update(zip(members, self._select([questions[i] for i in members]), strict=True))
                bar.update(len(members))
        return [results[i] for i in range(len(questions))]

    def case(self, question: Question, video: OpenVideo) -> Case:
        """What ``search`` is given."""
        return Case(question, video, video.reader.timestamps_s, self.config)

    def _select(self, questions: Sequence[Question]) -> list[Selection | VideoMinerError]:
        started = time.perf_counter()
        with opened([question.video for question in questions], self.config.reader) as videos:
            openings = [self._open(question, videos[question.video]) for question in questions]
            talks = [opening for opening in openings if isinstance(opening, Talk)]
            open_s = (time.perf_counter() - started) / max(1, len(talks))
            for talk in talks:
                talk.case.usage.seconds["open"] = open_s
            run(talks, self.stages, self.config)
        return [self._result(opening) if isinstance(opening, Talk) else opening for opening in openings]

    def _open(self, question: Question, video: OpenVideo | VideoError) -> Talk | VideoMinerError:
        if isinstance(video, VideoError):
            return video
        try:
            checked_question(question)
        except VideoMinerError as error:
            return error
        case = self.case(question, video)
        return Talk(case, self._whole(case) if len(case.timestamps_s) <= self.config.frames else self.search(case))

    def _whole(self, case: Case) -> Search:
        """All frames of a short video."""
        frames = spread_frames([case.whole], case.timestamps_s, self.config.frames, ["0"])
        return Found(frames, (Node("0", 0, (Event(case.whole),), note="short"),))
        yield  # a search that asks nothing

    def _result(self, talk: Talk) -> Selection | VideoMinerError:
        found, case = talk.result, talk.case
        if isinstance(found, VideoMinerError):
            return found
        assert found is not None
        return Selection(
            question=case.question,
            video=case.video.info,
            key_frames=found.key_frames,
            selector=self.name,
            nodes=found.nodes,
            usage=case.usage,
            fallbacks=tuple(name for name in (*found.fallbacks, self.stages.cache.fallback) if name),
            config=dataclasses.asdict(self.config),
            seed=self.config.seed,
            scores=found.scores,
        )


def batches(videos: Sequence[str], size: int, most: int = MOST_AT_ONCE) -> Iterator[list[int]]:
    """Positions of ``videos``, those of one video together: whole videos, until there are ``size`` or more.

    A video with more than ``most`` is parted.
    """
    by_video: dict[str, list[int]] = {}
    for i, video in enumerate(videos):
        by_video.setdefault(video, []).append(i)
    batch: list[int] = []
    for members in by_video.values():
        for start in range(0, len(members), most):
            batch += members[start : start + most]
            if len(batch) >= size:
                yield batch
                batch = []
    if batch:
        yield batch


def by_level(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """``nodes`` as ``Selection.nodes`` has them: root first, then by level, otherwise in their order."""
    return tuple(sorted(nodes, key=lambda node: node.depth))
