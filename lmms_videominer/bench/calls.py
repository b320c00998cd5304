"""How many calls a selector makes for one question at most, by its settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lmms_videominer.config import ASKING, NO_POLICY, SCORING, MinerConfig
from lmms_videominer.selectors.asking import MOST_COMPARED
from lmms_videominer.selectors.focus import EXTRA, LEAST_ARMS, LEAST_CLIPS


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


def calls_at_most(config: MinerConfig, duration_s: float = math.inf) -> Calls:
    """What ``config`` allows for one question on a video of ``duration_s``; infinite: its length is not known.

    Captions and scores that the cache holds count as well. For ``policy=none`` no language model is called.
    """
    selector, frames = config.selector, config.frames
    pool: float
    captions: float
    if selector in ("none", "uniform", "oracle"):
        return Calls()
    if selector == "videominer":
        if config.covers(duration_s):
            return Calls()  # too short for a search to pay
        captions = _tree_captions(config)
        return Calls(captions, 0 if config.policy == NO_POLICY else min(config.max_nodes, captions))
    if selector in SCORING:
        pool = max(frames, _count(duration_s * config.candidate_fps))
        if selector == "qframe":
            pool = min(pool, max(frames, config.qframe_candidates))
        return Calls(scored=_focus_scores(config, duration_s) if selector == "focus" else pool)
    if selector == "llovi":
        clips = min(_count(duration_s / config.llovi_clip_s), config.max_vlm_calls)
        return Calls(clips, _asked(config, replies=1 + bool(config.llovi_summary_words), decisions=clips))
    by_captions = config.features == "captions"
    pool = min(_count(duration_s), config.max_vlm_calls if by_captions else MOST_COMPARED)
    if selector == "videotree":
        widths = _widths(config, pool)
        captions = pool if by_captions else min(pool, sum(widths), config.max_vlm_calls)
        return Calls(captions, _asked(config, len(widths), sum(widths)), 0 if by_captions else pool)
    allowed = min(pool, config.max_vlm_calls)
    looks = _looks(config, allowed)
    # a reply may name a stretch as often as it likes, each time with another description to compare
    captions = looks[-1] if config.judge == "policy" and not by_captions else allowed
    compared = pool * (len(looks) - 1) if config.judge == "policy" else math.inf
    asked = _asked(config, 3 * (len(looks) - 1), sum(looks[:-1]))
    return Calls(captions, asked) if by_captions else Calls(captions, asked, compared, pool)


def judge_of(selector: str, judge: str) -> str:
    """``"reply"`` where the language model is asked for replies, up to ``llm_tokens`` long, ``"policy"`` for decisions.

    Args:
        judge: As set; it counts for the selectors that ask.
    """
    return judge if selector in ASKING else "policy"


def _count(value: float) -> float:
    """The nearest whole number, at least one."""
    return max(1, round(value)) if math.isfinite(value) else value


def _tree_captions(config: MinerConfig) -> int:
    """Events of a tree in which every node continues, each split into K, at most ``max_vlm_calls``."""
    events = sum(config.events**depth for depth in range(1, config.max_depth + 1))
    return min(events * (config.caption_frames if config.clustering == "frame" else 1), config.max_vlm_calls)


def _widths(config: MinerConfig, pool: float) -> list[float]:
    """Clusters of videotree's rounds: doubled from round to round."""
    widths: list[float] = [config.videotree_first]
    while widths[-1] < config.videotree_most:
        widths.append(min(2 * widths[-1], config.videotree_most))
    return [min(width, pool) for width in widths]


def _looks(config: MinerConfig, pool: float) -> list[float]:
    """Frames that videoagent has seen after each round, where every gap between them is looked into."""
    seen = [min(config.videoagent_frames, pool)]
    for _ in range(config.videoagent_rounds - 1):
        seen.append(min(2 * seen[-1] - 1, pool))
    return seen


def _focus_scores(config: MinerConfig, duration_s: float) -> float:
    """The coarse frames of all clips and the close look at the share of them."""
    if not math.isfinite(duration_s):
        return duration_s
    clips = max(LEAST_CLIPS, math.ceil(duration_s / config.focus_clip_s))
    close = min(clips, max(LEAST_ARMS, math.ceil(clips * config.focus_share)))
    return clips * (1 + EXTRA) + close * max(1, math.ceil(duration_s / clips))


def _asked(config: MinerConfig, replies: int, decisions: float) -> float:
    """Calls of the language model, as ``judge`` says; ``policy=none`` compares vectors instead."""
    if config.judge == "reply":
        return replies
    return 0 if config.policy == NO_POLICY else decisions
