"""Seconds per call: measured in what has run, finished cells of a comparison or rows of a manifest, or else assumed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from lmms_videominer.bench.plan import Cell
from lmms_videominer.config import MinerConfig
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.selectors import selector_class
from lmms_videominer.selectors.selector import Calls
from lmms_videominer.types import Usage

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


@dataclass(frozen=True)
class Spent:
    """What some questions of one run took together: seconds and how often, by the parts of ``Rates``.

    A batch splits its seconds evenly over its questions, and only one of those that need a caption has made it: seconds
    and calls of single questions do not belong together, those of a run do.
    """

    seconds: Mapping[str, float]
    counts: Mapping[str, float]

    @classmethod
    def by(cls, costs: Sequence[Usage]) -> Spent:
        """What questions took by their usage, answers included."""
        spent = sum(costs, Usage())
        seconds = seconds_of(spent.seconds)
        counts = {part: getattr(spent, calls) for part, calls in CALLS.items()}
        return cls(seconds, {**counts, "rest": len(costs)})

    @classmethod
    def in_cells(cls, rows: pd.DataFrame) -> list[Spent]:
        """What the questions of each cell took. An answer takes what the cell took beyond the selection: backbones
        read the frames then."""
        return [cls._in_cell(cell) for _, cell in rows.groupby("cell")]

    @classmethod
    def _in_cell(cls, rows: pd.DataFrame) -> Spent:
        known = {part: rows[rows[column].notna()] for part, column in COLUMNS.items()}
        seconds = {part: float(known[part][column].sum()) for part, column in COLUMNS.items()}
        counts = {part: float(known[part][f"{CALLS_IN_ROWS[part]}_made"].sum()) for part in COLUMNS}
        selected, ran = rows[rows["selection_s"].notna()], rows[rows["cell_s"].notna()]
        others = selected[list(COLUMNS.values())].fillna(0.0).sum(axis=1)
        seconds |= {"rest": float((selected["selection_s"] - others).sum())}
        seconds |= {"answer": float((ran["cell_s"] - ran["selection_s"].fillna(0.0)).sum())}
        return cls(seconds, {**counts, "rest": len(selected), "answer": len(ran)})


# stages of ``Usage.seconds`` by the part that they belong to; all others are the rest
STAGES = {"caption": "vlm", "policy": "llm", "score": "scored", "frames": "answer", "answer": "answer"}
CALLS = {"vlm": "vlm_calls", "llm": "policy_calls", "scored": "scores", "answer": "answer_calls"}  # in a ``Usage``
COLUMNS = {"vlm": "caption_s", "llm": "llm_s", "scored": "score_s"}  # seconds in the rows of a comparison
CALLS_IN_ROWS = {"vlm": "vlm_calls", "llm": "llm_calls", "scored": "scored_frames"}


def seconds_of(stages: Mapping[str, float]) -> dict[str, float]:
    """Seconds by part, from those by stage; parts without any are left out."""
    seconds: dict[str, float] = {}
    for stage, spent_s in stages.items():
        part = STAGES.get(stage, "rest")
        seconds[part] = seconds.get(part, 0.0) + spent_s
    return seconds


def measured(spent: Sequence[Spent]) -> Rates:
    """Seconds per call in these runs, without those that found all of it cached; ``None`` for what none has made."""
    rates: dict[str, float | None] = {}
    for part in (field.name for field in fields(Rates)):
        made = [one for one in spent if one.counts[part]]
        total_s = sum(one.seconds.get(part, 0.0) for one in made)
        rates[part] = max(0.0, total_s / sum(one.counts[part] for one in made)) if made else None
    return Rates(**rates)


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
    own = [_measured_in(rows[label & here]), _measured_in(rows[selector & here])]
    alike, every = [*own, _measured_in(rows[label]), _measured_in(rows[selector])], _measured_in(rows)
    judge = judge_of(cell.config)
    deciding = rows["judge"] == judge
    judged = [rows[which & deciding] for which in (label & here, selector & here, label, selector)]
    judged += [rows[deciding]] if judge == "policy" else []
    searching = rows[~rows["selector"].isin(["uniform", "none"])]
    others = [_measured_in(searching[searching["selector"] == name]).rest for name in searching["selector"].unique()]
    slowest = Rates(rest=max((rest for rest in others if rest is not None), default=every.rest))
    return Rates(
        _first([*alike, every], "vlm"),
        _first([_measured_in(part) for part in judged], "llm"),
        _first([*alike, every], "scored"),
        _first([*alike, slowest], "rest"),
        _first(own if cell.variant.selector == "uniform" else [*alike, _measured_in(searching)], "answer"),
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


def _measured_in(rows: pd.DataFrame) -> Rates:
    return measured(Spent.in_cells(rows))


def _first(rates: Sequence[Rates], part: str) -> float | None:
    """The first known one."""
    return next((value for one in rates if (value := getattr(one, part)) is not None), None)
