"""What a user reads on the terminal."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console
from support.mined import mined_selection, node

from lmms_videominer.show.terminal import print_selection, shortened
from lmms_videominer.types import Action, Selection


def printed(selection: Selection, right_option: int | None = None, width: int = 200, colour: bool = False) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    print_selection(console, selection, right_option)
    return file.getvalue()


def line_of(text: str, what: str) -> str:
    return next(line for line in text.splitlines() if what in line)


def test_nodes_stand_below_their_parents_in_order():
    text = printed(mined_selection())
    ids = ["0.0 ", "0.1 ", "0.1.0 ", "0.1.1 ", "0.1.1.0 ", "0.1.1.1 ", "0.1.1.2 ", "0.1.2 ", "0.2 ", "0.2.0 ", "0.3 "]
    places = [text.index(f"─ {id}") for id in ids]
    assert places == sorted(places)
    indents = [line_of(text, f"─ {id}").index("─") for id in ids]
    assert indents == [4 * id.count(".") - 4 + indents[0] for id in ids]


def test_a_node_shows_action_spans_caption_and_its_key_frames():
    line = line_of(printed(mined_selection()), "─ 0.1.1.1")
    for part in ("accept", "0:18:51.0-0:18:55.0", "7 key frames", "a red triangle beside a sign with a star"):
        assert part in line
    assert "0:00:00-0:12:00, 0:25:00-0:35:00" in line_of(printed(mined_selection()), "─ 0.0")


def test_only_readings_that_are_not_strict_are_flagged():
    text = printed(mined_selection())
    assert "[read leniently]" in line_of(text, "─ 0.2 ")
    assert "[unreadable, default taken]" in line_of(text, "─ 0.1.1.2")
    assert "read" not in line_of(text, "─ 0.1.1 ")
    assert "undecided" in line_of(text, "─ 0.2.0") and "[max_nodes]" in line_of(text, "─ 0.2.0")


def test_parts_that_are_judged_by_figures_show_these_and_are_not_called_undecided():
    nodes = (node("0", None, (0, 3600)), node("0.0", None, (0, 16), note="mean 0.412, bound 1.204: looked at closely"))
    text = printed(dataclasses.replace(mined_selection(), selector="focus", nodes=nodes))
    assert "[mean 0.412, bound 1.204: looked at closely]" in line_of(text, "─ 0.0")
    assert "undecided" not in text


def test_actions_differ_in_colour():
    text = printed(mined_selection(), colour=True)
    colours = {word: text[: text.index(word)].rpartition("\x1b[")[2] for word in ("accept", "continue", "delete")}
    assert len(set(colours.values())) == 3


def test_captions_are_never_read_as_markup():
    selection = mined_selection()
    nodes = (selection.nodes[0], node("0.0", Action.ACCEPT, (0, 5), caption="[red]sign[/] [/oops]"))
    assert "[red]sign[/] [/oops]" in printed(dataclasses.replace(selection, nodes=nodes))


def test_the_chosen_option_is_marked_and_the_right_one_told():
    text = printed(mined_selection(), right_option=1)
    assert "> C. a star" in text and "> B" not in text
    assert "(right)" in line_of(text, "B. a cross")


def test_an_answer_that_names_no_option_is_shown_as_it_came():
    text = printed(dataclasses.replace(mined_selection(), answer="perhaps a moon"))
    assert "perhaps a moon" in text and "names none of the options" in text and "> " not in text


def test_key_frames_come_with_time_index_node_and_evidence():
    text = printed(mined_selection())
    assert line_of(text, "0:18:51.25").split() == ["1", "0:18:51.25", "11312", "0.1.1.1", "yes"]
    assert line_of(text, "0:40:00.00").split() == ["8", "0:40:00.00", "24000", "-"]


def test_costs_and_fallbacks_are_told():
    text = printed(mined_selection())
    assert "40 captions made, 3 from the cache" in text and "10 policy calls (1000 + 300 tokens)" in text
    assert "captions 12.2 s" in text
    assert text.rstrip().endswith("filled")


def test_decisions_that_could_not_be_read_are_told_where_there_are_any():
    selection = mined_selection()
    unread = dataclasses.replace(selection, usage=dataclasses.replace(selection.usage, decisions_unread=3))
    assert "named no action" not in printed(selection)
    assert "3 decisions that named no action" in printed(unread)


def test_damaged_frames_are_told_where_there_are_any():
    selection = mined_selection()
    damaged = dataclasses.replace(selection, usage=dataclasses.replace(selection.usage, frames_substituted=3))
    assert "damaged" not in printed(selection)
    assert "3 damaged frames, for which the nearest served" in printed(damaged)


def test_scores_are_told_where_a_selector_goes_by_them():
    assert "score" not in printed(mined_selection())
    frames = mined_selection().key_frames
    frames = (dataclasses.replace(frames[0], score=0.28125), *frames[1:])
    usage = dataclasses.replace(mined_selection().usage, scores=64, scores_cached=36)
    text = printed(dataclasses.replace(mined_selection(), key_frames=frames, usage=usage))
    assert "0.281" in text and "64 frames scored, 36 from the cache" in text


def test_a_selection_without_tree_frames_or_answer():
    bare = dataclasses.replace(mined_selection(), nodes=(), key_frames=(), answer=None, fallbacks=())
    text = printed(bare)
    assert "Tree" not in text and "Answer" not in text and "Not as planned" not in text
    assert "none" in text[text.index("Key frames") :]


def test_shortened_ends_at_a_word_and_never_exceeds():
    assert shortened("one two\nthree", 40) == "one two three"
    assert shortened("one two three four", 12) == "one two…"
    assert shortened("x" * 50, 10) == "x" * 9 + "…"
