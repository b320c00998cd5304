"""What all questions on a video share, made once, before any is asked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.models.resolve import resolve
from lmms_videominer.scoring.scorer import Encoder
from lmms_videominer.search.index import index
from lmms_videominer.search.wishes import Case, Search
from lmms_videominer.selectors.building import build_stages, check_models, load_vlm
from lmms_videominer.selectors.videominer import VideoMinerSelector, looks
from lmms_videominer.types import Event, Question, Selection, Usage, VideoInfo
from lmms_videominer.vlm.prompts import PLAIN_TOPIC


@dataclass(frozen=True)
class Indexed:
    """What is known of a video before any question.

    Attributes:
        video: Metadata of the video.
        events: The events of the first levels, by level and time; without captions at ``index=0``. None if a question
            would not be searched for either: the video is too short.
        usage: What it cost; captions that were in the cache are counted apart.
        fallbacks: Names of the fallbacks used, as in a ``Selection``.
    """

    video: VideoInfo
    events: tuple[Event, ...]
    usage: Usage
    fallbacks: tuple[str, ...] = ()


def with_captions(config: MinerConfig) -> MinerConfig:
    """``config`` with an index of one level at least: without captions there is little to find."""
    return replace(config, index=max(config.index, 1))


class Indexing(VideoMinerSelector):
    """Runs ``search.index`` like a selector: for many videos at once, with the models and the cache of the method."""

    name = "index"
    unit: ClassVar[str] = "video"

    @classmethod
    def from_pretrained(
        cls, model: str | os.PathLike[str], *, config: MinerConfig, device: str | None = None
    ) -> Indexing:
        """Load what an index needs, which is less than a question does: nothing is decided, and nothing clustered.

        Args:
            model, config, device: See ``VideoMiner.from_pretrained``.

        Raises:
            ConfigError: The settings are of another selector, or of no use to an index, or there is no such device.
            ModelError: A model cannot be found or loaded, or its server cannot be reached.
        """
        names = resolve(model, config)
        check_models(names, config, device, cls)
        vlm = load_vlm(names.vlm, config, device)
        return cls(build_stages(config, vlm, device=device, scorer=names.scorer, selector=cls), config)

    @classmethod
    def check(cls, config: MinerConfig) -> None:
        if config.selector not in (cls.name, VideoMinerSelector.name):
            raise ConfigError(
                f"selector={config.selector}: an index is of use to selector={VideoMinerSelector.name} alone; leave "
                "the selector out"
            )
        super().check(config)

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        return frozenset({"vlm", "scorer"} if looks(config) else {"vlm"})

    def search(self, case: Case) -> Search:
        return index(case, encodes=looks(self.config) and isinstance(self.stages.scorer, Encoder))

    def make(
        self, videos: Sequence[str | os.PathLike[str]], *, progress: bool = False
    ) -> list[Indexed | VideoMinerError]:
        """One result per video, in order; see ``Selector.select``."""
        results = self.select([Question(os.fspath(video), PLAIN_TOPIC) for video in videos], progress=progress)
        return [_indexed(result) if isinstance(result, Selection) else result for result in results]


def _indexed(selection: Selection) -> Indexed:
    events = tuple(event for node in selection.nodes[1:] for event in node.events)
    return Indexed(selection.video, events, selection.usage, selection.fallbacks)
