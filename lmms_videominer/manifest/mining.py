"""Mines rows into a folder: each once, each on disk as soon as it is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lmms_videominer.errors import VideoError, VideoMinerError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.types import Selection, Usage
from lmms_videominer.video.faults import check_file

if TYPE_CHECKING:
    from lmms_videominer.miner import VideoMiner

Add = Callable[[QuestionRow, "Selection | VideoMinerError"], object]


def without_video(rows: Sequence[QuestionRow]) -> dict[str, VideoError]:
    """By video, why it cannot be opened, for those of ``rows`` whose file is not there or empty: no model is needed."""
    faults: dict[str, VideoError] = {}
    for video in dict.fromkeys(row.video for row in rows):
        try:
            check_file(video)
        except VideoError as error:
            faults[video] = error
    return faults


def mine_rows(miner: VideoMiner, rows: Sequence[QuestionRow], add: Add, *, bar: Bar) -> None:
    """Mine and answer ``rows``, those on one video together, and hand each result to ``add`` as soon as it is known.

    Raises:
        ModelError: A model fails at everything it is asked; what came before has been handed on.
    """
    bar.expect(miner.selector.calls_at_most(miner.config, math.inf).vlm, len(rows))
    for position, result in miner.mine_each([row.question for row in rows], serving=bar.serve, used=bar.use):
        add(rows[position], result)
        bar.done(failed=isinstance(result, VideoMinerError))


class Bar:
    """A progress bar on stderr: rows, failures, calls and the time that is left.

    Args:
        total: Number of rows.
        before: How many of them have results from an earlier run.
        shown: Whether to show it.
    """

    def __init__(self, total: int, before: int, shown: bool):
        from tqdm import tqdm

        # the first question on a video costs more than the next: the time left is told from all rows, not the last ones
        self._bar = tqdm(total=total, initial=before, desc="mine", unit="row", disable=not shown, smoothing=0)
        self._usage, self._stage, self._failed, self._most = Usage(), "", 0, 0.0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, captions: float, rows: int) -> None:
        """Show captions against ``captions``, the most that one row may ask for, times ``rows``."""
        self._most = captions * rows

    def serve(self, stage: str) -> None:
        self._stage = stage
        self._show()

    def use(self, usage: Usage) -> None:
        self._usage += usage
        self._show()

    def done(self, failed: bool = False) -> None:
        self._failed += failed
        self._bar.update()
        self._show()

    def _show(self) -> None:
        self._bar.set_postfix_str(self.text(), refresh=not self._bar.disable)

    def text(self) -> str:
        """What stands behind the bar: ``2 failed, 214/8000 captions (60 cached), 190 decisions, caption``."""
        usage = self._usage
        captions = f"{usage.vlm_calls + usage.vlm_calls_cached}"
        if self._most and math.isfinite(self._most):
            captions += f"/{self._most:.0f}"
        parts = [f"{self._failed} failed"] if self._failed else []
        parts.append(f"{captions} captions ({usage.vlm_calls_cached} cached)")
        parts.append(f"{usage.policy_calls + usage.policy_calls_cached} decisions")
        return ", ".join([*parts, *filter(None, [self._stage])])
