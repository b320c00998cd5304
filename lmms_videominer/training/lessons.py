"""Lessons of a cold start: prompts with the completions to learn, out of saved trees or written by hand."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.store.selection_json import load
from lmms_videominer.training.layouts import TrainingQuestion
from lmms_videominer.training.rewards import tree_reward
from lmms_videominer.training.row_files import PlacedRow, read_rows
from lmms_videominer.types import Reading, Selection
from lmms_videominer.verdict import chosen_option

KEEP = ("right", "all")
_NAMED_VERDICT = re.compile(r"\.(right|wrong)\.json$")  # as training and the difficulty filter name trees


@dataclass(frozen=True)
class Lesson:
    """A prompt of the policy, without chat template, and the completion to learn."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class LoggedAnswer:
    """What lmms-eval logged of a sample: the right answer, and the one that was given."""

    target: str
    reply: str


Told = bool | LoggedAnswer | None  # what is known of a tree's answer before the tree is read


@dataclass
class LessonSet:
    """Lessons without repeats, in the order found.

    Attributes:
        lessons: Prompts and completions.
        trees: How many trees they are from.
        left_out: What was not taken, counted by reason.
    """

    lessons: list[Lesson] = field(default_factory=list)
    trees: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        reasons = [f"{count} {reason}" for reason, count in self.left_out.items()]
        return f"{len(self.lessons)} lessons from {self.trees} trees" + (
            f"; left out: {', '.join(reasons)}" if reasons else ""
        )


def read_lessons(
    sources: Sequence[str | os.PathLike[str]], keep: str = "right", questions: Iterable[TrainingQuestion] = ()
) -> LessonSet:
    """The decisions of saved trees that follow the format fully, and lessons that stand in a file as such.

    Args:
        sources: Each a tree (``.json`` of ``mine --json``, of a training run or of the difficulty filter); a
            ``.jsonl`` whose lines hold ``prompt`` and ``completion``, or are samples that lmms-eval logged with
            ``--log_samples``; or a folder, which is searched for trees and for logged samples.
        keep: ``right``: decisions of trees whose answer was right; ``all``: of every tree.
        questions: Tell the right answer of trees that do not come with a verdict.

    Raises:
        ConfigError: A source cannot be read or holds something else, or no lesson is left.
        SchemaError: A tree that is named was not written by this version.
    """
    if keep not in KEEP:
        raise ConfigError(f"keep={keep!r}: one of {', '.join(KEEP)}")
    if not sources:
        raise ConfigError("lessons is empty: name trees, folders of trees, or files of prompts and completions")
    right_answers = {_asked(q.video, q.text, q.options): q.answer for q in questions}
    found, verdicts = LessonSet(), dict[Path, Told]()
    given = [lesson for source in sources for lesson in _collect(Path(source).expanduser(), verdicts)]
    taken = dict.fromkeys(given)
    for path, told in verdicts.items():
        taken.update(dict.fromkeys(_of_tree(path, told, keep, right_answers, found)))
    found.lessons = list(taken)
    if not found.lessons:
        raise ConfigError(
            f"{', '.join(map(str, sources))}: no lesson to learn ({found}). Name other trees"
            + (
                ", give questions=FILE with the right answers, or set keep=all"
                if any("verdict" in reason or "wrong" in reason for reason in found.left_out)
                else ""
            )
        )
    return found


def _collect(source: Path, verdicts: dict[Path, Told]) -> Iterator[Lesson]:
    """Lessons that stand as such; the trees go into ``verdicts``, with what is known of their answers."""
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            if _is_tree(path):
                verdicts.setdefault(path.resolve(), _named_verdict(path))
        for path in sorted(source.rglob("*_samples_*.jsonl")):
            yield from _lines(path, verdicts)
    elif source.suffix == ".jsonl":
        yield from _lines(source, verdicts)
    else:
        verdicts.setdefault(source.resolve(), _named_verdict(source))


