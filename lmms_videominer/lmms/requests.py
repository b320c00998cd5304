"""Reading an lmms-eval request: which video it shows, what it asks, and the same request with other visuals."""

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
    """The parts of an ``Instance`` of ``generate_until``, whichever form it has.

    Attributes:
        context: The prompt that the task made.
        settings: Generation settings of the task.
        shows: ``doc_to_visual`` of a simple request, ``doc_to_messages`` of a chat one.
        doc_id, task, split: Where the document is.
        is_simple: Which form it has.
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
        """As lmms-eval orders them, the settings copied: backbones take entries out of them."""
        settings = copy.deepcopy(self.settings)
        middle = (settings, self.shows) if self.is_simple else (self.shows, settings)
        return (self.context, *middle, self.doc_id, self.task, self.split)


def shown_video(shown: Any, is_simple: bool) -> str | None:
    """The video file of what a request shows, where it shows exactly one and nothing else beside it.

    Args:
        shown: What ``doc_to_visual`` (a list) or ``doc_to_messages`` (chat messages) gave.
    """
    visuals = _visuals(shown, is_simple)
    return visuals[0] if len(visuals) == 1 and _is_video(visuals[0]) else None


def shows_video(shown: Any, is_simple: bool) -> bool:
    """Whether a video file is among what a request shows."""
    return any(_is_video(visual) for visual in _visuals(shown, is_simple))


def with_video(shown: Any, video: Any, is_simple: bool) -> Any:
    """What a request shows, with ``video`` (a path, or frames) in the place of its own; ``None``: text only."""
    if is_simple:
        return [] if video is None else [video]
    messages = []
    for message in shown:
        if isinstance(message.get("content"), str):
            messages.append(dict(message))
            continue
        content = [dict(p) for p in message["content"] if video is not None or p.get("type") != "video"]
        messages.append({**message, "content": [_moved(part, video) for part in content]})
    return messages


def shown_with(prompt: str, video: Any, is_simple: bool) -> Any:
    """What a request of our own shows: ``video`` (``None``: nothing) before ``prompt``."""
    if is_simple:
        return [] if video is None else [video]
    visuals = [] if video is None else [{"type": "video", "url": video}]
    return [{"role": "user", "content": [*visuals, {"type": "text", "text": prompt}]}]


def question_of(document: Mapping[str, Any], context: str, video: str) -> Question:
    """What a document asks about ``video``: its own question and options where it has them, else the prompt's."""
    asked = document.get("question")
    text = asked if isinstance(asked, str) and asked.strip() else context
    options = _options(document) or _option_lines(text)
    return Question(os.fspath(video), _without_options(text).strip(), options, _evidence(document))


def _visuals(shown: Any, is_simple: bool) -> list[Any]:
    """What a request shows beside its text; of chat messages the places of videos, ``None`` for all else."""
    if is_simple:
        return _flat(shown or [])
    visuals = [part for message in shown or [] for part in _parts(message) if part.get("type") != "text"]
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


def _moved(part: dict[str, Any], video: Any) -> dict[str, Any]:
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
    """``text`` up to its first option; all of it where that leaves nothing."""
    kept: list[str] = []
    for line in text.splitlines():
        if _OPTION_LINE.match(line):
            break
        kept.append(line)
    return "\n".join(kept).strip() or text
