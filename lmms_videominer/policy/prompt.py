"""The prompt of the policy: caption, question and depth in; reasoning, then one action out."""

from __future__ import annotations

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
REPLY = POLICY_PROMPT.rpartition("Reply as ")[2]
AGAIN = """\
{prompt}
You replied:
{reply}
This names no action. Reply with one word: accept, continue or delete."""
REPLY_SHOWN = 500  # characters, the last ones

NO_CAPTION = "(none)"  # replaces an empty caption


def policy_prompt(question: str, caption: str, depth: int, max_depth: int) -> str:
    """The user turn for one node (arXiv 2510.06040, section 3.1: ``PM(Caption, Q, depth)``)."""
    return POLICY_PROMPT.format(question=question, caption=caption or NO_CAPTION, depth=depth, max_depth=max_depth)


def again_prompt(prompt: str, reply: str) -> str:
    """The user turn that asks for the action alone, after ``reply`` to ``prompt`` has named none."""
    return AGAIN.format(prompt=prompt, reply=reply[-REPLY_SHOWN:])


def policy_completion(reasoning: str, action: Action) -> str:
    """A completion that follows the format fully, as taught by the cold start."""
    return f"<think>{reasoning}</think><action>{action.value}</action>"
