"""Parses the action from a model's text: strictly, else leniently, else with a counted default."""

from __future__ import annotations

import re

from lmms_videominer.types import Action, Reading

_WORD = "accept|continue|delete"
_MARKS = r"[\s*_`\"'#>.!-]*"  # white space, markdown and quotes that may surround the word
_BARE = re.compile(rf"\s*<action>({_WORD})</action>\s*")
_NUMBER = re.compile(r"^[ \t]*(?:part[ \t]*)?[*_`\"'(]*(\d{1,3})[*_`\"']*[.:)][*_`\"']*", re.IGNORECASE | re.MULTILINE)
_STRICT = re.compile(rf"\s*<think>(?:(?!</?(?:think|action)>).)*</think>\s*<action>({_WORD})</action>\s*", re.DOTALL)
_JUDGED = re.compile(rf"((?:(?!</?(?:think|action)>).)*\S)\s*<action>({_WORD})</action>\s*", re.DOTALL)
_THOUGHT = re.compile("<think>", re.IGNORECASE)
_THOUGHT_END = re.compile("</think>", re.IGNORECASE)
_TAG = re.compile(r"<action>([^<]*)", re.IGNORECASE)
_FIRST_WORD = re.compile(rf"{_MARKS}({_WORD})\b", re.IGNORECASE)
_ANY_WORD = re.compile(rf"\b({_WORD})\b", re.IGNORECASE)
# a label followed by all choices, "Action: accept, continue or delete", repeats the prompt and chooses nothing
_OTHER_CHOICE = rf"\s*(?:,|/|\||or\b|and\b)\s*(?:or\s+)?(?:{_WORD})\b"
_LABEL = re.compile(
    rf"\b(?:action|decision|verdict)[*_`\"']*\s*(?:[:=]|\bis\b){_MARKS}(?:to\s+)?({_WORD})\b(?!{_OTHER_CHOICE})",
    re.IGNORECASE,
)
_LONE_WORD = re.compile(rf"{_MARKS}({_WORD}){_MARKS}", re.IGNORECASE)
# "Delete: there is no cat", "**Accept** - it shows the cat", not "Delete: no"
_LEADING = re.compile(
    rf"^[ \t*_`\"'#>-]*({_WORD})[*_`\"']*(?::|[ \t]+[-\u2013\u2014][ \t]|[ \t]*$)[*_`\"']*(?![ \t]*(?:no|not|never)\b)",
    re.IGNORECASE | re.MULTILINE,
)
# "I would delete this part", not "I would not delete it", "I would delete it if ..."
_STATED = re.compile(
    rf"\b(?:I|we)(?:\s+(?:would|will|should|choose\s+to|decide\s+to)|['\u2019](?:d|ll))\s+[*_`\"']*({_WORD})[*_`\"']*"
    r"(?=\s+(?:this|it|the|that|because|since|as)\b|\s*[.,;:!]|\s*$)(?![^.!?\n]{0,100}\b(?:if|unless)\b)",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:not|never|no|nor|cannot|don['\u2019]t|doubt)\b[^.!?\n]*\Z", re.IGNORECASE)
_BEFORE = 100  # characters in which a negation is looked for
_BEFORE_LABEL = " \t\r\n*_`\"'#>-"  # white space and markdown that belong to the label after them


def split_completion(text: str, count: int) -> list[str]:
    """The replies about ``count`` parts in one completion, each after its number; ``""`` for a part without one.

    A number counts at the beginning of a line, after those before it: ``1. ...``, ``Part 2: ...``.
    """
    ends: list[tuple[int, int]] = []  # where each number begins and ends
    for match in _NUMBER.finditer(text):
        if len(ends) < count and int(match[1]) == len(ends) + 1:
            ends.append(match.span())
    starts = [*(begin for begin, _ in ends[1:]), len(text)]
    found = [text[end:start].strip() for (_, end), start in zip(ends, starts)]
    return found + [""] * (count - len(found))


def parse_completion(text: str, default: Action, reasoning: bool = True) -> tuple[Action, Reading]:
    """The action of a policy completion, and how it was recovered. Never raises on any text.

    Strict: the whole text is ``<think>…</think><action>X</action>``, apart from white space around
    the parts. Lenient: exactly one distinct action is named by an ``<action>`` tag, else by a label
    (``Action: X``, ``{"decision": "X"}``), else by a last line that consists of that word; the text
    after ``</think>`` takes precedence over the reasoning. Outside the reasoning also by lines that
    begin with the word (``X: it shows ...``), else by a sentence (``I would X this part``). Anything
    else, such as contradictory tags, a negation or the template itself, gives ``default``.

    Args:
        text: The completion.
        default: The action if none is named.
        reasoning: Whether the format has reasoning; without it ``<action>X</action>`` is read strictly.
    """
    if match := (_STRICT if reasoning else _BARE).fullmatch(text):
        return Action(match[1]), Reading.STRICT
    reply = _after_thought(text)
    weaker = () if _THOUGHT.search(reply) else (_leading, _stated)
    for part, readings in (
        (reply, (_tagged, _labelled, _last_line, *weaker)),
        (text, (_tagged, _labelled, _last_line)),
    ):
        for named in readings:
            actions = named(part)
            if len(actions) == 1:
                return Action(actions.pop()), Reading.LENIENT
            if actions:  # contradictory: weaker evidence cannot resolve it
                return default, Reading.DEFAULT
    return default, Reading.DEFAULT


def parse_judged(text: str, default: Action) -> tuple[str, Action, Reading]:
    """The caption in a reply that captions and decides, its action, and how it was recovered. Never raises on any text.

    Strict: the whole text is ``caption<action>X</action>``, apart from white space around the parts. Anything else is
    read as leniently as a policy completion, with ``default`` where no action is named. The caption ends at the first
    ``<action>``, else at the first label, else before a last line that consists of the action; a thought is left out
    of it, unless nothing else is said.
    """
    if match := _JUDGED.fullmatch(text):
        return match[1].strip(), Action(match[2]), Reading.STRICT
    action, reading = parse_completion(text, default)
    caption = _before_action(_after_thought(text)) or _before_action(text)
    return caption, action, Reading.LENIENT if reading is Reading.STRICT else reading


def _before_action(text: str) -> str:
    """What ``text`` says before it names its action, without the tags of thoughts."""
    if tag := _TAG.search(text):
        text = text[: tag.start()]
    elif label := _LABEL.search(text):
        text = text[: label.start()].rstrip(_BEFORE_LABEL)
    elif _last_line(text):
        text = "\n".join(text.strip().splitlines()[:-1])
    return _THOUGHT_END.sub("", _THOUGHT.sub("", text)).strip()


def _after_thought(text: str) -> str:
    """The text after the last ``</think>``; the whole text if there is none."""
    return text[max((match.end() for match in _THOUGHT_END.finditer(text)), default=0) :]


def _lower(words: list[str]) -> set[str]:
    return {word.lower() for word in words}


def _tagged(text: str) -> set[str]:
    """Actions named by tags; a tag counts if its first word is an action (``do not delete`` names none)."""
    contents = [content for content in _TAG.findall(text) if _FIRST_WORD.match(content)]
    return _lower([word for content in contents for word in _ANY_WORD.findall(content)])


def _labelled(text: str) -> set[str]:
    return _lower(_LABEL.findall(text))


def _last_line(text: str) -> set[str]:
    lines = text.strip().splitlines()
    match = _LONE_WORD.fullmatch(lines[-1]) if lines else None
    return {match[1].lower()} if match else set()


def _leading(text: str) -> set[str]:
    return _lower(_LEADING.findall(text))


def _stated(text: str) -> set[str]:
    said = [
        match
        for match in _STATED.finditer(text)
        if not _NEGATED.search(text[max(0, match.start() - _BEFORE) : match.start()])
    ]
    return _lower([match[1] for match in said])
