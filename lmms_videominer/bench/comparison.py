"""What is compared with what: variants that answered the same questions of a task with the same number of frames."""

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

TOLD = 8  # documents that a refusal names
LONG_S = 5  # the time without a bar


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
        return self.told(f"{self.frames} frames")

    def told(self, frames: str) -> str:
        """The setting, with ``frames`` in place of their number."""
        first = f", first {self.limit} questions" if self.limit else ""
        made = ", ".join(filter(None, [self.model, self.weights, self.common]))
        return f"{frames}{first} ({made})"


@dataclass(frozen=True)
class Difference:
    """What ``first`` has more than ``second``, over the same questions.

    Attributes:
        first, second: Labels of variants.
        accuracy: Of all questions.
        recall: Of evidence recall, over the questions where both have it; ``None``: nowhere.
    """

    first: str
    second: str
    accuracy: Interval
    recall: Interval | None


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


def between_frames(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Every two groups that differ in the number of frames alone, that of fewer frames first."""
    found: dict[tuple, list[Group]] = {}
    for group in sorted(groups, key=lambda group: group.frames):
        found.setdefault((group.model, group.weights, group.common, group.task, group.limit), []).append(group)
    return [pair for members in found.values() for pair in itertools.combinations(members, 2)]


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


def obstacle(*groups: Group) -> str:
    """Why the variants of ``groups`` cannot be compared: they answered other questions. Empty where they did not."""
    variants = {
        label if len(groups) == 1 else f"{label} ({group.frames} frames)": rows
        for group in groups
        for label, rows in by_variant(group).items()
    }
    asked = {
        label: dict(zip(rows["doc_id"], rows["target"] + "\0" + rows["prompt"])) for label, rows in variants.items()
    }
    if not asked:
        return ""
    first, *others = asked
    for label in others:
        odd = sorted(
            doc for doc in asked[first].keys() | asked[label].keys() if asked[first].get(doc) != asked[label].get(doc)
        )
        if odd:
            more = f" and {len(odd) - TOLD} more" if len(odd) > TOLD else ""
            told = ", ".join(str(doc) for doc in odd[:TOLD])
            return (
                f"{first} and {label} did not answer the same questions: they differ in documents {told}{more}. "
                "Delete the cells of the older one, and they are run again"
            )
    metrics = {label: rows["metric"].iloc[0] for label, rows in variants.items() if "metric" in rows}
    metrics = {label: metric for label, metric in metrics.items() if isinstance(metric, str)}  # else kept from before
    if len(set(metrics.values())) > 1:
        told = ", ".join(f"{label} by {metric}" for label, metric in metrics.items())
        return (
            f"they are scored by different metrics ({told}). Delete the cells of the older ones, and they are run again"
        )
    repeated = [label for label, rows in variants.items() if rows["doc_id"].duplicated().any()]
    if repeated:
        return f"{', '.join(repeated)}: several cells with other settings have this label; give each its own label"
    return ""


def summaries(group: Group) -> list[Summary]:
    """Every variant of ``group``, in the order of its rows."""
    return [_summary(label, rows, group) for label, rows in by_variant(group).items()]


def differences(group: Group, seed: int = 0) -> list[Difference]:
    """The difference of every two variants of ``group``, which answered the same questions."""
    return _differences(itertools.combinations(by_variant(group).items(), 2), group.task, seed)


def differences_between(few: Group, many: Group, seed: int = 0) -> list[Difference]:
    """The difference of every variant of ``few`` from every one of ``many``, which answered the same questions.

    Text only, which belongs to both, is left out.
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
    """Of two variants, whose rows are of the same documents in the same order."""
    (first, rows), (second, others) = one, other
    known = (rows["evidence_recall"].notna().to_numpy() & others["evidence_recall"].notna().to_numpy()).nonzero()[0]

    def interval(column: str, places: Sequence[int] | slice = slice(None)) -> Interval:
        mine, theirs = (table.iloc[places] for table in (rows, others))
        return difference_interval(
            mine[column].to_numpy(float), theirs[column].to_numpy(float), seed, videos=mine["video"].tolist()
        )

    return Difference(first, second, interval("correct"), interval("evidence_recall", known) if len(known) else None)


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
    return {
        label: {kind: float(rows[rows["kind"] == kind]["correct"].mean()) for kind in kinds}
        for label, rows in by_variant(group).items()
    }


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
