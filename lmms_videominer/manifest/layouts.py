"""Layouts of questions in files, translated into one layout: id, video, question, options, answer.

A translation changes only the form; ``validate_row`` then checks that the result can be used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.models.plain_text import legible
from lmms_videominer.search.questions import part_fault
from lmms_videominer.types import WHOLE, Question, Span
from lmms_videominer.verdict import chosen_option, option_letter

_LETTERED = re.compile(r"\s*\(?([A-Z])[.):]\s*(.*?)\s*$", re.DOTALL)
_OPTIONS_LABEL = re.compile(r"\s*\bOptions\s*:?\s*$", re.IGNORECASE)
_MEDIA_TAG = re.compile(r"\s*<(?:image|video)>\s*")
_ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)


class BadRow(ValueError):
    """A row that cannot be used, with the reason and the remedy."""

    def __init__(self, reason: str, remedy: str):
        self.reason, self.remedy = reason, remedy
        super().__init__(f"{reason}. {remedy}")


@dataclass(frozen=True)
class LeftOut:
    """A valid row that is not used; ``reason`` is in the plural, to follow a count."""

    reason: str


@dataclass(frozen=True)
class QuestionRow:
    """A question of a file.

    Attributes:
        id: Unique among the questions of its source.
        video: Path of the file.
        text: The question, without options.
        options: The options without letters; empty for an open-ended question.
        answer: Letter of the correct option, or the correct answer to an open-ended question; empty if unknown.
        evidence: Spans that answer it, if known.
        named: The video as its row names it; not compared.
        start_s, end_s: The part of the video that is searched, see ``Question``.
    """

    id: str
    video: str
    text: str
    options: tuple[str, ...]
    answer: str
    evidence: tuple[Span, ...] = ()
    named: str = field(default="", compare=False)
    start_s: float = 0.0
    end_s: float | None = None

    @property
    def question(self) -> Question:
        return Question(self.video, self.text, self.options, self.evidence, self.start_s, self.end_s)

    def row(self) -> dict[str, Any]:
        """The question as a row of the layout ``plain``."""
        return {
            "id": self.id,
            "video": self.video,
            "question": self.text,
            "options": list(self.options),
            "answer": self.answer,
            "evidence": [[span.start_s, span.end_s] for span in self.evidence],
            "start_s": self.start_s,
            "end_s": self.end_s,
        }


PlainRow = dict[str, Any]
Translation = Callable[[Mapping[str, Any]], "list[PlainRow | LeftOut]"]


def plain(row: Mapping[str, Any]) -> list[PlainRow | LeftOut]:
    """The row unchanged; ``qa.jsonl`` of a world is in this layout."""
    return [dict(row)]


def llava_video_178k(row: Mapping[str, Any]) -> list[PlainRow | LeftOut]:
    """Rows of ``*_qa_processed.json`` of LLaVA-Video-178K: one question per pair of turns.

    ``{"id", "data_source", "video", "conversations": [{"from": "human", "value": "<image>\\nWhat ...?\\nA. ...\\nB. ...
    \\nPlease ..."}, {"from": "gpt", "value": "B. ..."}, ...]}``. Captions and open-ended questions have no options.
    """
    turns = row.get("conversations")
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns or len(turns) % 2:
        raise BadRow(f"conversations is {turns!r:.80}", "It must hold pairs of turns, of human and gpt")
    prefix = ".".join(str(row[key]) for key in ("data_source", "id") if row.get(key))
    pairs = zip(turns[::2], turns[1::2])
    return [_llava_question(row, f"{prefix}.{number}" if prefix else "", *pair) for number, pair in enumerate(pairs)]


def _llava_question(row: Mapping[str, Any], id: str, human: Any, gpt: Any) -> PlainRow:
    for turn, speaker in ((human, "human"), (gpt, "gpt")):
        if not isinstance(turn, Mapping) or turn.get("from") != speaker or not isinstance(turn.get("value"), str):
            raise BadRow(
                f"conversations holds {turn!r:.80} instead of a turn of {speaker}",
                'A turn must be {"from": "human" or "gpt", "value": text}',
            )
    text, options = split_options(_MEDIA_TAG.sub("", human["value"]))
    return {
        "id": id,
        "video": row.get("video"),
        "folder": row.get("data_source"),
        "question": text,
        "options": options,
        "answer": gpt["value"].strip(),
    }


def split_options(text: str) -> tuple[str, list[str]]:
    """Split a question from its options, which follow it as lettered lines; text after them is dropped.

    >>> split_options("What?\\nA. one\\nB. two\\nPlease respond with the letter.")
    ('What?', ['one', 'two'])
    """
    lines = text.split("\n")
    for start in reversed(range(len(lines))):
        options: list[str] = []
        for line in lines[start:]:
            match = _LETTERED.match(line)
            if not match or match[1] != option_letter(len(options)):
                break
            options.append(match[2])
        if len(options) > 1:
            return _OPTIONS_LABEL.sub("", "\n".join(lines[:start])).strip(), options
    return text.strip(), []


def video_r1(row: Mapping[str, Any]) -> list[PlainRow | LeftOut]:
    """Rows of ``Video-R1-260k.json`` (and of ``Video-R1-COT-165k.json``, which also has a ``process``).

    ``{"problem_id", "problem", "data_type": "video", "problem_type": "multiple choice", "options": ["A. ...", ...],
    "solution": "<answer>A</answer>", "path": "./LLaVA-Video-178K/...", "data_source"}``.
    """
    if row.get("data_type") != "video":
        return [LeftOut(f"rows whose data_type is {row.get('data_type')!r}")]
    solution = row.get("solution")
    match = _ANSWER_TAG.search(solution) if isinstance(solution, str) else None
    if match is None:
        raise BadRow(f"solution is {solution!r:.80}", "It must hold <answer>...</answer>")
    choices = row.get("options") or []
    if row.get("problem_type") == "multiple choice" and not choices:
        raise BadRow("options is empty in a multiple choice problem", "It must hold the options with their letters")
    name = "" if row.get("problem_id") is None else f"video-r1.{row['problem_id']}"
    return [
        {
            "id": name,
            "video": row.get("path"),
            "question": row.get("problem"),
            "options": choices,
            "answer": match[1].strip(),
        }
    ]


LAYOUTS: dict[str, Translation] = {
    "plain": plain,
    "world": plain,
    "llava-video-178k": llava_video_178k,
    "video-r1": video_r1,
}
# layouts whose ids may repeat: across files, or for several questions
FOREIGN = ("llava-video-178k", "video-r1")


def layout_of(row: Any) -> str:
    """The layout that the keys of ``row`` indicate; ``"plain"`` by default."""
    keys = set(row) if isinstance(row, Mapping) else set()
    if "conversations" in keys:
        return "llava-video-178k"
    return "video-r1" if {"problem", "solution"} <= keys else "plain"


def validate_row(row: PlainRow, with_answer: bool = True) -> QuestionRow:
    """The question in a plain row; the path of its video is not resolved yet. Its texts are legible (``legible``).

    Args:
        with_answer: Whether the row must have the right answer.

    Raises:
        BadRow: A field is missing, has the wrong type, or is inconsistent with the others.
    """
    text, video = legible(_field(row, "question")), _field(row, "video")
    options = _options(row.get("options"))
    is_unknown = not with_answer and row.get("answer") in (None, "")
    answer = "" if is_unknown else _answer(row.get("answer"), options)
    part = _part(row.get("start_s"), row.get("end_s"))
    id = row.get("id")
    if id is None or id == "":
        content = (video, text, options) if part == tuple(WHOLE.values()) else (video, text, options, part)
        id = hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    return QuestionRow(legible(str(id)), video, text, options, answer, _evidence(row.get("evidence")), video, *part)


def _field(row: PlainRow, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        what = "is missing" if name not in row else f"is {value!r:.80}"
        raise BadRow(
            f"{name} {what}",
            'A row must be {"video": path, "question": text, "options": [texts], "answer": letter or text, "id": text}',
        )
    return value.strip()


def _options(value: Any) -> tuple[str, ...]:
    """The options; letters are removed if all options have them."""
    if value is None:
        return ()
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise BadRow(f"options is {value!r:.80}", "It must be a list of texts, empty for an open-ended question")
    options = [legible(option.strip()) if isinstance(option, str) else option for option in value]
    matches = [_LETTERED.match(option) if isinstance(option, str) else None for option in options]
    if options and all(match and match[1] == option_letter(i) for i, match in enumerate(matches)):
        options = [match[2] for match in matches if match]
    if any(not isinstance(option, str) or not option for option in options):
        raise BadRow(f"options is {value!r:.120}: one of them is not text", "Write every option as text")
    if len(options) == 1 or len(options) > 26:
        raise BadRow(f"options holds {len(options)}", "A question has 2 to 26 options, or none if it is open-ended")
    if len({option.casefold() for option in options}) < len(options):
        raise BadRow(
            f"options is {value!r:.120}: two are the same", "Change one of them: an answer could not distinguish them"
        )
    return tuple(options)


def _answer(value: Any, options: tuple[str, ...]) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise BadRow(
            f"answer is {value!r:.80}",
            "It must be the letter or the text of the correct option, or the answer to an open-ended question",
        )
    text = legible(str(value).strip())
    if not options:
        return text
    index = chosen_option(text, options)
    if index is None:
        raise BadRow(
            f"answer {text!r:.80} is not one of the options {', '.join(options):.200}",
            f"Write a letter from A to {option_letter(len(options) - 1)}, or the option's text",
        )
    return option_letter(index)


def _evidence(value: Any) -> tuple[Span, ...]:
    try:
        return tuple(Span(float(start_s), float(end_s)) for start_s, end_s in value or ())
    except (TypeError, ValueError) as error:
        raise BadRow(
            f"evidence is {value!r:.80} ({error})", "It must be a list of [start, end] in seconds, or omitted"
        ) from error


def _part(start_s: Any, end_s: Any) -> tuple[float, float | None]:
    start_s = WHOLE["start_s"] if start_s is None else start_s
    if fault := part_fault(start_s, end_s):
        raise BadRow(fault, "Omit them to search the whole video")
    return float(start_s), None if end_s is None else float(end_s)
