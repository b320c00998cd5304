"""What a selector is: a search for key frames, with what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.types import Event, Node, Question, Selection

MOST_AT_ONCE = 64  # questions on one video that are searched together


class Selector:
    """Chooses the key frames of questions. Each method is a subclass, in a file of its own.

    A video with no more frames than the budget gives all of them, and no model is asked.

    Args:
        stages: The models, the stages and the cache.
        config: The settings.
    """

    name: ClassVar[str]
    questions_at_once: ClassVar[int] = 16  # their videos are open, and their calls batched, together

    def __init__(self, stages: Stages, config: MinerConfig):
        self.stages, self.config = stages, config

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        """The models that it asks under ``config``, as ``Stages`` calls them; none: every video is opened alone."""
        return frozenset()

    def search(self, case: Case) -> Search:
        """The method: yields what it wants to know (``search.wishes``), returns what it found.

        Raises:
            VideoMinerError: The question or the video does not allow it.
        """
        raise NotImplementedError

    def begin(self, case: Case) -> Search:
        """The search for one question."""
        few = len(case.timestamps_s) <= self.config.frames and self.needs(self.config)
        return all_frames(case) if few else self.search(case)

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        """One selection a question, in order; where one video or question cannot be used, its error instead.

        A programming error propagates.

        Args:
            progress: Show a progress bar on stderr.
        """
        from tqdm import tqdm

        results: dict[int, Selection | VideoMinerError] = {}
        with tqdm(total=len(questions), desc=self.name, unit="question", disable=not progress) as bar:
            for members in batches([question.video for question in questions], self.questions_at_once):
                jobs = [Job(questions[i], self.config.seed) for i in members]
                results.update(zip(members, run(self, jobs, serving=bar.set_postfix_str), strict=True))
                bar.update(len(members))
        return [results[i] for i in range(len(questions))]


def all_frames(case: Case) -> Search:
    """Every frame of a short video, or as many as the budget, spread over it."""
    frames = spread_frames([case.whole], case.timestamps_s, case.config.frames, ["0"])
    return Found(frames, (Node("0", 0, (Event(case.whole),), note="short"),))
    yield  # a search that asks nothing


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
