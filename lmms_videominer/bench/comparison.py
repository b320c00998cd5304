"""What is compared with what: variants that answered the same questions of a task with the same number of frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.bench.plan import CACHES
from lmms_videominer.bench.statistics import Interval, accuracy_interval, difference_interval

if TYPE_CHECKING:
    import pandas as pd

TOLD = 8  # documents that a refusal names


@dataclass(frozen=True)
class Group:
    """The rows of one model on one task with one number of frames.

    Attributes:
        model, weights, common, task, limit, frames: Which.
        table: The rows, those of text only (``frames`` 0) among them.
    """

    model: str
    weights: str
    common: str
    task: str
    limit: int | None
    frames: int
    table: pd.DataFrame

    @property
    def title(self) -> str:
        return f"{self.task}, {self.setting}"

    @property
    def setting(self) -> str:
        """What it may share with groups on other tasks."""
        first = f", first {self.limit} questions" if self.limit else ""
        made = ", ".join(filter(None, [self.model, self.weights, self.common]))
        return f"{self.frames} frames{first} ({made})"


@dataclass(frozen=True)
class Difference:
    """Accuracy of ``first`` minus that of ``second``, over the same questions."""

    first: str
    second: str
    interval: Interval


@dataclass(frozen=True)
class Summary:
    """One variant in one group. Means are over questions; ``None``: not known.

    Attributes:
        variant, selector, questions, accuracy: As they are called.
        recall: Mean evidence recall over the questions whose evidence is known.
        read: Accuracy over the questions of which every evidence window holds a frame: what the video LLM makes of it.
        vlm_calls, vlm_made: Captions asked for, and those of them that the cache did not have.
        llm_calls, scored, nodes: Means a question.
        seconds: Seconds a question by cache: of the run with an empty one, of that with what it left, of that with
            the shared one.
        selection_s: Of these, what the selector says it took; of the cold run where there is one.
        fallbacks, problems: Questions with a fallback, and those that could not be mined.
    """

    variant: str
    selector: str
    questions: int
    accuracy: Interval
    recall: float | None
    read: float | None
    vlm_calls: float | None
    vlm_made: float | None
    llm_calls: float | None
    scored: float | None
    nodes: float | None
    seconds: dict[str, float | None]
    selection_s: float | None
    fallbacks: int
    problems: int


def groups_of(table: pd.DataFrame) -> Iterator[Group]:
    """The groups of ``table``, in the order of its rows; text only belongs to every number of frames of its task."""
    import pandas as pd

    names = ["model", "weights", "common", "task", "limit"]
    for key, rows in table.groupby(names, sort=False, dropna=False):
        model, weights, common, task, limit = key
        counts = sorted(int(count) for count in rows["frames"].unique() if count) or [0]
        for frames in counts:
            part = rows[rows["frames"].isin([0, frames])]
            yield Group(model, weights, common, task, None if pd.isna(limit) else int(limit), frames, part)


def on_all_tasks(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups that differ in the task alone, together."""
    found: dict[tuple, list[Group]] = {}
    for group in groups:
        found.setdefault((group.model, group.weights, group.common, group.limit, group.frames), []).append(group)
    return list(found.values())


def preferred(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one variant from one run, the cold one where there are several."""
    cache = next((cache for cache in CACHES if (rows["cache"] == cache).any()), "")
    return rows[rows["cache"] == cache]


def by_variant(group: Group) -> dict[str, pd.DataFrame]:
    """The preferred rows of each variant by label, each sorted by document."""
    found = {}
    for label, rows in group.table.groupby("variant", sort=False):
        found[str(label)] = preferred(rows).sort_values("doc_id")
    return found


def obstacle(group: Group) -> str:
    """Why the variants of ``group`` cannot be compared: they answered other questions. Empty where they did not."""
    variants = by_variant(group)
    asked = {
        label: dict(zip(rows["doc_id"], rows["target"] + "\0" + rows["prompt"])) for label, rows in variants.items()
    }
    if not asked:
        return ""
    first, *others = asked
    for label in others:
        odd = sorted(doc for doc in asked[first].keys() | asked[label].keys()
                     if asked[first].get(doc) != asked[label].get(doc))  # fmt: skip
        if odd:
            more = f" and {len(odd) - TOLD} more" if len(odd) > TOLD else ""
            told = ", ".join(str(doc) for doc in odd[:TOLD])
            return (f"{first} and {label} did not answer the same questions: they differ in documents {told}{more}. "
                    "Delete the cells of the older one, and they are run again")  # fmt: skip
    repeated = [label for label, rows in variants.items() if rows["doc_id"].duplicated().any()]
    if repeated:
        return f"{', '.join(repeated)}: several cells with other settings have this label; give each its own label"
    return ""


def summaries(group: Group) -> list[Summary]:
    """Every variant of ``group``, in the order of its rows."""
    return [_summary(label, rows, group) for label, rows in by_variant(group).items()]


def differences(group: Group, seed: int = 0) -> list[Difference]:
    """The difference of every two variants of ``group``, which answered the same questions."""
    variants = by_variant(group)
    scores = {label: rows["correct"].to_numpy(float) for label, rows in variants.items()}
    videos = next(iter(variants.values()))["video"].tolist() if variants else []
    return [Difference(first, second, difference_interval(scores[first], scores[second], seed, videos=videos))
            for first, second in itertools.combinations(scores, 2)]  # fmt: skip


def mean(values: pd.Series) -> float | None:
    """The mean of what is known; ``None`` where nothing is."""
    known = values.dropna()
    return float(known.mean()) if len(known) else None


def _summary(label: str, rows: pd.DataFrame, group: Group) -> Summary:
    runs = group.table[group.table["variant"] == label]
    return Summary(
        variant=label,
        selector=str(rows["selector"].iloc[0]),
        questions=len(rows),
        accuracy=accuracy_interval(rows["correct"].to_numpy(float)),
        recall=mean(rows["evidence_recall"]),
        read=mean(rows[rows["evidence_recall"] == 1]["correct"]),
        vlm_calls=mean(rows["vlm_calls"]),
        vlm_made=mean(rows["vlm_calls_made"]),
        llm_calls=mean(rows["llm_calls"]),
        scored=mean(rows["scored_frames"]),
        nodes=mean(rows["nodes"]),
        seconds={cache: mean(runs[runs["cache"] == cache]["cell_s"]) for cache in CACHES},
        selection_s=mean(rows["selection_s"]),
        fallbacks=int((rows["fallbacks"] != "").sum()),
        problems=int((rows["problem"] != "").sum()),
    )


def scores_by_kind(group: Group) -> dict[str, dict[str, float]]:
    """Accuracy of each variant by the kind of question; empty where all questions are of one kind."""
    kinds = sorted(str(kind) for kind in group.table["kind"].unique())
    if len(kinds) < 2:
        return {}
    return {label: {kind: float(rows[rows["kind"] == kind]["correct"].mean()) for kind in kinds}
            for label, rows in by_variant(group).items()}  # fmt: skip


def scores_by_length(rows: pd.DataFrame, edges: Sequence[float]) -> list[tuple[float, Interval, int]]:
    """Mean length in minutes, accuracy and number of questions of each stretch between ``edges``, in minutes."""
    known = rows[rows["minutes"].notna()]
    places = np.searchsorted(np.asarray(edges), known["minutes"].to_numpy(float), side="right")
    found = []
    for place in np.unique(places):
        part = known[places == place]
        scores = part["correct"].to_numpy(float)
        found.append((float(part["minutes"].mean()), accuracy_interval(scores), len(part)))
    return found
