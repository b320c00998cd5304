"""Lessons for a cold start: prompts with target completions, from saved trees or written by hand."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.row_files import PlacedRow, read_rows
from lmms_videominer.policy.prompt import BARE_SEVERAL, JUDGE, SEVERAL
from lmms_videominer.store.selection_json import load
from lmms_videominer.training.rewards import answer_reward
from lmms_videominer.types import Reading, Selection
from lmms_videominer.verdict import chosen_option

KEEP = ("right", "all")
# what a prompt begins with whose reply is no lesson by itself: a decision has only its own part of a joint reply, and
# the captioner saw frames
_NO_LESSONS = {
    SEVERAL: "decisions about several parts at once",
    BARE_SEVERAL: "decisions about several parts at once",
    JUDGE.partition("{depth}")[0]: "decisions of the captioner",
}
_NAMED_VERDICT = re.compile(r"\.(right|wrong)\.json$")  # names of trees saved by training and the difficulty filter


@dataclass(frozen=True)
class Lesson:
    """A prompt of the policy, without the chat template, and the target completion."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class LoggedAnswer:
    """The correct answer and the reply to a sample, as logged by lmms-eval."""

    target: str
    reply: str


AnswerRecord = bool | LoggedAnswer | None  # what is known about a tree's answer before the tree is read


