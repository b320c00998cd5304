"""Growing trees level by level, many at once: the one code for inference and for training rollouts.

Level ``d`` of all trees is one batch through every stage: the nodes to expand are segmented, all new events
captioned in one call, their captions embedded in one call, clustered into children parent by parent, and all
children decided in one call of the policy. Then the children that continue are the nodes to expand of level
``d + 1``, up to ``max_depth``.

Nodes may end otherwise than by their decision; their ``note`` says so:

- ``"short"``: a root whose video is no longer than ``max(frames, events) * grain_s``, or has no more frames than the
  budget: it is not searched, and no stage but the opening of the video runs for it (``level.needs_no_search``);
- ``"atomic"``: it continues, but its events cannot be cut any shorter;
- ``"max_vlm_calls"``: captioning its events would exceed the tree's limit, so it is not expanded. Captions
  found in the cache count as well: a warm cache must not give another tree than a cold one;
- ``"max_nodes"``: the tree has that many decisions; it is left undecided, or is decided and not expanded.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoError
from lmms_videominer.search.level import Growth, add, caption, cluster, decide, segment
from lmms_videominer.search.stages import Stages
from lmms_videominer.types import Node, Question, Usage, VideoInfo
from lmms_videominer.video.opening import opened


@dataclass(frozen=True)
class TreeJob:
    """One tree to grow. Several jobs may hold the same question: rollouts, told apart by their seeds."""

    question: Question
    seed: int = 0


@dataclass(frozen=True)
class GrownTree:
    """A tree and what it cost.

    Attributes:
        question, seed: Those of its job.
        video: Metadata of the video.
        timestamps_s: float64 [frame_count]: presentation time of every frame of the video.
        nodes: Root first, then by level and order.
        usage: Calls, tokens and seconds; a stage's seconds are shared evenly by the trees in its batch.
    """

    question: Question
    seed: int
    video: VideoInfo
    timestamps_s: np.ndarray
    nodes: tuple[Node, ...]
    usage: Usage


def grow_trees(
    jobs: Sequence[TreeJob],
    stages: Stages,
    config: MinerConfig,
    *,
    always_decide: bool = False,
    progress: bool = False,
) -> list[GrownTree | VideoError]:
    """Grow one tree a job, all of them one level at a time.

    A tree depends on its job alone: every decision samples with a seed of its own, made of the job's seed, the
    node and the prompt, so that neither the other jobs nor the number of processes matter (as far as the policy
    keeps to its protocol: the video LLM as policy samples a whole batch from one seed).

    Args:
        jobs: What to grow.
        stages: The models, the stages and the cache.
        config: The limits and settings.
        always_decide: Ask a policy that samples, or has no identity, exactly once a level for every level up to
            ``max_depth``, with an empty batch where nothing is left to decide: processes that generate together
            need that.
        progress: Show a progress bar on stderr.

    Returns:
        One entry a job, in order; where its video cannot be read, the ``VideoError``. It fails no other job.
    """
    growths = [Growth(job.question, job.seed) for job in jobs]
    with contextlib.ExitStack() as stack:
        clock = stack.enter_context(_clock(progress, total=1 + 4 * config.max_depth))
        with clock.stage("open", growths):
            videos = stack.enter_context(opened([job.question.video for job in jobs], config.reader))
            for growth in growths:
                growth.start(videos[growth.question.video], config)
        for depth in range(1, config.max_depth + 1):
            if always_decide or any(growth.frontier for growth in growths):
                _grow_level(growths, depth, stages, config, clock, always_decide)
    return [_result(growth) for growth in growths]


def _grow_level(
    growths: Sequence[Growth], depth: int, stages: Stages, config: MinerConfig, clock: _Clock, always_decide: bool
) -> None:
    """Expand every frontier into nodes of ``depth``, decide them, and set the new frontiers."""
    active = [growth for growth in growths if growth.frontier]
    with clock.stage("segment", active):
        expansions = [expansion for growth in active for expansion in segment(growth, stages, config)]
    with clock.stage("caption", active):
        expansions = caption(expansions, stages, config)
    with clock.stage("embed", active):
        children = cluster(expansions, stages)
    with clock.stage("policy", active):
        added = [add(growth, child, config) for growth, child in children]
        pending = [place for place in added if place is not None]
        if pending or always_decide:
            decide(pending, depth, stages, config)


def _result(growth: Growth) -> GrownTree | VideoError:
    if growth.error is not None:
        return growth.error
    return GrownTree(
        growth.question, growth.seed, growth.video.info, growth.timestamps_s, tuple(growth.nodes), growth.usage
    )


class _Clock:
    """Times the stages of a batch, and moves the progress bar."""

    def __init__(self, bar: Any):
        self._bar = bar

    @contextlib.contextmanager
    def stage(self, name: str, growths: Sequence[Growth]) -> Iterator[None]:
        """Share the seconds spent inside evenly over the trees that take part."""
        self._bar.set_postfix_str(name)
        started = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - started
        for growth in growths:
            growth.usage.seconds[name] = growth.usage.seconds.get(name, 0.0) + elapsed_s / len(growths)
        self._bar.update()


@contextlib.contextmanager
def _clock(progress: bool, total: int) -> Iterator[_Clock]:
    from tqdm import tqdm

    with tqdm(total=total, desc="mining", unit="stage", disable=not progress) as bar:
        yield _Clock(bar)
