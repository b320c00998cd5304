"""Reading an answer and telling hits from misses."""

from __future__ import annotations

import pytest
from support.mined import mined_selection

from lmms_videominer.types import KeyFrame, Span
from lmms_videominer.verdict import chosen_option, frames_hitting, in_evidence, option_letter, windows_hit
from lmms_videominer.vlm.prompts import answer_prompt

OPTIONS = ("a circle", "a cross", "a star", "an arrow")


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("C", 2),
        ("(B)", 1),
        ("d.", 3),
        ("A. a circle", 0),
        ("A star", 2),
        ("a star", 2),
        (" A STAR ", 2),
        ("The answer is B", 1),
        ("The answer is a star", None),
        ("A moon", None),
        ("Option (D) fits", 3),
        ("E", None),
        ("", None),
        (None, None),
        ("I do not know", None),
        ("a star (B)", 1),
        ("seen twice: a cross", 1),
        ("A star.", 2),
        ("A: a star", 0),
        ("seen: a moon", None),
    ],
)
def test_an_answer_names_an_option_by_letter_or_in_full(answer, index):
    assert chosen_option(answer, OPTIONS) == index


def test_an_open_question_has_no_chosen_option():
    assert chosen_option("A", ()) is None


def test_evidence_is_half_open():
    window = [Span(10, 12)]
    assert in_evidence(KeyFrame(10.0, 80), window)
    assert not in_evidence(KeyFrame(12.0, 96), window)


def test_windows_are_counted_not_frames():
    frames = mined_selection().key_frames  # six lie in the first window, one in the last
    window, three = [Span(1131, 1134)], [Span(1131, 1134), Span(5, 6), Span(2400, 2401)]
    assert (windows_hit(frames, window), windows_hit(frames, three)) == (1, 2)
    assert (frames_hitting(frames, window), frames_hitting(frames, three)) == (6, 7)
    assert windows_hit([], three) == frames_hitting([], three) == 0


def test_a_frame_in_two_windows_that_overlap_is_one_frame_that_hits_both():
    frame, windows = [KeyFrame(5.0, 50)], [Span(4, 6), Span(5, 7)]
    assert (windows_hit(frame, windows), frames_hitting(frame, windows)) == (2, 1)


def test_options_beyond_the_26th_have_letters_of_their_own():
    options = [f"thing {i}" for i in range(800)]
    letters = [option_letter(i) for i in range(800)]
    named = [letters[i] for i in (25, 26, 27, 51, 52, 702)]
    assert named == ["Z", "AA", "AB", "AZ", "BA", "AAA"]
    assert [chosen_option(f"{letter}.", options) for letter in letters] == list(range(800))
    assert "AA. thing 26\n" in answer_prompt("Which?", options)
    assert chosen_option("No.", options[:15]) is None  # only where options have two letters
