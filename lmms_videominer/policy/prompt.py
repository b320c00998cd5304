"""The prompts of the policy: about the whole video before it is searched, about one part of it, and about several.

Instructions come first and what changes comes last, so that a server can reuse what prompts have in common.
"""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.types import Action

_ACTIONS = """\
accept = it shows what the question asks about; continue = it may hold it, look closer; delete = it has nothing to do \
with the question."""
_BARE = "<action>accept, continue or delete</action>"
_REASONED = f"<think>reasoning</think>{_BARE}"
_PART = f"""\
You search a long video for the moments that answer a question. Decide about one part of the video: {_ACTIONS}
Reply as """
_SEVERAL = f"""\
You search a long video for the moments that answer a question. Decide about each of several parts of the video: \
{_ACTIONS}
Reply with one line for each part, in order: its number and a full stop, then """
WHOLE = """\
Before a video is searched for the moments that answer a question, say what to look for: continue = search for these \
moments; accept = the question is about the video as a whole, and frames spread evenly over it answer it.
Reply as <think>what would be seen, one moment per line</think><action>continue or accept</action>"""
PART, BARE_PART = f"{_PART}{_REASONED}", f"{_PART}{_BARE}"
SEVERAL, BARE_SEVERAL = f"{_SEVERAL}{_REASONED}", f"{_SEVERAL}{_BARE}"
INSTRUCTIONS = (WHOLE, PART, BARE_PART, SEVERAL, BARE_SEVERAL)  # what prompts begin with
BODY = """\
Depth: {depth} of {max_depth}
Caption of this part:
{caption}"""
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
_REPLIED, _REPLIED_END = (AGAIN.partition("{reply}")[i].replace("{prompt}", "") for i in (0, 2))
REPLY_SHOWN = 500  # characters, the last ones
NO_CAPTION = "(none)"  # replaces an empty caption


def policy_prompt(
    question: str, caption: str, depth: int, max_depth: int, context: Sequence[str] = (), reasoning: bool = True
) -> str:
    """The user turn for one node (arXiv 2510.06040, section 3.1: ``PM(Caption, Q, depth)``).

    Args:
        question: The question.
        caption: The captions of the node, one line per event; may be empty.
        depth: 0 for the root, which has no caption: the prompt then asks what to look for.
        max_depth: The last depth, at which no closer look follows.
        context: Further lines about the search, such as the node's place in time.
        reasoning: Whether the reply reasons before it names its action; about the root it always does.
    """
    if not depth:
        return "\n".join([WHOLE, f"Question: {question}", *context])
    body = part_body(caption, depth, max_depth, context)
    return "\n".join([PART if reasoning else BARE_PART, f"Question: {question}", *body])


def several_prompt(question: str, bodies: Sequence[Sequence[str]], reasoning: bool = True) -> str:
    """The user turn for several nodes, numbered from 1; lines that all of them begin with come once, before them.

    Args:
        question: The question.
        bodies: The ``part_body`` of each node.
        reasoning: Whether the reply reasons about each node before it names its action.
    """
    common = 0
    while len({tuple(body[: common + 1]) for body in bodies}) == 1 and all(len(body) > common + 3 for body in bodies):
        common += 1
    numbered = [line for i, body in enumerate(bodies, 1) for line in (f"Part {i}", *body[common:])]
    head = SEVERAL if reasoning else BARE_SEVERAL
    return "\n".join([head, f"Question: {question}", *bodies[0][:common], *numbered])


def part_body(caption: str, depth: int, max_depth: int, context: Sequence[str] = ()) -> list[str]:
    """What a prompt tells of one node: ``context``, depth, and the captions, one line per event, which may be none."""
    return [*context, *BODY.format(depth=depth, max_depth=max_depth, caption=caption or NO_CAPTION).split("\n", 2)]


def judge_prompt(question: str, depth: int, max_depth: int) -> str:
    """The prompt to a video LLM that captions one event and decides about it in one reply."""
    return JUDGE.format(question=question, depth=depth, max_depth=max_depth)


def again_prompt(prompt: str, reply: str) -> str:
    """The user turn that asks for the action alone, after ``reply`` to ``prompt`` has named none."""
    return AGAIN.format(prompt=prompt, reply=reply[-REPLY_SHOWN:])


def reply_before(prompt: str) -> str:
    """The reply that ``again_prompt`` shows, as much of it as it does; empty for a prompt that is not asked again."""
    return prompt.removesuffix(_REPLIED_END).rpartition(_REPLIED)[2] if prompt.endswith(_REPLIED_END) else ""


def policy_completion(reasoning: str, action: Action) -> str:
    """A completion that follows the format fully, as taught by the cold start."""
    return f"<think>{reasoning}</think><action>{action.value}</action>"


def bare_completion(action: Action) -> str:
    """A completion that follows the format without reasoning."""
    return f"<action>{action.value}</action>"


def numbered_completion(completions: Sequence[str]) -> str:
    """One completion about several parts: theirs, numbered from 1."""
    return "\n".join(f"{i}. {completion}" for i, completion in enumerate(completions, 1))
