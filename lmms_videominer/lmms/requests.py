"""Reads lmms-eval requests: which video a request shows, what it asks, and the same request with other visuals."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lmms_videominer.models.plain_text import legible
from lmms_videominer.types import Question, Span
from lmms_videominer.verdict import option_letter

if TYPE_CHECKING:
    from lmms_eval.api.instance import Instance

# Any other file that a task shows is taken for a video: what FFmpeg opens is mined, and a note says why others are not.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".svg")
AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".aac", ".opus", ".oga", ".ogg", ".wma", ".aiff")
# The tasks of lmms-eval 0.7 whose documents have the options at the end of the question, by the beginning of the name.
OPTIONS_IN_QUESTION = ("mlvu", "lvbench", "tempcompass", "temporalbench")
_OPTION_KEYS = ("options", "candidates", "choices", "option")
_LETTERED = re.compile(r"^\s*\(?([A-Z])[.):]+\s*")
_OPTIONS_HEAD = re.compile(r"^\s*options?:?\s*$", re.IGNORECASE)


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


def retold(request: Request, change: Callable[[str], str]) -> Request:
    """``request`` with ``change`` made to its prompt, and to the text of its chat messages."""

    def shows(document: Any) -> Any:
        return [_with_texts(message, change) for message in request.shows(document)]

    return replace(request, context=change(request.context), shows=request.shows if request.is_simple else shows)


def _with_texts(message: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": change(content)}
    parts = [{**part, "text": change(part["text"])} if part.get("type") == "text" else part for part in content or []]
    return {**message, "content": parts}


def shown_video(result: Any, is_simple: bool) -> str | None:
    """The file that a request shows as a video, or that may be one, if it is the only visual.

    Args:
        result: What ``doc_to_visual`` (a list) or ``doc_to_messages`` (chat messages) returned.
    """
    visuals = _visuals(result, is_simple)
    return os.fspath(visuals[0]) if len(visuals) == 1 and _may_be_video(visuals[0], is_simple) else None


def why_no_video(result: Any, is_simple: bool) -> str:
    """Why ``shown_video`` is ``None``; empty if it is not."""
    visuals = _visuals(result, is_simple)
    if len(visuals) != 1:
        return f"it shows {len(visuals)} visuals, not one video" if visuals else "it shows no visual"
    return "" if _may_be_video(visuals[0], is_simple) else "what it shows is not a video file"


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


def question_of(document: Mapping[str, Any], context: str, video: str, task: str) -> Question:
    """The question about ``video``: the document's own question and options if it has them, else the prompt's.

    Options are cut off where they are known to stand at the end: in a prompt, and in a document's question if ``task``
    is one of ``OPTIONS_IN_QUESTION``. Any other question stays whole.
    """
    text, options = document.get("question"), _options(document)
    is_own = isinstance(text, str) and bool(text.strip())
    text = text if isinstance(text, str) and is_own else context
    if not is_own or task.startswith(OPTIONS_IN_QUESTION):
        text, appended = _split_options(text)
        options = options or appended
    return Question(os.fspath(video), legible(text).strip(), tuple(map(legible, options)), _evidence(document))


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


def _may_be_video(visual: Any, is_simple: bool) -> bool:
    """Whether a visual is a file that is not known to be something else. Chat messages say what is a video."""
    if not isinstance(visual, (str, os.PathLike)):
        return False
    return not is_simple or not os.fsdecode(visual).lower().endswith((*IMAGE_SUFFIXES, *AUDIO_SUFFIXES))


def _replace_video(part: dict[str, Any], video: Any) -> dict[str, Any]:
    return {**part, "url": video} if part.get("type") == "video" else part


def _options(document: Mapping[str, Any]) -> tuple[str, ...]:
    numbered = [document.get(f"option{i}") for i in range(10)]
    for value in (*map(document.get, _OPTION_KEYS), [option for option in numbered if option not in (None, "N/A")]):
        if isinstance(value, (list, tuple)) and value and all(isinstance(option, str) for option in value):
            return without_letters(value)
    return ()


def without_letters(options: Sequence[str]) -> tuple[str, ...]:
    """``options`` without the letters before them, if these are A, B, C, ... in order, before each of two or more."""
    stripped = [option.strip() for option in options]
    if len(stripped) < 2 or _letters(stripped) != [option_letter(i) for i in range(len(stripped))]:
        return tuple(stripped)
    return tuple(_LETTERED.sub("", option).strip() for option in stripped)


def _letters(lines: Sequence[str]) -> list[str]:
    """The letter before each line, empty if there is none."""
    return [match[1] if (match := _LETTERED.match(line)) else "" for line in lines]


def _evidence(document: Mapping[str, Any]) -> tuple[Span, ...]:
    spans = document.get("evidence")
    if not isinstance(spans, (list, tuple)):
        return ()
    pairs = [span for span in spans if isinstance(span, (list, tuple)) and len(span) == 2]
    return tuple(Span(float(start), float(end)) for start, end in pairs)


def _split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """``text`` up to its options, and these: the last two or more lines with the letters A, B, C, ... in order.

    Empty lines may lie between them, and what follows them is dropped. Without such lines, or with nothing before them,
    the text is whole.
    """
    lines = text.splitlines()
    filled = [i for i, line in enumerate(lines) if line.strip()]
    letters = _letters([lines[i] for i in filled])
    starts = [k for k in range(len(filled) - 1) if letters[k : k + 2] == ["A", "B"]]
    if not starts:
        return text, ()
    start = stop = starts[-1]
    while stop < len(filled) and letters[stop] == option_letter(stop - start):
        stop += 1
    has_head = start > 0 and _OPTIONS_HEAD.match(lines[filled[start - 1]])
    before = "\n".join(lines[: filled[start - 1 if has_head else start]]).strip()
    return (before, without_letters([lines[i] for i in filled[start:stop]])) if before else (text, ())
