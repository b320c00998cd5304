"""Groups rows for comparison: variants that answered the same questions of a task with the same number of frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.bench.plan import CACHES
from lmms_videominer.bench.statistics import Interval, accuracy_interval, difference_interval

if TYPE_CHECKING:
    import pandas as pd

    Side = tuple[str, pd.DataFrame]  # label and preferred rows of a variant

MOST_NAMED = 8  # documents that a message names
LONG_S = 5  # seconds before a progress bar appears


@dataclass(frozen=True)
class Group:
    """The rows of one model on one task with one number of frames.

    Attributes:
        model, weights, common, task, limit, frames: What its rows have in common.
        table: The rows, including those of text only (``frames`` 0).
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
        """The settings that it may share with groups on other tasks."""
        return self.setting_with(f"{self.frames} frames")

    def setting_with(self, frames: str) -> str:
        """The setting, with ``frames`` in place of the number of frames."""
        first = f", first {self.limit} questions" if self.limit else ""
        models = ", ".join(filter(None, [self.model, self.weights, self.common]))
        return f"{frames}{first} ({models})"


@dataclass(frozen=True)
class Difference:
    """The difference ``first - second`` over the same questions.

    Attributes:
        first, second: Labels of variants.
        accuracy: The difference in accuracy over all questions.
        recall: The difference in evidence recall over the questions where both have it; ``None`` if there are none.
    """

    first: str
    second: str
    accuracy: Interval
    recall: Interval | None


@dataclass(frozen=True)
class Summary:
    """One variant in one group. Means are over questions; ``None`` if unknown.

    Attributes:
        variant, selector, questions, accuracy: Its label and selector, the number of questions, and the accuracy.
        recall: Mean evidence recall over the questions with known evidence.
        read: Accuracy over the questions with a frame in every evidence window: how well the video LLM uses them.
        vlm_calls, vlm_made: Mean number of captions requested, and of those that were not in the cache.
        llm_calls, scored, nodes: Means per question.
        seconds: Seconds per question, by cache: of the run with an empty cache, of the one with the cache that it
            left, and of the one with the shared cache.
        selection_s: The part of these that the selector reports; of the cold run if there is one.
        fallbacks, problems: Numbers of questions with a fallback, and of those that could not be mined.
        substituted: Number of damaged frames for which the nearest one served, over all questions.
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
    substituted: int


def groups_of(table: pd.DataFrame) -> Iterator[Group]:
    """The groups of ``table``, in the order of its rows. Text only belongs to every number of frames of its task."""
    import pandas as pd

    names = ["model", "weights", "common", "task", "limit"]
    for key, rows in table.groupby(names, sort=False, dropna=False):
        model, weights, common, task, limit = key
        counts = sorted(int(count) for count in rows["frames"].unique() if count) or [0]
        for frames in counts:
            part = rows[rows["frames"].isin([0, frames])]
            yield Group(model, weights, common, task, None if pd.isna(limit) else int(limit), frames, part)


def on_all_tasks(groups: Sequence[Group]) -> list[list[Group]]:
    """Lists of groups that differ only in the task."""
    by_setting: dict[tuple, list[Group]] = {}
    for group in groups:
        by_setting.setdefault((group.model, group.weights, group.common, group.limit, group.frames), []).append(group)
    return list(by_setting.values())


def between_frames(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """All pairs of groups that differ only in the number of frames, the one with fewer frames first."""
    by_setting: dict[tuple, list[Group]] = {}
    for group in sorted(groups, key=lambda group: group.frames):
        by_setting.setdefault((group.model, group.weights, group.common, group.task, group.limit), []).append(group)
    return [pair for members in by_setting.values() for pair in itertools.combinations(members, 2)]


def preferred(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one variant from one run, the cold one if there are several."""
    cache = next((cache for cache in CACHES if (rows["cache"] == cache).any()), "")
    return rows[rows["cache"] == cache]


def by_variant(group: Group) -> dict[str, pd.DataFrame]:
    """The preferred rows of each variant, by label, sorted by document."""
    rows_of = {}
    for label, rows in group.table.groupby("variant", sort=False):
        rows_of[str(label)] = preferred(rows).sort_values("doc_id")
    return rows_of


