"""The method (arXiv 2510.06040): grow a tree, keep the frames of what the policy accepts.

docs/deviations.md lists every point in which it differs from the paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.search.key_frames import kept_nodes, node_key_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.search.tree import GrownTree, TreeJob, grow_trees
from lmms_videominer.selectors.selector import checked_question
from lmms_videominer.types import Question, Selection

# Readers stay open and frames in memory for this many questions at once. Wide enough for full batches:
# a level of 16 questions is up to 256 captions.
QUESTIONS_AT_ONCE = 16


class VideoMinerSelector:
    """Key frames from a tree (arXiv 2510.06040, section 3.1)."""

    name = "videominer"

    def __init__(self, stages: Stages, config: MinerConfig):
        self.stages, self.config = stages, config

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        results: dict[int, Selection | VideoMinerError] = {}
        jobs: dict[int, TreeJob] = {}
        for i, question in enumerate(questions):
            try:
                jobs[i] = TreeJob(checked_question(question), self.config.seed)
            except VideoMinerError as error:
                results[i] = error
        order = list(jobs)
        for start in range(0, len(order), QUESTIONS_AT_ONCE):
            part = order[start : start + QUESTIONS_AT_ONCE]
            trees = grow_trees([jobs[i] for i in part], self.stages, self.config, progress=progress)
            results.update((i, self._selection(tree)) for i, tree in zip(part, trees, strict=True))
        return [results[i] for i in range(len(questions))]

    def _selection(self, tree: GrownTree | VideoMinerError) -> Selection | VideoMinerError:
        return tree if isinstance(tree, VideoMinerError) else tree_selection(tree, self.stages, self.config)


def tree_selection(tree: GrownTree, stages: Stages, config: MinerConfig) -> Selection:
    """The key frames of one grown tree, with all that led to them."""
    kept, fallback = kept_nodes(tree.nodes)
    return Selection(
        question=tree.question,
        video=tree.video,
        key_frames=node_key_frames(kept, tree.timestamps_s, config.frames),
        selector=VideoMinerSelector.name,
        nodes=tree.nodes,
        usage=tree.usage,
        fallbacks=tuple(name for name in (fallback, stages.cache.fallback) if name),
        config=dataclasses.asdict(config),
        seed=tree.seed,
    )
