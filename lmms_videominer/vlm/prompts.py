"""Prompts for the video LLM: captions conditioned on the question, and the answer itself."""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.verdict import option_letter

# what is missing is not asked for: a denial names the thing sought, and reads like it ("no cup is on the table")
CAPTION_PROMPT = "Describe only what these frames show, never what is missing. What matters is asked here: {question}"
ANSWER_SUFFIX = "Answer with the option's letter from the given choices directly."


def caption_prompt(question: str) -> str:
    """The prompt for one event's caption, ``VLM(frames of E_m, Q)`` (arXiv 2510.06040, section 3.1)."""
    return CAPTION_PROMPT.format(question=question)


def answer_prompt(question: str, options: Sequence[str]) -> str:
    """The question with lettered options and the suffix of lmms-eval's tasks; without options, the question alone."""
    if not options:
        return question
    lines = [f"{option_letter(i)}. {option}" for i, option in enumerate(options)]
    return "\n".join([question, *lines, ANSWER_SUFFIX])