def obstacle(*groups: Group) -> str:
    """Why the variants of ``groups`` cannot be compared, such as different questions; empty if they can."""
    variants = {
        label if len(groups) == 1 else f"{label} ({group.frames} frames)": rows
        for group in groups
        for label, rows in by_variant(group).items()
    }
    questions = {
        label: dict(zip(rows["doc_id"], rows["target"] + "\0" + rows["prompt"])) for label, rows in variants.items()
    }
    if not questions:
        return ""
    first, *others = questions
    for label in others:
        one, other = questions[first], questions[label]
        differing = sorted(doc for doc in one.keys() | other.keys() if one.get(doc) != other.get(doc))
        if differing:
            more = f" and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
            names = ", ".join(str(doc) for doc in differing[:MOST_NAMED])
            return (
                f"{first} and {label} did not answer the same questions: they differ in documents {names}{more}. "
                "Delete the cells of the older one to run them again"
            )
    metrics = {label: rows["metric"].iloc[0] for label, rows in variants.items() if "metric" in rows}
    metrics = {
        label: metric for label, metric in metrics.items() if isinstance(metric, str)
    }  # rows of earlier versions have none
    if len(set(metrics.values())) > 1:
        names = ", ".join(f"{label} by {metric}" for label, metric in metrics.items())
        return f"they are scored by different metrics ({names}). Delete the cells of the older ones to run them again"
    repeated = [label for label, rows in variants.items() if rows["doc_id"].duplicated().any()]
    if repeated:
        return f"{', '.join(repeated)}: several cells with different settings have this label; give each its own label"
    return ""


def summaries(group: Group) -> list[Summary]:
    """A summary of every variant of ``group``, in the order of its rows."""
    return [_summary(label, rows, group) for label, rows in by_variant(group).items()]


def differences(group: Group, seed: int = 0) -> list[Difference]:
    """The difference between every two variants of ``group``, which must have answered the same questions."""
    return _differences(itertools.combinations(by_variant(group).items(), 2), group.task, seed)


def differences_between(few: Group, many: Group, seed: int = 0) -> list[Difference]:
    """The difference between every variant of ``few`` and every one of ``many``, for the same questions.

    Excludes text only, which belongs to both.
    """
    sides = [
        [(label, rows) for label, rows in by_variant(group).items() if (rows["frames"] > 0).all()]
        for group in (few, many)
    ]
    return _differences([(first, second) for first in sides[0] for second in sides[1]], few.task, seed)


def _differences(pairs: Iterable[tuple[Side, Side]], task: str, seed: int) -> list[Difference]:
    from tqdm import tqdm

    bar = tqdm(list(pairs), desc=f"{task}: intervals", leave=False, delay=LONG_S)
    return [_difference(first, second, seed) for first, second in bar]


def _difference(one: Side, other: Side, seed: int) -> Difference:
    """The difference between two variants, whose rows have the same documents in the same order."""
    (first, rows), (second, others) = one, other
    in_both = rows["evidence_recall"].notna().to_numpy() & others["evidence_recall"].notna().to_numpy()
    recall_places = in_both.nonzero()[0]

    def interval(column: str, places: Sequence[int] | slice = slice(None)) -> Interval:
        left, right = (table.iloc[places] for table in (rows, others))
        return difference_interval(
            left[column].to_numpy(float), right[column].to_numpy(float), seed, videos=left["video"].tolist()
        )

    recall = interval("evidence_recall", recall_places) if len(recall_places) else None
    return Difference(first, second, interval("correct"), recall)


def mean(values: pd.Series) -> float | None:
    """The mean of the known values; ``None`` if there are none."""
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
        substituted=int(rows["frames_substituted"].sum()) if "frames_substituted" in rows else 0,
    )


def scores_by_kind(group: Group) -> dict[str, dict[str, float]]:
    """Accuracy of each variant by kind of question; empty if all questions are of one kind."""
    kinds = sorted(str(kind) for kind in group.table["kind"].unique())
    if len(kinds) < 2:
        return {}
    return {
        label: {kind: float(rows[rows["kind"] == kind]["correct"].mean()) for kind in kinds}
        for label, rows in by_variant(group).items()
    }


def scores_by_length(rows: pd.DataFrame, edges: Sequence[float]) -> list[tuple[float, Interval, int]]:
    """Mean length in minutes, accuracy and number of questions of each bin between ``edges``, in minutes."""
    timed_rows = rows[rows["minutes"].notna()]
    places = np.searchsorted(np.asarray(edges), timed_rows["minutes"].to_numpy(float), side="right")
    bins = []
    for place in np.unique(places):
        part = timed_rows[places == place]
        scores = part["correct"].to_numpy(float)
        bins.append((float(part["minutes"].mean()), accuracy_interval(scores), len(part)))
    return bins
