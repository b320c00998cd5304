"""The base class of selectors: a search for key frames, the models it needs and its settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.search.engine import Grown, Job, Results, run_each
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.open_searches import fill
from lmms_videominer.search.stages import Stages
from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.types import Event, Node, Question, Selection, Usage


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
    questions_at_once: ClassVar[int] = 0  # open searches where the user says nothing; 0: as engines and memory hold
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

    @property
    def open_searches(self) -> int:
        """How many searches are open at once, see ``search.open_searches``."""
        return self.config.open_searches or self.questions_at_once or fill(self.stages)

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        """One selection per question, in order; the error instead if its video or question cannot be used, or a model
        fails on it.

        Programming errors propagate, and so does the ``ModelError`` of a model that fails at everything.

        Args:
            progress: Show a progress bar on stderr.
        """
        return self.gathered(self.select_each, questions, progress)

    def select_each(
        self,
        questions: Sequence[Question],
        *,
        finish: Callable[[Results], Results] | None = None,
        serving: Callable[[str], None] = lambda stage: None,
        used: Callable[[Usage], None] = lambda usage: None,
        grown: Grown | None = None,
    ) -> Iterator[tuple[int, Selection | VideoMinerError]]:
        """Like ``select``, one by one: each result as soon as it is known, with the position of its question.

        The questions on one video are searched together, so positions come in another order than that of
        ``questions``.

        Args:
            finish, serving, used, grown: See ``search.engine.run_each``.
        """
        jobs = [Job(question, self.config.seed) for question in questions]
        return run_each(self, jobs, self.open_searches, finish=finish, serving=serving, used=used, grown=grown)

    def gathered(
        self,
        each: Callable[..., Iterable[tuple[int, Selection | VideoMinerError]]],
        questions: Sequence[Question],
        progress: bool,
    ) -> list[Selection | VideoMinerError]:
        """What ``each(questions, serving=...)`` yields, in the order of ``questions``; ``progress``: under a bar."""
        from tqdm import tqdm

        results: dict[int, Selection | VideoMinerError] = {}
        with tqdm(total=len(questions), desc=self.name, unit=self.unit, disable=not progress) as bar:
            for position, result in each(questions, serving=bar.set_postfix_str):
                results[position] = result
                bar.update()
        return [results[i] for i in range(len(questions))]


def about(count: float) -> float:
    """The nearest whole number, at least one; infinite if ``count`` is."""
    return max(1, round(count)) if math.isfinite(count) else count


def all_frames(case: Case) -> Search:
    """All frames of a short video, or as many as the budget, spread over it."""
    frames = spread_frames([case.whole], case.timestamps_s, case.config.frames, ["0"])
    return Found(frames, (Node("0", 0, (Event(case.whole),), note="short"),))
    yield  # never reached: makes this a generator


def by_level(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """``nodes`` in the order of ``Selection.nodes``: root first, then by level, otherwise in their own order."""
    return tuple(sorted(nodes, key=lambda node: node.depth))
