"""The numbers of a page as plain tables, for readers without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from lmms_videominer.show.printable import printable
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.types import Usage
from lmms_videominer.verdict import option_letter
from lmms_videominer.video.time_codes import clock, clock_spans

MOST_WITH_NODES = 8  # results whose trees are written out
_VERDICTS = {True: "right", False: "wrong", None: ""}


def tables(results: Sequence[Shown]) -> str:
    """HTML: a table of all results; of a few also their options, key frames, trees and cost."""
    head = (
        "result",
        "question",
        "selector",
        "answer",
        "right answer",
        "verdict",
        "key frames at",
        "captions",
        "decisions",
        "s",
    )
    parts = [_table("Results", head, [_row(result) for result in results])]
    for result in results if len(results) <= MOST_WITH_NODES else ():
        parts += _whole(result)
    return "\n".join(parts)


def _row(result: Shown) -> tuple[str, ...]:
    selection, usage = result.selection, result.selection.usage
    return (
        result.name,
        selection.question.text,
        selection.selector,
        selection.answer or "",
        result.target,
        _VERDICTS[result.correct],
        " ".join(clock(frame.time_s, 1) for frame in selection.key_frames),
        str(usage.vlm_calls + usage.vlm_calls_cached),
        str(usage.policy_calls + usage.policy_calls_cached),
        f"{sum(usage.seconds.values()):.1f}",
    )


def _whole(result: Shown) -> Iterable[str]:
    selection = result.selection
    options = [f"{option_letter(index)}. {option}" for index, option in enumerate(selection.question.options)]
    yield f"<h2>{_text(result.name)}</h2>"
    yield f"<p>{_text(selection.question.text)}</p>"
    yield "".join(f"<p>{_text(option)}</p>" for option in options)
    frames = [
        (clock(frame.time_s, 2), str(frame.frame_index), frame.node_id or "", _number(frame.score))
        for frame in selection.key_frames
    ]
    yield _table("Key frames", ("time", "frame", "node", "score"), frames)
    nodes = [
        (
            node.id,
            node.decision.action.value if node.decision else "undecided" if node.undecided else "",
            clock_spans(node.spans),
            node.note,
            node.caption,
        )
        for node in selection.nodes
    ]
    if nodes:
        yield _table("Tree", ("node", "action", "time", "note", "caption"), nodes)
    yield _table("Cost", ("what", "how much"), _costs(selection.usage))


def _costs(usage: Usage) -> list[tuple[str, str]]:
    counts = [(name.replace("_", " "), value) for name, value in vars(usage).items() if name != "seconds"]
    return [
        *((name, str(value)) for name, value in counts if value),
        *((f"{stage}, s", f"{value:.2f}") for stage, value in usage.seconds.items()),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>\n<caption>{_text(title)}</caption>\n<tr>{names}</tr>\n{body}</table>"


def _text(text: str) -> str:
    return escape(printable(text))
