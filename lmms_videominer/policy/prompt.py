"""The prompts of the policy: about one part of a video, and about the whole before it is searched."""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.types import Action

PART = """\
You search a long video for the moments that answer a question. Decide about one part of the video.
Question: {question}
{context}Depth: {depth} of {max_depth}
Caption of this part:
{caption}
Actions: accept = this part shows what the question asks about; continue = it may hold it, look closer; \
delete = it has nothing to do with the question.
Reply as <think>reasoning</think><action>accept, continue or delete</action>"""
WHOLE = """\
Before a video is searched for the moments that answer a question, say what to look for.
Question: {question}
{context}Actions: continue = search for these moments; accept = the question is about the video as a whole, and frames \
spread evenly over it answer it.
Reply as <think>what would be seen, one moment per line</think><action>continue or accept</action>"""
REPLIES = tuple(prompt.rpartition("Reply as ")[2] for prompt in (PART, WHOLE))
JUDGE = """\
Describe only what these frames show, never what is missing. Then decide about this part of the video: accept = it \
shows what is asked; continue = it may hold it, look closer; delete = it has nothing to do with it. Reply as \
description<action>accept, continue or delete</action>
Depth: {depth} of {max_depth}
What matters is asked here: {question}"""
AGAIN = """\
{prompt}
You replied:
{reply}
This names no action. Reply with one word: accept, continue or delete."""
REPLY_SHOWN = 500  # characters, the last ones
NO_CAPTION = "(none)"  # replaces an empty caption


def policy_prompt(question: str, caption: str, depth: int, max_depth: int, context: Sequence[str] = ()) -> str:
    """The user turn for one node (arXiv 2510.06040, section 3.1: ``PM(Caption, Q, depth)``).

    Args:
        question: The question.
        caption: The captions of the node, one line per event; may be empty.
        depth: 0 for the root, which has no caption: the prompt then asks what to look for.
        max_depth: The last depth, at which no closer look follows.
        context: Further lines about the search, such as the node's place in time.
    """
    told = "".join(f"{line}\n" for line in context)
    if not depth:
        return WHOLE.format(question=question, context=told)
    return PART.format(question=question, context=told, depth=depth, max_depth=max_depth, caption=caption or NO_CAPTION)


def again_prompt(prompt: str, reply: str) -> str:
    """The user turn that asks for the action alone, after ``reply`` to ``prompt`` has named none."""
    return AGAIN.format(prompt=prompt, reply=reply[-REPLY_SHOWN:])


def judge_prompt(question: str, depth: int, max_depth: int) -> str:
    """The prompt to a video LLM that captions one event and decides about it in one reply."""
    return JUDGE.format(question=question, depth=depth, max_depth=max_depth)


def policy_completion(reasoning: str, action: Action) -> str:
    """A completion that follows the format fully, as taught by the cold start."""
    return f"<think>{reasoning}</think><action>{action.value}</action>"
