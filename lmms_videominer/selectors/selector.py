"""The base class of selectors: a search for key frames, the models it needs and its settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.types import Event, Node, Question, Selection, Usage

MOST_AT_ONCE = 64  # questions on one video searched together


@dataclass(frozen=True)
class NoSettings:
    """The settings of a selector that has none of its own."""


@dataclass(frozen=True)
class Calls:
    """Calls for one question, without the one that answers it; infinite if nothing bounds them.

    Attributes:
        vlm: Captions by the video LLM.
        llm: Decisions or replies of the language model, without those asked again because they could not be read.
        scored: Comparisons of a frame with a text by the image-text model.
        seen: The distinct frames among these, which the model encodes once each and which take the time; ``None``: all.
    """

    vlm: float = 0
    llm: float = 0
    scored: float = 0
    seen: float | None = None


class Selector:
    """Chooses key frames for questions. Each method is a subclass in its own file (docs/selectors.md).

    For a video with no more frames than the budget, all frames are taken and no model is called.

    Args:
        stages: The models, the stages and the cache.
        config: The settings.

    Attributes:
        settings: The selector's own settings, an instance of ``Settings``.

    Raises:
        ConfigError: ``config`` holds the settings of another selector, or settings that cannot work.
    """

    name: ClassVar[str]
    Settings: ClassVar[type] = NoSettings  # a frozen dataclass of ``config.option``s; users write <name>_<setting>
    questions_at_once: ClassVar[int] = 16  # questions whose videos are open, and whose calls are batched, together
    unit: ClassVar[str] = "question"  # what its progress bar counts

    def __init__(self, stages: Stages, config: MinerConfig):
        self.check(config)
        self.settings = self.settings_of(config)
        self.stages, self.config = stages, replace(config, selector=self.name)

    @classmethod
    def settings_of(cls, config: MinerConfig) -> Any:
        """This selector's own settings in ``config``."""
        own = cls.Settings() if config.own is None else config.own
        if not isinstance(own, cls.Settings):
            raise ConfigError(f"selector={cls.name} got the settings of another selector: {own}")
        return own

    @classmethod
    def check(cls, config: MinerConfig) -> None:
        """Raise ``ConfigError`` if the selector cannot work under ``config``, before anything is loaded."""

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        """The models that it needs under ``config``, by their names in ``Stages``."""
        return frozenset()

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        """The most calls that ``config`` allows for one question on a video of ``duration_s``, which may be infinite.

        Cached captions and scores count too. With ``policy=none`` no language model is called.
        """
        return Calls()

    def search(self, case: Case) -> Search:
        """The method: yields its requests (``search.wishes``) and returns the result.

        Raises:
            VideoMinerError: It cannot work on this question or this video.
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
        """One selection per question, in order; the error instead if its video or question cannot be used, or a model
        fails on it.

        Programming errors propagate, and so does the ``ModelError`` of a model that fails at everything.

        Args:
            progress: Show a progress bar on stderr.
        """
        from tqdm import tqdm

        results: dict[int, Selection | VideoMinerError] = {}
        with tqdm(total=len(questions), desc=self.name, unit=self.unit, disable=not progress) as bar:
            for part in self.select_parts(questions, serving=bar.set_postfix_str):
                results.update(part)
                bar.update(len(part))
        return [results[i] for i in range(len(questions))]

    def select_parts(
        self,
        questions: Sequence[Question],
        *,
        serving: Callable[[str], None] = lambda stage: None,
        used: Callable[[Usage], None] = lambda usage: None,
    ) -> Iterator[dict[int, Selection | VideoMinerError]]:
        """Like ``select``, a batch at a time: the results by position, as soon as a batch has them.

        The questions of one video are searched together (``batches``), so positions come in another order than that of
        ``questions``. No more than a batch is open at a time.

        Args:
            serving, used: See ``search.engine.run``.
        """
        for members in batches([question.video for question in questions], self.questions_at_once):
            jobs = [Job(questions[i], self.config.seed) for i in members]
            yield dict(zip(members, run(self, jobs, serving=serving, used=used), strict=True))


def about(count: float) -> float:
    """The nearest whole number, at least one; infinite if ``count`` is."""
    return max(1, round(count)) if math.isfinite(count) else count


def all_frames(case: Case) -> Search:
    """All frames of a short video, or as many as the budget, spread over it."""
    frames = spread_frames([case.whole], case.timestamps_s, case.config.frames, ["0"])
    return Found(frames, (Node("0", 0, (Event(case.whole),), note="short"),))
    yield  # never reached: makes this a generator


def batches(videos: Sequence[str], size: int, most: int = MOST_AT_ONCE) -> Iterator[list[int]]:
    """Positions in ``videos``, those of one video together: whole videos, until there are ``size`` or more.

    The positions of a video that has more than ``most`` are split.
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
    """``nodes`` in the order of ``Selection.nodes``: root first, then by level, otherwise in their own order."""
    return tuple(sorted(nodes, key=lambda node: node.depth))
