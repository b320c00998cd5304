"""The prompt of the policy: caption, question and depth in; reasoning, then one action out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lmms_videominer.types import Action

POLICY_PROMPT = """\
You search a long video for the moments that answer a question. Decide about one part of the video.
Question: {question}
Depth: {depth} of {max_depth}
Caption of this part:
{caption}
Actions: accept = this part shows what the question asks about; continue = it may hold it, look closer; \
delete = it has nothing to do with the question.
Reply as <think>reasoning</think><action>accept, continue or delete</action>"""


def policy_prompt(question: str, caption: str, depth: int, max_depth: int) -> str:
    """The user's turn for one node (arXiv 2510.06040, section 3.1: ``PM(Caption, Q, depth)``)."""
    return POLICY_PROMPT.format(question=question, caption=caption or "(none)", depth=depth, max_depth=max_depth)


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


def policy_completion(reasoning: str, action: Action) -> str:
    """A completion that follows the format fully: what the cold start teaches."""
    return f"<think>{reasoning}</think><action>{action.value}</action>"
