"""The method (arXiv 2510.06040): grows a tree of events and keeps the frames of the nodes that the policy accepts.

``search.plain`` grows it level by level, as published, ``search.best_first`` in the order of promise.
docs/deviations.md lists every difference from the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lmms_videominer.config import ASK, NO_POLICY, NO_SUBTITLES, PLAIN, MinerConfig, check_names, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.best_first import best_first, frames_at_most
from lmms_videominer.search.plain import covers, plain
from lmms_videominer.search.questions import searchable, with_options
from lmms_videominer.search.trees import AUTO, scored_at_most
from lmms_videominer.search.wishes import Case, Search
from lmms_videominer.selectors.selector import Calls, Selector

CAPTIONER = "caption"  # value of ``judge``
OPTIONS_CUT = "options_cut"  # the fallback of a question that is too long with its options


@dataclass(frozen=True)
class VideoMinerSettings:
    """Who decides about the parts of the tree, and which frames of it are taken."""

    judge: str = option(
        "policy",
        "Who decides about a part. policy: the policy, from captions, as published; caption: the captioner, which "
        "captions an event and decides about it in one reply; a reply that names no action takes default_action, where "
        "ask lets the policy decide. What is sought, the policy says in both cases.",
    )
    key_frames: str = option(
        AUTO,
        "Which frames of accepted parts are taken. spread: evenly spaced ones, as published; seen: first those that "
        "the captioner saw; scored: first those that fit what is sought by the scorer, of candidate_fps a second, or "
        "where the search looks with the scorer of four for each frame that is taken; auto: scored where the search "
        "looks with the scorer, else spread.",
    )
    uniform_share: float = option(
        0.0, "Share of the budget, from 0 to 1, that is kept for frames spaced evenly over the whole video."
    )

    def __post_init__(self) -> None:
        check_names([self.judge], ("policy", CAPTIONER), "videominer_judge")
        check_names([self.key_frames], (AUTO, "spread", "seen", "scored"), "videominer_key_frames")
        if not 0 <= self.uniform_share <= 1:
            raise ConfigError(f"videominer_uniform_share={self.uniform_share}: must be from 0 to 1")


class VideoMinerSelector(Selector):
    """Key frames from a tree (arXiv 2510.06040, section 3.1)."""

    name = "videominer"
    Settings = VideoMinerSettings

    @classmethod
    def check(cls, config: MinerConfig) -> None:
        if config.index and cls.settings_of(config).judge == CAPTIONER:
            raise ConfigError(
                f"index={config.index} with videominer_judge={CAPTIONER}: a caption with a verdict is made with the "
                "question, so questions cannot share it; leave out one of them"
            )

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        settings = cls.settings_of(config)
        wanted = {
            "vlm": True,
            # about the whole video, about each part, or about parts on which the captioner gives no verdict
            "policy": config.search != PLAIN or settings.judge != CAPTIONER or config.default_action == ASK,
            "embedder": config.clustering != "none" or config.subtitles != NO_SUBTITLES,
            "scorer": looks(config) or settings.key_frames == "scored",
        }
        return frozenset(name for name, needed in wanted.items() if needed)

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        if config.search == PLAIN and covers(config, duration_s):
            return Calls()  # too short for a search
        captions, whole = config.max_vlm_calls, 1  # decisions about the whole video
        if config.search == PLAIN:
            events = sum(config.events**depth for depth in range(1, config.max_depth + 1))
            frames = config.caption_frames if config.clustering == "frame" else 1
            captions, whole = min(events * frames, captions), 0
        parts = 0 if cls.settings_of(config).judge == CAPTIONER else min(config.max_nodes, captions)
        decisions = 0 if config.policy == NO_POLICY else whole + parts
        if looks(config):
            return Calls(captions, decisions, math.inf, frames_at_most(config, duration_s))
        scored = scored_at_most(config, duration_s) if cls.settings_of(config).key_frames == "scored" else 0
        return Calls(captions, decisions, scored)

    @classmethod
    def rounds_at_most(cls, config: MinerConfig) -> int:
        """How often a search asks the policy at most: levels, or the root and one round a wave."""
        return config.max_depth if config.search == PLAIN else 1 + min(config.max_vlm_calls, config.max_nodes)

    def search(self, case: Case) -> Search:
        told = with_options(case.question, case.config.search_options)
        question = searchable(told)
        grow = plain if case.config.search == PLAIN else best_first
        found = yield from grow(
            replace(case, question=question),
            self.stages.clusterer,
            self.settings.key_frames,
            self.settings.uniform_share,
            self.settings.judge == CAPTIONER,
        )
        return replace(found, fallbacks=(*found.fallbacks, OPTIONS_CUT)) if question != told else found


def looks(config: MinerConfig) -> bool:
    """Whether the search compares frames with what is sought."""
    return config.search != PLAIN and config.look != "none"