@dataclass
class LessonSet:
    """Lessons without duplicates, in the order of their sources.

    Attributes:
        lessons: Prompts and completions.
        trees: Number of trees that they come from.
        left_out: Trees and decisions that were not used, counted by reason.
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
    sources: Sequence[str | os.PathLike[str]], keep: str = "right", questions: Iterable[QuestionRow] = ()
) -> LessonSet:
    """Read lessons from decisions of saved trees that follow the format fully, and from files of lessons.

    Args:
        sources: Each a tree (``.json`` of ``mine --json``, of a training run or of the difficulty filter); a
            ``.jsonl`` file whose lines hold ``prompt`` and ``completion``, or are samples logged by lmms-eval with
            ``--log_samples``; or a folder, which is searched for trees and for logged samples.
        keep: ``right``: decisions of trees with a correct answer; ``all``: of every tree.
        questions: Questions with their answers, for trees that have no verdict.

    Raises:
        ConfigError: A source cannot be read or holds something else, or no lesson remains.
        SchemaError: One of ``sources`` is a tree that was not written by this version.
    """
    if keep not in KEEP:
        raise ConfigError(f"keep={keep!r}: one of {', '.join(KEEP)}")
    if not sources:
        raise ConfigError("lessons is empty: set it to trees, folders of trees, or files of prompts and completions")
    right_answers = {_question_key(q.video, q.text, q.options): q.answer for q in questions}
    lesson_set, records = LessonSet(), dict[Path, AnswerRecord]()
    written_lessons = [lesson for source in sources for lesson in _collect(Path(source).expanduser(), records)]
    lessons = dict.fromkeys(written_lessons)
    for path, record in records.items():
        lessons.update(dict.fromkeys(_tree_lessons(path, record, keep, right_answers, lesson_set)))
    lesson_set.lessons = list(lessons)
    if not lesson_set.lessons:
        raise ConfigError(
            f"{', '.join(map(str, sources))}: no lesson to learn ({lesson_set}). Choose other trees"
            + (
                ", pass questions=FILE with the correct answers, or set keep=all"
                if any("verdict" in reason or "wrong" in reason for reason in lesson_set.left_out)
                else ""
            )
        )
    return lesson_set


def _collect(source: Path, records: dict[Path, AnswerRecord]) -> Iterator[Lesson]:
    """Yield the lessons written as such; add the trees to ``records``, with what is known about their answers."""
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            if _is_tree(path):
                records.setdefault(path.resolve(), _named_verdict(path))
        for path in sorted(source.rglob("*_samples_*.jsonl")):
            yield from _lines(path, records)
    elif source.suffix == ".jsonl":
        yield from _lines(source, records)
    else:
        records.setdefault(source.resolve(), _named_verdict(source))


def _is_tree(path: Path) -> bool:
    """Whether a file in a folder is a tree; folders also have results and summaries of lmms-eval."""
    with path.open("rb") as file:
        return b'"schema_version"' in file.read(200)


def _named_verdict(path: Path) -> bool | None:
    match = _NAMED_VERDICT.search(path.name)
    return match[1] == "right" if match else None


def _lines(path: Path, records: dict[Path, AnswerRecord]) -> Iterator[Lesson]:
    for row in read_rows(path):
        if isinstance(row.value, dict) and "token_counts" in row.value and "doc_id" in row.value:
            tree = _tree_of_sample(row, path)
            if tree is not None:
                records[tree.resolve()] = _logged_answer(row.value)
        else:
            yield _lesson(row)


def _lesson(row: PlacedRow) -> Lesson:
    values: dict[str, Any] = row.value if isinstance(row.value, dict) else {}
    lesson = Lesson(values.get("prompt", ""), values.get("completion", ""))
    if not all(isinstance(text, str) and text.strip() for text in (lesson.prompt, lesson.completion)):
        raise ConfigError(
            f'{row.place}: not a lesson ({row.value!r:.80}). A line must be {{"prompt": text, "completion": '
            "text}, or a sample logged by lmms-eval with --log_samples"
        )
    return lesson


def _tree_of_sample(row: PlacedRow, log: Path) -> Path | None:
    """The tree file of a logged sample; ``None`` if its video was not mined."""
    counts = row.value["token_counts"]
    note = counts[0].get("videominer") if isinstance(counts, list) and counts and isinstance(counts[0], dict) else None
    name = (note or {}).get("tree")
    if not name:
        return None
    # the name is relative to the folder that lmms-eval ran in
    candidates = [Path(name), *(parent / name for parent in log.absolute().parents)]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise ConfigError(
            f"{row.place}: its tree {name} does not exist. Run this in the folder where lmms-eval ran, or pass "
            "the folder of the trees instead, with questions=FILE for their verdicts"
        )
    return path


def _logged_answer(sample: Mapping[str, Any]) -> LoggedAnswer | None:
    target, replies = sample.get("target"), sample.get("filtered_resps")
    reply = replies[0] if isinstance(replies, list) and replies else replies
    return LoggedAnswer(target, reply) if isinstance(target, str) and isinstance(reply, str) else None


def _question_key(video: str, text: str, options: Sequence[str]) -> tuple[str, str, tuple[str, ...]]:
    return Path(video).name, text.strip(), tuple(options)


def _tree_lessons(
    path: Path, record: AnswerRecord, keep: str, right_answers: Mapping[Any, str], lesson_set: LessonSet
) -> Iterator[Lesson]:
    """Yield the lessons of one tree; count the tree and what is left out in ``lesson_set``."""
    selection = _load(path)
    verdict = _verdict(selection, record, right_answers)
    if keep == "right" and not verdict:
        lesson_set.left_out["trees without a verdict" if verdict is None else "trees with a wrong answer"] += 1
        return
    lesson_set.trees += 1
    for node in selection.nodes:
        decision = node.decision
        if decision is None:
            continue
        if decision.reading is not Reading.STRICT or not decision.prompt:
            lesson_set.left_out["decisions that do not follow the format"] += 1
            continue
        if reason := next((text for head, text in _NO_LESSONS.items() if decision.prompt.startswith(head)), ""):
            lesson_set.left_out[reason] += 1
            continue
        yield Lesson(decision.prompt, decision.text)


def _verdict(selection: Selection, record: AnswerRecord, right_answers: Mapping[Any, str]) -> bool | None:
    """Whether the tree's answer is correct; ``None`` if unknown."""
    if isinstance(record, bool):
        return record
    question, answer = selection.question, selection.answer
    right: int | str | None = right_answers.get(_question_key(question.video, question.text, question.options))
    if isinstance(record, LoggedAnswer):
        right = chosen_option(record.target, question.options) if question.options else record.target
        answer = record.reply
    return None if right is None else bool(answer_reward(answer, question.options, right))


def _load(path: Path) -> Selection:
    try:
        return load(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}). Pass trees, folders of trees, or files of "
            "prompts and completions"
        ) from error
    except SchemaError as error:
        raise SchemaError(f"{error} (or omit this file)") from error
