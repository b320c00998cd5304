"""What a prompt of the policy asks about, read back from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmms_videominer.policy.prompt import BARE_PART, BARE_SEVERAL, JUDGE, PART, SEVERAL, WHOLE


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
_OF_PART = re.compile(
    rf"(?:{re.escape(PART)}|{re.escape(BARE_PART)})\nQuestion: "
    rf"(?P<question>.*?){_ACCEPTED}{_BUDGET}{_PLACE}{_DEPTH}(?P<caption>.*?){_AGAIN}",
    re.DOTALL,
)
_OF_WHOLE = re.compile(rf"{re.escape(WHOLE)}\nQuestion: (?P<question>.*?){_LENGTH}{_AGAIN}", re.DOTALL)


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


def read_policy_prompts(prompt: str) -> list[Asked]:
    """What a prompt asks about, part by part; empty for any other text."""
    head = next((h for h in (SEVERAL, BARE_SEVERAL) if prompt.startswith(f"{h}\nQuestion: ")), None)
    if head is None:
        asked = read_policy_prompt(prompt)
        return [asked] if asked else []
    common, *bodies = re.split(r"\nPart \d+\n", prompt[len(head) :])
    alone = [read_policy_prompt(f"{PART}{common}\n{body}") for body in bodies]
    return [asked for asked in alone if asked]


_JUDGED_HEAD = re.escape(JUDGE.partition("{depth}")[0])
_OF_EVENT = re.compile(
    _JUDGED_HEAD + r"(?P<depth>\d+) of (?P<max_depth>\d+)\nWhat matters is asked here: (?P<question>.*)", re.DOTALL
)


def read_judge_prompt(prompt: str) -> Asked | None:
    """What ``judge_prompt`` made ``prompt`` of, without a caption; ``None`` for any other text."""
    found = _OF_EVENT.fullmatch(prompt)
    return found and Asked(found["question"], "", int(found["depth"]), int(found["max_depth"]))