def _is_tree(path: Path) -> bool:
    """Whether a file found in a folder is a tree: results and summaries of lmms-eval lie there too."""
    with path.open("rb") as file:
        return b'"schema_version"' in file.read(200)


def _named_verdict(path: Path) -> bool | None:
    match = _NAMED_VERDICT.search(path.name)
    return match[1] == "right" if match else None


def _lines(path: Path, verdicts: dict[Path, Told]) -> Iterator[Lesson]:
    for row in read_rows(path):
        if isinstance(row.value, dict) and "token_counts" in row.value and "doc_id" in row.value:
            tree = _tree_of_sample(row, path)
            if tree is not None:
                verdicts[tree.resolve()] = _logged_answer(row.value)
        else:
            yield _lesson(row)


def _lesson(row: PlacedRow) -> Lesson:
    values: dict[str, Any] = row.value if isinstance(row.value, dict) else {}
    lesson = Lesson(values.get("prompt", ""), values.get("completion", ""))
    if not all(isinstance(text, str) and text.strip() for text in (lesson.prompt, lesson.completion)):
        raise ConfigError(
            f'{row.place}: no lesson ({row.value!r:.80}). A line is {{"prompt": text, "completion": '
            "text}, or a sample logged by lmms-eval with --log_samples"
        )
    return lesson


def _tree_of_sample(row: PlacedRow, log: Path) -> Path | None:
    """The file of a logged sample's tree; ``None`` where nothing was mined for it."""
    counts = row.value["token_counts"]
    note = counts[0].get("videominer") if isinstance(counts, list) and counts and isinstance(counts[0], dict) else None
    name = (note or {}).get("tree")
    if not name:
        return None
    places = [Path(name), *(parent / name for parent in log.absolute().parents)]  # relative to where that run was
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ConfigError(
            f"{row.place}: its tree {name} is not there. Run this where lmms-eval was run, or name the "
            "folder of the trees instead, with questions=FILE for their verdicts"
        )
    return path


def _logged_answer(sample: Mapping[str, Any]) -> LoggedAnswer | None:
    target, replies = sample.get("target"), sample.get("filtered_resps")
    reply = replies[0] if isinstance(replies, list) and replies else replies
    return LoggedAnswer(target, reply) if isinstance(target, str) and isinstance(reply, str) else None


def _asked(video: str, text: str, options: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    return Path(video).name, text.strip(), tuple(options)


def _of_tree(path: Path, told: Told, keep: str, right_answers: Mapping[Any, str], found: LessonSet) -> Iterator[Lesson]:
    """The lessons of one tree; what is not taken is counted in ``found``."""
    selection = _load(path)
    verdict = _verdict(selection, told, right_answers)
    if keep == "right" and not verdict:
        found.left_out["trees without a verdict" if verdict is None else "trees with a wrong answer"] += 1
        return
    found.trees += 1
    for node in selection.nodes:
        decision = node.decision
        if decision is None:
            continue
        if decision.reading is not Reading.STRICT or not decision.prompt:
            found.left_out["decisions that do not follow the format"] += 1
            continue
        yield Lesson(decision.prompt, decision.text)


def _verdict(selection: Selection, told: Told, right_answers: Mapping[Any, str]) -> bool | None:
    """Whether the tree's answer is right; ``None`` where nothing tells."""
    if isinstance(told, bool):
        return told
    question, answer = selection.question, selection.answer
    right: int | str | None = right_answers.get(_asked(question.video, question.text, question.options))
    if isinstance(told, LoggedAnswer):
        right, answer = (chosen_option(told.target, question.options) if question.options else told.target), told.reply
    return None if right is None else bool(tree_reward(answer, question.options, right))


def _load(path: Path) -> Selection:
    try:
        return load(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Name trees, folders of trees, or files of "
            "prompts and completions"
        ) from error
    except SchemaError as error:
        raise SchemaError(f"{error} (or leave it out)") from error
