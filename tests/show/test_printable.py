"""Text from outside is shown as text, whatever it is."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from support.mined import mined_selection, pictures

from lmms_videominer.cli import main
from lmms_videominer.errors import SchemaError
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.show.printable import PrintableFormatter, printable
from lmms_videominer.show.sheet import contact_sheet
from lmms_videominer.show.terminal import print_selection
from lmms_videominer.store.selection_json import from_json, save, to_json
from lmms_videominer.types import Decision, Event, KeyFrame, Node, Question, Selection, Span
from lmms_videominer.video.time_codes import clock

ATTACKS = [
    "[/]",
    "[red]x[/red] [link=https://x]y[/link]",
    "\x1b[2J\x1b[1;1H",
    "\x1b]8;;https://x\x1b\\click\x1b]8;;\x07",
    "\x9b31m \x90 \x84",
    "abc\rxyz\x08\x07\x00",
    "invoice \u202egpj.exe",
    "\u2066\u2069\u200f\u061c",
    "a\u2028b\u2029c\x85d\x0be",
    "\ud800 \udfff",
    ":smile: | $x^$ `code` <b> = 1+1",
]
texts = st.sampled_from(ATTACKS) | st.text(st.characters(codec=None), max_size=40) | st.text("[]/\\\x1b|a\n.")
times_s = st.floats(0, 1e300, allow_nan=False)


def harmful(text: str) -> list[str]:
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    kinds = ("Cc", "Cs", "Zl", "Zp")
    return [c for c in text if c != "\n" and (unicodedata.category(c) in kinds or c in turning)]


@st.composite
def selections(draw) -> Selection:
    """The tree of ``mined_selection`` with any text in each of its places."""
    base = mined_selection()
    nodes: list[Node] = []
    for node in base.nodes:
        parent = draw(st.sampled_from(["0", *[node.id for node in nodes]]))
        event = Event(Span(0, draw(times_s)), draw(texts))
        decision = node.decision and Decision(node.decision.action, draw(texts), node.decision.reading)
        name = draw(texts | st.just(f"{parent}.{len(nodes)}"))
        nodes.append(Node(name, node.depth, (event,), decision, draw(texts)))
    return dataclasses.replace(
        base,
        question=Question(draw(texts), draw(texts), tuple(draw(st.lists(texts, max_size=3)))),
        video=dataclasses.replace(base.video, path=draw(texts), backend=draw(texts), duration_s=draw(times_s)),
        key_frames=tuple(KeyFrame(time_s, 3, draw(texts)) for time_s in sorted(draw(st.lists(times_s, max_size=3)))),
        selector=draw(texts),
        nodes=tuple(nodes),
        usage=dataclasses.replace(base.usage, seconds={draw(texts): 1.5}),
        fallbacks=(draw(texts),),
        answer=draw(st.none() | texts),
    )


@settings(max_examples=30, deadline=None)
@given(selections(), st.integers(5, 200))
def test_any_tree_is_shown_and_no_control_character_reaches_the_terminal(selection, width):
    file = io.StringIO()
    print_selection(Console(file=file, width=width, color_system=None), selection)
    assert harmful(file.getvalue()) == []
    file.getvalue().encode()


@settings(max_examples=5, deadline=None)
@given(selections())
def test_any_tree_has_a_sheet(tmp_path_factory, selection):
    path = tmp_path_factory.mktemp("sheet") / "sheet.jpg"
    contact_sheet(selection, pictures(selection), path)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if not attack.startswith("\ud800")])
def test_show_prints_a_stored_tree_with_hostile_texts(attack, tmp_path, capsys):
    base = mined_selection()
    nodes = tuple(
        dataclasses.replace(node, id=f"{i}{attack}", events=(Event(Span(0, 1), attack),), note=attack)
        for i, node in enumerate(base.nodes)
    )
    frames = (KeyFrame(1.0, 1, f"0{attack}"),)
    hostile = dataclasses.replace(base, nodes=nodes, key_frames=frames, answer=attack, fallbacks=(attack,))
    save(hostile, tmp_path / "tree.json")
    assert main(["show", str(tmp_path / "tree.json")]) == 0
    shown = capsys.readouterr().out
    assert harmful(shown) == [] and printable(attack.split()[0], keep="") in shown


def test_a_number_of_thousands_of_digits_is_told(tmp_path, capsys):
    tree = json.loads(to_json(mined_selection()))
    text = json.dumps(tree).replace('"vlm_calls": 40', f'"vlm_calls": {"9" * 6000}')
    assert "9" * 6000 in text
    with pytest.raises(SchemaError, match="digits"):
        from_json(text)
    (tmp_path / "tree.json").write_text(text)
    assert main(["show", str(tmp_path / "tree.json")]) == 1
    assert "tree.json" in capsys.readouterr().err
    assert clock(1.7e308, 2).startswith("47")


def test_what_prints_is_left_as_it_is():
    for text in ("plain", "日本語 – “quoted” ½", "two\nlines\tand a tab", "👩‍👧 مرحبا", ""):
        assert printable(text) == text
    assert printable("a\x1b[0mb\rc\u202ed\ud800") == "a\\x1b[0mb\\x0dc\\u202ed\\ud800"
    assert printable("a\nb", keep="") == "a\\x0ab"


def test_messages_and_logs_are_printable(tmp_path, capsys):
    assert main(["show", str(tmp_path / "a\x1b[2J\u202e.json")]) == 1
    assert harmful(capsys.readouterr().err) == []
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", ("film\x1b]0;title\x07.mp4",), None)
    assert PrintableFormatter().format(record) == "film\\x1b]0;title\\x07.mp4"


def test_a_cell_of_a_markdown_table_is_one_line():
    table = markdown_table(["a", "b"], [["x\n| y\r\nz", "\x1b[2J"]])
    assert table.splitlines() == ["| a | b |", "|---|---|", r"| x \| y z | \x1b[2J |"]


def test_a_sheet_of_a_very_long_word_is_drawn_in_no_time(tmp_path):
    base = mined_selection()
    long = "x" * 200_000
    selection = dataclasses.replace(base, question=Question("v.mp4", long, (long, "b")), answer=long)
    contact_sheet(selection, np.zeros_like(pictures(selection)), tmp_path / "sheet.jpg")
