"""Tasks that come with and without subtitles: which of the two a request is, and the subtitles of its key frames.

Tasks of lmms-eval 0.7 that ask with subtitles write into their prompt those of frames that they take to be shown,
evenly spaced ones. Where other frames are shown, the subtitles have to be those of these frames. The prompt is read
back for that: all these tasks write the same line before their subtitles, and one of a few after them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmms_videominer.config import NO_SUBTITLES
from lmms_videominer.models.plain_text import PLACEHOLDERS, ControlTokens
from lmms_videominer.search.speech import told_lines
from lmms_videominer.types import Selection
from lmms_videominer.vlm.prompts import SAID_HEAD

# The tasks that come in both forms, by the beginning of the name. By the name alone they cannot be told apart:
# videomme_long asks with subtitles. The table leaves out cinepile, whose subtitles are in its rows, without times.
IN_BOTH_FORMS = ("videomme", "videomathqa", "cgbench", "worldsense", "videott", "longvideobench")
_FOREIGN = ControlTokens.matching(map(re.escape, PLACEHOLDERS))  # in a task's own prompt they would stay
NONE_SAID = "No subtitles available"  # as these tasks write it
_LISTED = re.compile(
    r"(This video's subtitles are listed below: *\n(\"?))(.*)"
    r"(?=\2\n\s*(?:Select the best answer to the following|Question: ))",
    re.DOTALL,
)


def subtitles_of(task: str, context: str) -> str:
    """``Question.subtitles`` of a request: ``off`` where a task that comes in both forms asks without, else empty."""
    return NO_SUBTITLES if task.startswith(IN_BOTH_FORMS) and not _LISTED.search(context) else ""


def with_said(text: str, selection: Selection, asked: str) -> str:
    """``text``, a prompt of a task, with what is said near the key frames.

    Where the task lists subtitles, these are replaced by those that are shown with the key frames, in its own form;
    else what is said near them comes before the prompt. Without subtitles of the film, and in a text that does not
    hold ``asked``, nothing changes.

    Args:
        asked: The task's question, as its document has it, or its whole prompt.
    """
    if asked not in text or NO_SUBTITLES in (selection.question.subtitles, selection.config.get("subtitles")):
        return text
    if "no_subtitles" in selection.fallbacks:
        return text
    said = [replace(cue, text=_FOREIGN.spaced(cue.text)) for cue in selection.said]
    if not _LISTED.search(text):
        return "\n".join([SAID_HEAD, *told_lines(said), text]) if said else text
    times_s = [frame.time_s for frame in selection.key_frames]
    shown = [cue.text for cue in said if any(cue.span.start_s <= time_s < cue.span.end_s for time_s in times_s)]
    listed = "\n".join(shown) or NONE_SAID
    return _LISTED.sub(lambda found: found[1] + listed, text, count=1)


def messages_with_said(messages: Any, selection: Selection, asked: str) -> Any:
    """``messages`` of a chat request with ``with_said`` made to their texts; what is none of a chat stays as it is."""
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        return messages
    return [{**message, "content": _content(message.get("content"), selection, asked)} for message in messages]


def _content(content: Any, selection: Selection, asked: str) -> Any:
    if isinstance(content, str):
        return with_said(content, selection, asked)
    return [
        {**part, "text": with_said(part["text"], selection, asked)} if isinstance(part.get("text"), str) else part
        for part in content or []
    ]
