"""Seconds per call: measured in finished cells, or assumed if none has finished."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from lmms_videominer.bench.plan import Cell
from lmms_videominer.config import MinerConfig
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.selectors import selector_class
from lmms_videominer.selectors.selector import Calls

if TYPE_CHECKING:
    import pandas as pd

# seconds of video decoded per second, if the backbone takes uniform frames by itself
DECODED_AT_ONCE_S = {True: 200, False: 27}  # the bundled models on the world's small videos; 7B on 720p


def judge_of(config: MinerConfig) -> str:
    """``"reply"`` if a language model writes replies of up to ``llm_tokens``; ``"policy"`` if it decides."""
    return "reply" if "language_model" in selector_class(config.selector).needs(config) else "policy"


@dataclass(frozen=True)
class Rates:
    """Seconds for the parts of a question. ``None`` if unknown.

    Attributes:
        vlm, llm, scored: Per caption, per decision or reply, and per scored frame.
        rest: For the rest of the selection: opening, segmenting, embedding.
        answer: For the answer, including reading its frames and passing them on.
    """

    vlm: float | None = None
    llm: float | None = None
    scored: float | None = None
    rest: float | None = None
    answer: float | None = None

    def seconds(self, calls: Calls, searched: bool = True) -> float | None:
        """Seconds for one question; ``None`` if a rate that it needs is unknown, or calls are unbounded.

        Args:
            searched: Whether frames are selected at all; the backbone's own frames cost only an answer.
        """
        total = 0.0
        for count, rate in (
            (calls.vlm, self.vlm),
            (calls.llm, self.llm),
            (calls.scored if calls.seen is None else calls.seen, self.scored),
            (int(searched), self.rest),
            (1, self.answer),
        ):
            if count and rate is None:
                return None
            total += count * (rate or 0.0)
        return total if math.isfinite(total) else None

    def or_else(self, other: Rates) -> Rates:
        """These rates, with unknown ones taken from ``other``."""
        return Rates(
            *(getattr(other if getattr(self, field.name) is None else self, field.name) for field in fields(Rates))
        )


def rates_of(rows: pd.DataFrame, cell: Cell) -> Rates:
    """Seconds per call in the finished cells that are most similar to ``cell``, with the same model and weights.

    These are cells of its variant, else of its selector, else of any, each first on its task with its number of frames.
    The time of the answer, which includes decoding by the backbone, and the rest of a selection depend on the selector:
    from other selectors, the highest value is used for the rest, and none for the answer of uniform frames. A reply is
    not a decision, and its time depends on the prompt: only cells of the same selector are used for it.
    """
    rows = rows[(rows["model"] == cell.settings.model) & (rows["weights"] == cell.settings.weights)]
    here = (rows["task"] == cell.task) & (rows["frames"] == cell.frames)
    label, selector = rows["variant"] == cell.variant.label, rows["selector"] == cell.variant.selector
    own = [rows[label & here], rows[selector & here]]
    alike = [*own, rows[label], rows[selector]]
    judge = judge_of(cell.config)
    judged = [part[part["judge"] == judge] for part in (*alike, *([rows] if judge == "policy" else []))]
    searching = rows[~rows["selector"].isin(["uniform", "none"])]
    others = [searching[searching["selector"] == name] for name in searching["selector"].unique()]
    return Rates(
        _first([*alike, rows], lambda part: _per_call(part, "caption_s", "vlm_calls_made")),
        _first(judged, lambda part: _per_call(part, "llm_s", "llm_calls_made")),
        _first([*alike, rows], lambda part: _per_call(part, "score_s", "scored_frames_made")),
        _first([*alike, max(others, key=lambda part: _rest(part) or 0.0, default=rows)], _rest),
        _first(own if cell.variant.selector == "uniform" else [*alike, searching], _answer),
    )


def assumed(config: MinerConfig, weights: str, batch_size: int, duration_s: float) -> Rates:
    """Assumed rates for a video of this length: for the bundled models on one CPU core, else for 7B on one 80 GB GPU.

    The latter are calculated as in docs/recipes.md; the former were measured on the world.

    Args:
        config: The settings of the search.
        weights: Name or folder of the video LLM or the bundle.
        batch_size: Captions of one forward pass.
        duration_s: Length of the video.
    """
    bundled = weights == BUNDLED
    own = duration_s / DECODED_AT_ONCE_S[bundled] if config.selector == "uniform" else 0.0
    replies = judge_of(config) == "reply"
    tokens = config.llm_tokens if replies else 0
    if bundled:
        return Rates(0.08, 0.001 * tokens or 0.06, 0.003, duration_s / 300, 0.3 + own)
    caption = 4.8 / min(8, batch_size)
    return Rates(caption, 0.043 * tokens or 0.8, 0.005, duration_s / 60, 2.0 + own)


def _first(parts: Sequence[pd.DataFrame], rate: Callable[[pd.DataFrame], float | None]) -> float | None:
    return next((seconds for part in parts if (seconds := rate(part)) is not None), None)


def _per_call(rows: pd.DataFrame, seconds: str, calls: str) -> float | None:
    """Seconds per call; ``None`` if unknown.

    Seconds and calls are summed over each cell first: a batch splits its seconds evenly, and only one of the questions
    that need a caption has generated it. Cells in which everything was cached are ignored.
    """
    spent = rows[rows[seconds].notna()].groupby("cell")[[seconds, calls]].sum()
    spent = spent[spent[calls] > 0]
    return float(spent[seconds].sum() / spent[calls].sum()) if len(spent) else None


def _rest(rows: pd.DataFrame) -> float | None:
    """Seconds per question of the selection, without captions, replies and scores."""
    spent = rows[rows["selection_s"].notna()]
    if not len(spent):
        return None
    parts = spent[["caption_s", "llm_s", "score_s"]].fillna(0.0).sum(axis=1)
    return max(0.0, float((spent["selection_s"] - parts).mean()))


def _answer(rows: pd.DataFrame) -> float | None:
    spent = rows[rows["cell_s"].notna()]
    return max(0.0, float((spent["cell_s"] - spent["selection_s"].fillna(0.0)).mean())) if len(spent) else None
