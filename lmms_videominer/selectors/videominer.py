"""The method (arXiv 2510.06040): grows a tree of events and keeps the frames of the nodes that the policy accepts.

``search.plain`` grows it level by level, as published, ``search.best_first`` in the order of promise.
docs/deviations.md lists every difference from the paper.
"""

from __future__ import annotations

import math

from lmms_videominer.config import NO_POLICY, PLAIN, MinerConfig
from lmms_videominer.search.best_first import best_first, frames_at_most
from lmms_videominer.search.plain import covers, plain
from lmms_videominer.search.wishes import Case, Search
from lmms_videominer.selectors.selector import Calls, Selector


class VideoMinerSelector(Selector):
    """Key frames from a tree (arXiv 2510.06040, section 3.1)."""

    name = "videominer"

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        models = {"vlm", "policy"} | ({"embedder"} if config.clustering != "none" else set())
        looks = config.search != PLAIN and config.look == "scorer"
        return frozenset(models | ({"scorer"} if looks else set()))

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        if config.search != PLAIN:
            captions: float = config.max_vlm_calls
        elif covers(config, duration_s):
            return Calls()  # too short for a search
        else:
            events = sum(config.events**depth for depth in range(1, config.max_depth + 1))
            captions = min(
                events * (config.caption_frames if config.clustering == "frame" else 1), config.max_vlm_calls
            )
        decisions = 0 if config.policy == NO_POLICY else min(config.max_nodes, captions)
        if config.search == PLAIN:
            return Calls(captions, decisions)
        if config.look == "none":
            return Calls(captions, decisions and decisions + 1)
        return Calls(captions, decisions and decisions + 1, math.inf, frames_at_most(config, duration_s))

    @classmethod
    def rounds_at_most(cls, config: MinerConfig) -> int:
        """How often a search asks the policy at most: levels, or the root and one round a wave."""
        return config.max_depth if config.search == PLAIN else 1 + min(config.max_vlm_calls, config.max_nodes)

    def search(self, case: Case) -> Search:
        grow = plain if case.config.search == PLAIN else best_first
        return grow(case, self.stages.clusterer)
