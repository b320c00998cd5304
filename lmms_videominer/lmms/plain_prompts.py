"""Special tokens in the prompts for a backbone are text, as far as that can be done from outside: a space breaks them.

The backbone's tokenizer is taken where it can be found. A service has none here: what chat models have in common then
serves. Placeholders that a task has written into its own prompt stay.
"""

from __future__ import annotations

import re
from typing import Any

from lmms_videominer.models.plain_text import PLACEHOLDERS, THINK, ControlTokens


def plain_text(content: Any, tokens: ControlTokens) -> Any:
    """``content``, a text or the parts of a chat message, with ``tokens`` in its texts broken by a space."""
    if isinstance(content, str):
        return tokens.spaced(content)
    if not isinstance(content, (list, tuple)):
        return content
    return [
        {**part, "text": tokens.spaced(part["text"])} if isinstance(part.get("text"), str) else part for part in content
    ]


def plain_messages(shown: Any, tokens: ControlTokens) -> Any:
    """``shown`` with the texts of chat messages as ``plain_text``; the visuals of the simple form as they are."""
    if not isinstance(shown, list) or not all(isinstance(message, dict) for message in shown):
        return shown
    return [{**message, "content": plain_text(message.get("content"), tokens)} for message in shown]


def control_tokens(backbone: Any, of_task: bool) -> ControlTokens:
    """The control tokens of a backbone of lmms-eval.

    Args:
        of_task: Whether they are for a task's own prompt, in which ``PLACEHOLDERS`` are not foreign.
    """
    own = "|".join([THINK, *map(re.escape, PLACEHOLDERS if of_task else ())])
    for value in vars(backbone).values():
        tokenizer = getattr(value, "tokenizer", value)
        if hasattr(tokenizer, "added_tokens_decoder"):
            return ControlTokens.of(tokenizer, getattr(value, "chat_template", None), more=PLACEHOLDERS, own=own)
    return ControlTokens.common(own)
