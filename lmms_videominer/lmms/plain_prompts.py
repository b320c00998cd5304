"""Special tokens in the prompts for a backbone are text, as far as that can be done from outside: a space breaks them.

The backbone's tokenizer is taken where it can be found. A service has none here: what chat models have in common then
serves. Placeholders that a task has written into its own prompt stay.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, TypeVar

from lmms_videominer.models.plain_text import SHAPE, ControlTokens

if TYPE_CHECKING:
    from lmms_videominer.lmms.driver import Handed

    HandedT = TypeVar("HandedT", bound=Handed)

PLACEHOLDERS = ("<image>", "<video>", "<audio>")  # of tasks and of backbones; a tokenizer need not know them
COMMON = (SHAPE, "</?s>", r"\[/?INST\]", "<(?:start|end)_of_turn>", "<(?:bos|eos)>", "<IMG_CONTEXT>")


def plain(handed: HandedT, backbone: Any) -> HandedT:
    """``handed`` with the control tokens of ``backbone`` in its texts broken by a space."""
    tokens = control_tokens(backbone, of_task=handed.document is not None)
    shown = handed.shown
    if isinstance(shown, list) and all(isinstance(message, dict) for message in shown):  # the chat form
        shown = [{**message, "content": _plain_content(message.get("content"), tokens)} for message in shown]
    return dataclasses.replace(handed, context=_plain_content(handed.context, tokens), shown=shown)


def _plain_content(content: Any, tokens: ControlTokens) -> Any:
    if isinstance(content, str):
        return tokens.spaced(content)
    if not isinstance(content, (list, tuple)):
        return content
    return [
        {**part, "text": tokens.spaced(part["text"])} if isinstance(part.get("text"), str) else part for part in content
    ]


def control_tokens(backbone: Any, of_task: bool) -> ControlTokens:
    """The control tokens of a backbone of lmms-eval.

    Args:
        of_task: Whether they are for a task's own prompt, in which ``PLACEHOLDERS`` are not foreign.
    """
    own = "|".join(map(re.escape, PLACEHOLDERS)) if of_task else "(?!)"
    for value in vars(backbone).values():
        tokenizer = getattr(value, "tokenizer", value)
        if hasattr(tokenizer, "added_tokens_decoder"):
            return ControlTokens.of(tokenizer, getattr(value, "chat_template", None), more=PLACEHOLDERS, own=own)
    return ControlTokens.matching([*COMMON, *PLACEHOLDERS], own)
