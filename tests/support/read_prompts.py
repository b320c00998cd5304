"""What a prompt of the policy asks about, read back from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """What a policy prompt asks about."""

    question: str
    caption: str
    depth: int
    max_depth: int


_CAPTION_START, _CAPTION_END = "\nCaption of this part:\n", "\nActions: accept = "
_DEPTH = re.compile(r"\nDepth: (\d+) of (\d+)$")


def read_policy_prompt(prompt: str) -> Asked | None:
    """What ``policy_prompt`` made ``prompt`` of; ``None`` for any other text.

    Questions and captions that hold the template's own lines may be cut elsewhere.
    """
    head, start, rest = prompt.partition(_CAPTION_START)
    caption, end, _ = rest.rpartition(_CAPTION_END)
    depth = _DEPTH.search(head)
    _, named, question = head.partition("Question: ")
    if not (start and end and depth and named):
        return None
    return Asked(question[: -len(depth[0])], caption, int(depth[1]), int(depth[2]))
