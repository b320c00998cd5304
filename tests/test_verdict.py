"""Reading an answer and telling hits from misses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


SCENES = ("A man walks in", "The man opens the door", "He leaves", "A woman calls", "I do not know")


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("**B**", 1),
        ("**B.** The man opens the door", 1),
        ("**(B)**", 1),
        ("*B*", 1),
        ("`B`", 1),
        ("The answer is: B", 1),
        ("The answer is **B**.", 1),
        ("The correct answer is option B.", 1),
        ("The correct option is (B).", 1),
        ("The answer would be B, since the door moves.", 1),
        ("Answer: (C)", 2),
        ("Answer: c", 2),
        ("ANSWER: B", 1),
        ("Final answer: (b)", 1),
        ("I choose B.", 1),
        ("B The man opens the door", 1),
        ("B Opens the door", 1),
        ("B - he opens the door", 1),
        ("B \u2013 he opens the door", 1),
        ("B\nThe man opens the door, as seen in the second frame.", 1),
        ("A\nA man walks in.", 0),
        ("A - a man walks in", 0),
        ("A A man walks in", 0),
        ("A The man walks in", 0),
        ("A man walks in", 0),
        ("A woman calls", 3),
        ("A woman calls.", 3),
        ("The answer is: A woman calls", 3),
        ("Answer: A. A man walks in", 0),
        ("\\boxed{B}", 1),
        ("The door opens, so $\\boxed{\\text{B}}$.", 1),
        ("<answer>B</answer>", 1),
        ("<think>A or C? The answer is A.</think><answer>C</answer>", 2),
        ("<think>The answer is A.</think>\nC", 2),
        ("<answer>A woman calls</answer>", 3),
        ('{"answer": "B"}', 1),
        ("{'reason': 'A door', 'answer': 'C. He leaves'}", 2),
        ('```json\n{"answer": "D"}\n```', 3),
        ("Option A is wrong. The answer is B.", 1),
        ("The answer is A. No, the answer is B.", 1),
        ("A man runs", None),  # an article
        ("A Ford drives by", None),
        ("A man, then a woman", None),
        ("I think he stays", None),
        ("The answer is a man", None),
        ("The answer is A man in red", None),
        ("The answer is not B", None),
        ("A, B", None),
        ("B and C", None),
        ("Option A or option B", None),
        ("A. A man walks in\nB. The man opens the door\nC. He leaves", None),
        ("Answer with the option's letter from the given choices directly.", None),
        ("<answer></answer>", None),
        ("e.g. a man", None),
    ],
)
def test_answers_in_the_forms_that_video_llms_give_them(answer, index):
    assert chosen_option(answer, SCENES) == index


_LOWER = st.text("abcdefghij ", min_size=1, max_size=12).filter(lambda text: text.strip() and text[0] != " ")


@given(
    st.integers(0, 3),
    _LOWER,
    st.sampled_from(["{}", "({})", "**{}**", "{}.", "{}: {}", "{} - {}", "{}\n{}", "{} The {}"]),
)
def test_a_letter_is_read_whatever_follows_it_and_an_article_is_none(index, words, form):
    options = ("one thing", "two things", "three things", "four things")
    letter = "ABCD"[index]
    assert chosen_option(form.format(letter, words), options) == index
    assert chosen_option(f"A {words.strip()}x seen", options) is None


@given(st.text(max_size=60), st.lists(st.text(max_size=8), max_size=5))
def test_any_text_is_read_without_an_error(answer, options):
    index = chosen_option(answer, options)
    assert index is None or 0 <= index < len(options)


@given(
    st.lists(
        st.text("abc DEF", min_size=2, max_size=9).filter(str.strip),
        min_size=2,
        max_size=5,
        unique_by=lambda t: t.strip().casefold(),
    )
)
def test_an_option_in_full_is_itself_whatever_letter_it_begins_with(options):
    assert [chosen_option(option, options) for option in options] == list(range(len(options)))


@pytest.mark.parametrize(
    "text", ["answer " * 20000, "option is " * 20000, "(" * 100000, "A, " * 30000, " " * 100000 + "x"]
)
def test_long_degenerate_answers_are_read_in_linear_time(text):
    assert chosen_option(text, OPTIONS) is None


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
