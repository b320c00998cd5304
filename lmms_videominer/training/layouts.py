"""Layouts that training questions come in, translated into one: id, video, question, options, answer.

A translation is about form alone; ``checked`` then finds out whether what came out can be trained on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmms_videominer.types import Question, Span
from lmms_videominer.verdict import chosen_option, option_letter

_LETTERED = re.compile(r"\s*\(?([A-Z])[.):]\s*(.*?)\s*$", re.DOTALL)
_OPTIONS_LABEL = re.compile(r"\s*\bOptions\s*:?\s*$", re.IGNORECASE)
_MEDIA_TAG = re.compile(r"\s*<(?:image|video)>\s*")
_ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)


class BadRow(ValueError):
    """A row that cannot be used: why, and what to do about it."""

    def __init__(self, reason: str, remedy: str):
        self.reason, self.remedy = reason, remedy
        super().__init__(f"{reason}. {remedy}")


@dataclass(frozen=True)
class LeftOut:
    """A sound row that is not for this training; ``reason`` in the plural, for a count of them."""

    reason: str


@dataclass(frozen=True)
class TrainingQuestion:
    """A question whose right answer is known.

    Attributes:
        id: Unique among those trained on.
        video: Path of the file.
        text: The question, without options.
        options: Without letters; empty for an open question.
        answer: Letter of the right option; the right answer of an open question.
        evidence: Spans that answer it, where known.
    """

    id: str
    video: str
    text: str
    options: tuple[str, ...]
    answer: str
    evidence: tuple[Span, ...] = ()

    @property
    def question(self) -> Question:
        return Question(self.video, self.text, self.options, self.evidence)

    def row(self) -> dict[str, Any]:
        """As a row of the layout ``plain``."""
        return {
            "id": self.id,
            "video": self.video,
            "question": self.text,
            "options": list(self.options),
            "answer": self.answer,
            "evidence": [[span.start_s, span.end_s] for span in self.evidence],
        }


PlainRow = dict[str, Any]
Translation = Callable[[Mapping[str, Any]], "list[PlainRow | LeftOut]"]


def plain(row: Mapping[str, Any]) -> list[PlainRow | LeftOut]:
    """As it is; ``qa.jsonl`` of a world is in this layout."""
    return [dict(row)]


def llava_video_178k(row: Mapping[str, Any]) -> list[PlainRow | LeftOut]:
    """Rows of ``*_qa_processed.json`` of LLaVA-Video-178K: one question for every pair of turns.

    ``{"id", "data_source", "video", "conversations": [{"from": "human", "value": "<image>\\nWhat ...?\\nA. ...\\nB. ...
    \\nPlease ..."}, {"from": "gpt", "value": "B. ..."}, ...]}``. Captions and open questions have no options.
    """
    turns = row.get("conversations")
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns or len(turns) % 2:
        raise BadRow(f"conversations is {turns!r:.80}", "It holds turns in pairs, of human and gpt")
    named = ".".join(str(row[key]) for key in ("data_source", "id") if row.get(key))
    pairs = zip(turns[::2], turns[1::2])
    return [_llava_question(row, f"{named}.{number}" if named else "", *pair) for number, pair in enumerate(pairs)]


def _llava_question(row: Mapping[str, Any], id: str, human: Any, gpt: Any) -> PlainRow:
    for turn, speaker in ((human, "human"), (gpt, "gpt")):
        if not isinstance(turn, Mapping) or turn.get("from") != speaker or not isinstance(turn.get("value"), str):
            raise BadRow(
                f"conversations holds {turn!r:.80} where {speaker} speaks",
                'A turn is {"from": "human" or "gpt", "value": text}',
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
    """A question and its options, which stand one a line under it with their letters; what follows them is dropped.

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
    """Rows of ``Video-R1-260k.json`` (and of ``Video-R1-COT-165k.json``, which has a ``process`` besides).

    ``{"problem_id", "problem", "data_type": "video", "problem_type": "multiple choice", "options": ["A. ...", ...],
    "solution": "<answer>A</answer>", "path": "./LLaVA-Video-178K/...", "data_source"}``.
    """
    if row.get("data_type") != "video":
        return [LeftOut(f"rows whose data_type is {row.get('data_type')!r}")]
    solution = row.get("solution")
    match = _ANSWER_TAG.search(solution) if isinstance(solution, str) else None
    if match is None:
        raise BadRow(f"solution is {solution!r:.80}", "It holds <answer>...</answer>")
    choices = row.get("options") or []
    if row.get("problem_type") == "multiple choice" and not choices:
        raise BadRow("options is empty in a multiple choice problem", "It holds the options with their letters")
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
# id of a layout's rows may occur more than once: in several files, or for several questions
FOREIGN = ("llava-video-178k", "video-r1")


def layout_of(row: Any) -> str:
    """The layout that the keys of ``row`` tell; ``"plain"`` where they tell none."""
    keys = set(row) if isinstance(row, Mapping) else set()
    if "conversations" in keys:
        return "llava-video-178k"
    return "video-r1" if {"problem", "solution"} <= keys else "plain"


def checked(row: PlainRow) -> TrainingQuestion:
    """The question that a plain row holds; its video's path is not resolved yet.

    Raises:
        BadRow: A field is missing, of a wrong type, or does not go with the others.
    """
    text, video = _field(row, "question"), _field(row, "video")
    options = _options(row.get("options"))
    answer = _answer(row.get("answer"), options)
    id = row.get("id")
    if id is None or id == "":
        id = hashlib.sha256(repr((video, text, options)).encode()).hexdigest()[:16]
    return TrainingQuestion(str(id), video, text, options, answer, _evidence(row.get("evidence")))


def _field(row: PlainRow, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        what = "is missing" if name not in row else f"is {value!r:.80}"
        raise BadRow(
            f"{name} {what}",
            'A row is {"video": path, "question": text, "options": [texts], "answer": letter or text, "id": text}',
        )
    return value.strip()


def _options(value: Any) -> tuple[str, ...]:
    """The options without letters, where all of them have theirs."""
    if value is None:
        return ()
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise BadRow(f"options is {value!r:.80}", "It is a list of texts, empty for an open question")
    options = [option.strip() if isinstance(option, str) else option for option in value]
    matches = [_LETTERED.match(option) if isinstance(option, str) else None for option in options]
    if options and all(match and match[1] == option_letter(i) for i, match in enumerate(matches)):
        options = [match[2] for match in matches if match]
    if any(not isinstance(option, str) or not option for option in options):
        raise BadRow(f"options is {value!r:.120}: one of them is no text", "Write every option as text")
    if len(options) == 1 or len(options) > 26:
        raise BadRow(f"options holds {len(options)}", "A question has 2 to 26 options, an open one none")
    if len({option.casefold() for option in options}) < len(options):
        raise BadRow(f"options is {value!r:.120}: two are the same", "No answer could tell them apart: correct one")
    return tuple(options)


def _answer(value: Any, options: tuple[str, ...]) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise BadRow(
            f"answer is {value!r:.80}",
            "It is the letter or the text of the right option, or the answer of an open question",
        )
    text = str(value).strip()
    if not options:
        return text
    index = chosen_option(text, options)
    if index is None:
        raise BadRow(
            f"answer {text!r:.80} is none of the options {', '.join(options):.200}",
            f"Write a letter from A to {option_letter(len(options) - 1)}, or the option's text",
        )
    return option_letter(index)


def _evidence(value: Any) -> tuple[Span, ...]:
    try:
        return tuple(Span(float(start_s), float(end_s)) for start_s, end_s in value or ())
    except (TypeError, ValueError) as error:
        raise BadRow(
            f"evidence is {value!r:.80} ({error})", "It is a list of [start, end] in seconds, or left out"
        ) from error
