"""What a prompt of the policy asks about, read back from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmms_videominer.policy.prompt import JUDGE, PART, WHOLE


@dataclass(frozen=True)
class Asked:
    """What a policy prompt asks about; ``max_depth`` is 0 for the whole video, whose prompt does not tell it."""

    question: str
    caption: str
    depth: int
    max_depth: int
    context: tuple[str, ...] = ()


_LENGTH = r"(?P<length>\nLength: [\d:]+)?"
_ACCEPTED = r"(?P<accepted>\nAccepted so far:(?: none|(?:\n[^\n]*){1,4}?))?"
_BUDGET = r"(?P<budget>\nCaptions left: \d+ of \d+)?"
_PLACE = r"(?P<place>\nPart: \d[^\n]* of [\d:]+)?"
_DEPTH = r"\nDepth: (?P<depth>\d+) of (?P<max_depth>\d+)\nCaption of this part:\n"
_AGAIN = r"(?:\nYou replied:\n.*\nThis names no action\.[^\n]*)?"
_PART_HEAD, _PART_END = PART.partition("{question}")[0], PART.rpartition("{caption}")[2]
_WHOLE_HEAD, _WHOLE_END = WHOLE.partition("{question}")[0], WHOLE.rpartition("{context}")[2]
_OF_PART = re.compile(
    re.escape(_PART_HEAD)
    + rf"(?P<question>.*?){_ACCEPTED}{_BUDGET}{_PLACE}{_DEPTH}(?P<caption>.*?)"
    + re.escape(_PART_END)
    + _AGAIN,
    re.DOTALL,
)
_OF_WHOLE = re.compile(
    re.escape(_WHOLE_HEAD) + rf"(?P<question>.*?){_LENGTH}\n" + re.escape(_WHOLE_END) + _AGAIN, re.DOTALL
)


def read_policy_prompt(prompt: str) -> Asked | None:
    """What ``policy_prompt`` made ``prompt`` of, asked again or not; ``None`` for any other text.

    Questions that hold the template's own lines may be cut elsewhere.
    """
    found = _OF_PART.fullmatch(prompt) or _OF_WHOLE.fullmatch(prompt)
    if not found:
        return None
    named = found.groupdict()
    context = tuple(text[1:] for name in ("length", "accepted", "budget", "place") if (text := named.get(name)))
    depth, max_depth = int(named.get("depth", 0)), int(named.get("max_depth", 0))
    return Asked(named["question"], named.get("caption", ""), depth, max_depth, context)


_JUDGED_HEAD = re.escape(JUDGE.partition("{depth}")[0])
_OF_EVENT = re.compile(
    _JUDGED_HEAD + r"(?P<depth>\d+) of (?P<max_depth>\d+)\nWhat matters is asked here: (?P<question>.*)", re.DOTALL
)


def read_judge_prompt(prompt: str) -> Asked | None:
    """What ``judge_prompt`` made ``prompt`` of, without a caption; ``None`` for any other text."""
    found = _OF_EVENT.fullmatch(prompt)
    return found and Asked(found["question"], "", int(found["depth"]), int(found["max_depth"]))
