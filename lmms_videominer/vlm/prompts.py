"""Prompts for the video LLM: captions conditioned on the question, and the answer itself."""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.verdict import option_letter

# what is missing is not asked for: a denial names the thing sought, and reads like it ("no cup is on the table")
CAPTION_PROMPT = "Describe only what these frames show, never what is missing. What matters is asked here: {question}"
PLAIN_TOPIC = "What happens?"  # stands for the question in a caption that all questions on a video share
ANSWER_SUFFIX = "Answer with the option's letter from the given choices directly."


SAID = 'Meanwhile is said: "{said}"'
SAID_HEAD = "What is said near these frames:"


def caption_prompt(question: str, said: str = "") -> str:
    """The prompt for one event's caption, ``VLM(frames of E_m, Q)`` (arXiv 2510.06040, section 3.1).

    Args:
        question: The question.
        said: What is said meanwhile; empty: nothing is told of it.
    """
    return with_said(CAPTION_PROMPT.format(question=question), said)


def with_said(prompt: str, said: str) -> str:
    """``prompt`` to a captioner, with what is said while its frames are shown, if that is known."""
    return "\n".join([prompt, SAID.format(said=said)]) if said else prompt


def answer_prompt(question: str, options: Sequence[str], said: Sequence[str] = ()) -> str:
    """The question with lettered options and the suffix of lmms-eval's tasks; without options, the question alone.

    Args:
        said: Lines before the question: what is said near the frames, and when.
    """
    before = [SAID_HEAD, *said] if said else []
    if not options:
        return "\n".join([*before, question])
    lines = [f"{option_letter(i)}. {option}" for i, option in enumerate(options)]
    return "\n".join([*before, question, *lines, ANSWER_SUFFIX])
