"""Seconds of calls: as finished cells measured them, and as assumed where none has finished."""

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

# of video: a second of decoding, where the backbone takes uniform frames by itself
DECODED_AT_ONCE_S = {True: 200, False: 27}  # the bundled models on the world's small videos; 7B on 720p


def judge_of(config: MinerConfig) -> str:
    """``"reply"`` where a language model writes replies of up to ``llm_tokens``; ``"policy"`` for decisions."""
    return "reply" if "language_model" in selector_class(config.selector).needs(config) else "policy"


@dataclass(frozen=True)
class Rates:
    """Seconds of what a question costs. ``None``: not known.

    Attributes:
        vlm, llm, scored: Of one caption, one decision or reply, one frame scored.
        rest: Of the selection beside these: opening, segmenting, embedding.
        answer: Of the answer, its frames read and handed over.
    """

    vlm: float | None = None
    llm: float | None = None
    scored: float | None = None
    rest: float | None = None
    answer: float | None = None

    def seconds(self, calls: Calls, searched: bool = True) -> float | None:
        """Seconds of one question; ``None`` where a rate that counts is not known, or calls have no bound.

        Args:
            searched: Whether anything is selected at all: frames of the backbone's own cost an answer alone.
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
        """These rates, those of ``other`` in the place of what is not known."""
        return Rates(
            *(getattr(other if getattr(self, field.name) is None else self, field.name) for field in fields(Rates))
        )


def rates_of(rows: pd.DataFrame, cell: Cell) -> Rates:
    """What calls took in finished cells of the same model and weights: those most like ``cell`` that tell.

    That is its variant, else its selector, else any, each on its task with its number of frames first. What
    the answer takes, decoding by the backbone included, and the rest of a selection hang on the selector: of another
    one the highest is taken for the rest, and nothing for the answer of uniform frames. A reply is no decision, and
    what one takes hangs on what is asked: only cells of the same selector tell it.
    """
    rows = rows[(rows["model"] == cell.settings.model) & (rows["weights"] == cell.settings.weights)]
    here = (rows["task"] == cell.task) & (rows["frames"] == cell.frames)
    label, selector = rows["variant"] == cell.variant.label, rows["selector"] == cell.variant.selector
    own = [rows[label & here], rows[selector & here]]
    alike = [*own, rows[label], rows[selector]]
    judge = judge_of(cell.config)
    asked = [part[part["judge"] == judge] for part in (*alike, *([rows] if judge == "policy" else []))]
    searching = rows[~rows["selector"].isin(["uniform", "none"])]
    others = [searching[searching["selector"] == name] for name in searching["selector"].unique()]
    return Rates(
        _first([*alike, rows], lambda part: _per_call(part, "caption_s", "vlm_calls_made")),
        _first(asked, lambda part: _per_call(part, "llm_s", "llm_calls_made")),
        _first([*alike, rows], lambda part: _per_call(part, "score_s", "scored_frames_made")),
        _first([*alike, max(others, key=lambda part: _rest(part) or 0.0, default=rows)], _rest),
        _first(own if cell.variant.selector == "uniform" else [*alike, searching], _answer),
    )


def assumed(cell: Cell, duration_s: float) -> Rates:
    """What is assumed of a video of this length: the bundled models on one CPU core, else 7B on one GPU of 80 GB.

    The arithmetic of the latter is that of docs/recipes.md; the former was measured on the world.
    """
    bundled = cell.settings.weights == BUNDLED
    own = duration_s / DECODED_AT_ONCE_S[bundled] if cell.variant.selector == "uniform" else 0.0
    replies = judge_of(cell.config) == "reply"
    tokens = cell.config.llm_tokens if replies else 0
    if bundled:
        return Rates(0.08, 0.001 * tokens or 0.06, 0.003, duration_s / 300, 0.3 + own)
    caption = 4.8 / min(8, cell.settings.batch_size)
    return Rates(caption, 0.043 * tokens or 0.8, 0.005, duration_s / 60, 2.0 + own)


def _first(parts: Sequence[pd.DataFrame], rate: Callable[[pd.DataFrame], float | None]) -> float | None:
    return next((found for part in parts if (found := rate(part)) is not None), None)


def _per_call(rows: pd.DataFrame, seconds: str, calls: str) -> float | None:
    """Seconds of one call.

    Seconds and calls of a cell are added up first: a batch shares its seconds evenly, and of questions that want the
    same caption one alone has made it. Cells in which the cache answered everything say nothing.
    """
    spent = rows[rows[seconds].notna()].groupby("cell")[[seconds, calls]].sum()
    spent = spent[spent[calls] > 0]
    return float(spent[seconds].sum() / spent[calls].sum()) if len(spent) else None


def _rest(rows: pd.DataFrame) -> float | None:
    """Seconds a question of the selection beside captions, replies and scores."""
    spent = rows[rows["selection_s"].notna()]
    if not len(spent):
        return None
    parts = spent[["caption_s", "llm_s", "score_s"]].fillna(0.0).sum(axis=1)
    return max(0.0, float((spent["selection_s"] - parts).mean()))


def _answer(rows: pd.DataFrame) -> float | None:
    spent = rows[rows["cell_s"].notna()]
    return max(0.0, float((spent["cell_s"] - spent["selection_s"].fillna(0.0)).mean())) if len(spent) else None
