"""What the selectors share that look at one video at a time and ask no model."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors.selector import checked_question
from lmms_videominer.types import Question, Selection, Span, Usage, VideoInfo


class PerVideoSelector:
    """Spreads the budget over the spans that ``spans`` names, without a tree."""

    name: ClassVar[str]

    def __init__(self, stages: Stages, config: MinerConfig):
        self.stages, self.config = stages, config

    def spans(self, question: Question, video: VideoInfo) -> tuple[Span, ...]:
        """Disjoint spans, in order, that give the key frames; none: no frames.

        Raises:
            VideoMinerError: The question or the video does not allow it.
        """
        raise NotImplementedError

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        from tqdm import tqdm

        return [self._result(question) for question in tqdm(questions, desc=self.name, disable=not progress)]

    def _result(self, question: Question) -> Selection | VideoMinerError:
        try:
            return self._select(checked_question(question))
        except VideoMinerError as error:
            return error

    def _select(self, question: Question) -> Selection:
        from lmms_videominer.video import open_video

        started = time.perf_counter()
        reader = open_video(question.video, self.config.reader)
        try:
            spans = self.spans(question, reader.info)
            key_frames = spread_frames(spans, reader.timestamps_s, self.config.frames) if spans else ()
        finally:
            reader.close()
        return Selection(
            question=question,
            video=reader.info,
            key_frames=key_frames,
            selector=self.name,
            usage=Usage(seconds={"open": time.perf_counter() - started}),
            config=dataclasses.asdict(self.config),
            seed=self.config.seed,
        )
