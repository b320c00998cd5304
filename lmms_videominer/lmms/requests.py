"""Reads lmms-eval requests: which video a request shows, what it asks, and the same request with other visuals."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmms_videominer.types import Question, Span

if TYPE_CHECKING:
    from lmms_eval.api.instance import Instance

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".gif")
_OPTION_KEYS = ("options", "candidates", "choices", "option")
_LETTERED = re.compile(r"^\s*\(?([A-Z])[.):]+\s*")
_OPTION_LINE = re.compile(r"^\s*(\(?[A-Z][.):]|options?:?\s*$)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """The parts of an ``Instance`` of ``generate_until`` in either form.

    Attributes:
        context: The task's prompt.
        settings: Generation settings of the task.
        shows: ``doc_to_visual`` of a simple request, ``doc_to_messages`` of a chat request.
        doc_id, task, split: Location of the document.
        is_simple: Whether it has the simple form rather than the chat form.
    """

    context: str
    settings: dict[str, Any]
    shows: Callable[[Any], Any]
    doc_id: int
    task: str
    split: str
    is_simple: bool

    @classmethod
    def of(cls, instance: Instance, is_simple: bool) -> Request:
        if is_simple:
            context, settings, shows, doc_id, task, split = instance.args[:6]
        else:
            context, shows, settings, doc_id, task, split = instance.args[:6]
        return cls(context, settings, shows, doc_id, task, split, is_simple)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arguments in lmms-eval's order, with a copy of the settings, since backbones remove entries from them."""
        settings = copy.deepcopy(self.settings)
        middle = (settings, self.shows) if self.is_simple else (self.shows, settings)
        return (self.context, *middle, self.doc_id, self.task, self.split)


def shown_video(result: Any, is_simple: bool) -> str | None:
    """The video file that a request shows, if it is the only visual.

    Args:
        result: What ``doc_to_visual`` (a list) or ``doc_to_messages`` (chat messages) returned.
    """
    visuals = _visuals(result, is_simple)
    return visuals[0] if len(visuals) == 1 and _is_video(visuals[0]) else None


def shows_video(result: Any, is_simple: bool) -> bool:
    """Whether a request shows a video file, alone or with other visuals."""
    return any(_is_video(visual) for visual in _visuals(result, is_simple))


def with_video(result: Any, video: Any, is_simple: bool) -> Any:
    """The visuals of a request, with ``video`` (a path, or frames) in place of its own; ``None``: text only."""
    if is_simple:
        return [] if video is None else [video]
    messages = []
    for message in result:
        if isinstance(message.get("content"), str):
            messages.append(dict(message))
            continue
        content = [dict(p) for p in message["content"] if video is not None or p.get("type") != "video"]
        messages.append({**message, "content": [_replace_video(part, video) for part in content]})
    return messages


def shown_with(prompt: str, video: Any, is_simple: bool) -> Any:
    """The visuals of a request from this package: ``video`` (``None``: nothing) before ``prompt``."""
    if is_simple:
        return [] if video is None else [video]
    visuals = [] if video is None else [{"type": "video", "url": video}]
    return [{"role": "user", "content": [*visuals, {"type": "text", "text": prompt}]}]


def question_of(document: Mapping[str, Any], context: str, video: str) -> Question:
    """The question about ``video``: the document's own question and options if it has them, else the prompt's."""
    document_question = document.get("question")
    text = document_question if isinstance(document_question, str) and document_question.strip() else context
    options = _options(document) or _option_lines(text)
    return Question(os.fspath(video), _without_options(text).strip(), options, _evidence(document))


def _visuals(result: Any, is_simple: bool) -> list[Any]:
    """The visuals of a request; for chat messages, the paths of videos and ``None`` for other visuals."""
    if is_simple:
        return _flat(result or [])
    visuals = [part for message in result or [] for part in _parts(message) if part.get("type") != "text"]
    return [part.get("url") if part.get("type") == "video" else None for part in visuals]


def _flat(visuals: Any) -> list[Any]:
    if not isinstance(visuals, (list, tuple)):
        return [visuals]
    return [leaf for visual in visuals for leaf in (_flat(visual) if isinstance(visual, (list, tuple)) else [visual])]


def _parts(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return [] if isinstance(content, str) or content is None else content


def _is_video(visual: Any) -> bool:
    return isinstance(visual, (str, os.PathLike)) and os.fspath(visual).lower().endswith(VIDEO_SUFFIXES)


def _replace_video(part: dict[str, Any], video: Any) -> dict[str, Any]:
    return {**part, "url": video} if part.get("type") == "video" else part


def _options(document: Mapping[str, Any]) -> tuple[str, ...]:
    numbered = [document.get(f"option{i}") for i in range(10)]
    for value in (*map(document.get, _OPTION_KEYS), [option for option in numbered if option not in (None, "N/A")]):
        if isinstance(value, (list, tuple)) and value and all(isinstance(option, str) for option in value):
            return tuple(_LETTERED.sub("", option).strip() for option in value)
    return ()


def _option_lines(text: str) -> tuple[str, ...]:
    lines = [line for line in text.splitlines()[1:] if _LETTERED.match(line)]
    return tuple(_LETTERED.sub("", line).strip() for line in lines)


def _evidence(document: Mapping[str, Any]) -> tuple[Span, ...]:
    spans = document.get("evidence")
    if not isinstance(spans, (list, tuple)):
        return ()
    pairs = [span for span in spans if isinstance(span, (list, tuple)) and len(span) == 2]
    return tuple(Span(float(start), float(end)) for start, end in pairs)


def _without_options(text: str) -> str:
    """``text`` up to its first option, or all of it if that leaves nothing."""
    lines: list[str] = []
    for line in text.splitlines():
        if _OPTION_LINE.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip() or text
