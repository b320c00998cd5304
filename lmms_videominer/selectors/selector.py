"""What a selector is: a search for key frames, with what it needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.types import Event, Node, Question, Selection

MOST_AT_ONCE = 64  # questions on one video that are searched together


@dataclass(frozen=True)
class NoSettings:
    """Of a selector that has no settings of its own."""


@dataclass(frozen=True)
class Calls:
    """Calls for one question beside the one that answers it; infinite where nothing bounds them.

    Attributes:
        vlm: Captions by the video LLM.
        llm: Decisions or replies of the language model.
        scored: Frames compared by the image-text model.
        seen: Of these the frames that it looks at, each once, which is what takes the time; ``None``: all.
    """

    vlm: float = 0
    llm: float = 0
    scored: float = 0
    seen: float | None = None


class Selector:
    """Chooses the key frames of questions. Each method is a subclass, in a file of its own (docs/selectors.md).

    A video with no more frames than the budget gives all of them, and no model is asked.

    Args:
        stages: The models, the stages and the cache.
        config: The settings.

    Attributes:
        settings: Those of the selector alone, an instance of ``Settings``.

    Raises:
        ConfigError: ``config`` holds the settings of another selector, or some that cannot work.
    """

    name: ClassVar[str]
    Settings: ClassVar[type] = NoSettings  # a frozen dataclass of ``config.option``s; users write <name>_<setting>
    questions_at_once: ClassVar[int] = 16  # their videos are open, and their calls batched, together

    def __init__(self, stages: Stages, config: MinerConfig):
        self.check(config)
        self.stages, self.config, self.settings = stages, config, self.settings_of(config)

    @classmethod
    def settings_of(cls, config: MinerConfig) -> Any:
        """The settings of this selector alone in ``config``."""
        own = cls.Settings() if config.own is None else config.own
        if not isinstance(own, cls.Settings):
            raise ConfigError(f"selector={cls.name} is given the settings of another one: {own}")
        return own

    @classmethod
    def check(cls, config: MinerConfig) -> None:
        """Raise ``ConfigError`` where the selector cannot work under ``config``, before anything is loaded."""

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        """The models that it asks under ``config``, as ``Stages`` calls them."""
        return frozenset()

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        """What ``config`` allows for one question on a video of ``duration_s``; infinite: its length is not known.

        Captions and scores that the cache holds count as well. For ``policy=none`` no language model is called.
        """
        return Calls()

    def search(self, case: Case) -> Search:
        """The method: yields what it wants to know (``search.wishes``), returns what it found.

        Raises:
            VideoMinerError: The question or the video does not allow it.
        """
        raise NotImplementedError

    @property
    def settings_by_name(self) -> dict[str, Any]:
        """All settings, by the names that users write."""
        return self.config.by_name(self.settings)

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


def about(count: float) -> float:
    """The nearest whole number, at least one; infinite where ``count`` is."""
    return max(1, round(count)) if math.isfinite(count) else count


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
