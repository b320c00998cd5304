"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lmms_videominer.show.printable import printable


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of ``rows`` below ``head``. A cell is one line, and a ``|`` in it is escaped."""
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)])


def one_line(text: str) -> str:
    """``text`` as printable text on one line."""
    return printable(" ".join(text.splitlines()))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(one_line(text).replace("|", r"\|") for text in cells) + " |"
