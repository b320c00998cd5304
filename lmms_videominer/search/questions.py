"""Questions as they come: refused if they are no text, and cut where a search or an answer could not bear them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real

from lmms_videominer.errors import ConfigError, ModelError
from lmms_videominer.models.plain_text import legible
from lmms_videominer.types import Question

MOST_SEARCHED = 2_000  # characters of a question in the prompts of a search, which repeat it with every part of a video
MOST_ANSWERED = 8_000  # characters of a question, and of each option, in the one prompt that asks for the answer
MOST_PROMPTED = 32_000  # characters of a question in a task's own prompt: more would take a backbone hours
# "Which of the following ...", "What do these statements ...": what is sought stands in the options
_NAMES_OPTIONS = re.compile(
    r"\b(?:following|options?|statements?|below|(?:which|what|who|where|how many) of (?:these|those|them))\b",
    re.IGNORECASE,
)


def checked(question: Question) -> Question:
    """``question``, with a replacement character for each code unit that no text has (a surrogate by itself).

    Raises:
        ConfigError: Its text is no text, or empty; or its part of the video is none.
    """
    if not isinstance(question.text, str):
        kind = type(question.text).__name__
        raise ConfigError(f"{question.video}: the question is no text, but {kind}; pass a str")
    if not question.text.strip():
        raise ConfigError(f"{question.video}: the question is empty; say what to look for in the video")
    if fault := part_fault(question.start_s, question.end_s):
        raise ConfigError(f"{question.video}: {fault}")
    end_s = None if question.end_s is None else float(question.end_s)
    return replace(
        question,
        text=legible(question.text),
        options=tuple(legible(str(o)) for o in question.options),
        start_s=float(question.start_s),
        end_s=end_s,
    )


def part_fault(start_s: object, end_s: object) -> str:
    """Why these are no start and end of a part of a video, with the way out; empty if they are."""
    given = [start_s] if end_s is None else [start_s, end_s]
    are_times = all(isinstance(t, Real) and not isinstance(t, bool) and math.isfinite(t) for t in given)
    if are_times and start_s >= 0 and (end_s is None or start_s < end_s):  # type: ignore[operator]
        return ""
    return f"start_s={start_s!r} and end_s={end_s!r}: give seconds from the first frame, the end after the start"


def check_options(options: Sequence[str]) -> None:
    """Raise ``ConfigError`` unless ``options`` are none, or two texts or more."""
    if isinstance(options, str):
        raise ConfigError(f"options={options!r}: expected a list of texts, such as ['red', 'blue']")
    if len(options) == 1:
        raise ConfigError(
            f"a single option, {options[0]!r}, leaves nothing to choose: give two or more, or none for an open question"
        )


def searchable(question: Question) -> Question:
    """``question`` as a search asks it: without its middle beyond ``MOST_SEARCHED`` characters."""
    return replace(question, text=cut(question.text, MOST_SEARCHED))


def with_options(question: Question, told: str) -> Question:
    """``question`` with its options in its text, so that a search knows them; it may be longer than ``searchable``.

    Args:
        told: ``never``, ``always``, or ``named``: where the question speaks of them.
    """
    if not question.options or told == "never" or (told == "named" and not _NAMES_OPTIONS.search(question.text)):
        return question
    options = "; ".join(" ".join(option.split()).rstrip(".;") for option in question.options)
    return replace(question, text=f"{question.text} Options: {options}.")


def answerable(question: Question) -> Question:
    """``question`` as its answer is asked for: without its middle beyond ``MOST_ANSWERED`` characters."""
    options = tuple(cut(option, MOST_ANSWERED) for option in question.options)
    return replace(question, text=cut(question.text, MOST_ANSWERED), options=options)


def named(question: Question, error: ModelError) -> ModelError:
    """``error``, whose message names the video and the question too."""
    text = " ".join(question.text.split())
    told = f"{text[:77]}..." if len(text) > 80 else text
    return type(error)(f'{question.video}, question "{told}": {error}')


def cut(text: str, most: int) -> str:
    """``text`` with its middle left out if it is longer than ``most``: what is asked stands first or last."""
    if len(text) <= most:
        return text
    half = (most - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
