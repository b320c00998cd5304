"""The question and the video of a request."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lmms_videominer.lmms.requests import (
    OPTIONS_IN_QUESTION,
    question_of,
    shown_video,
    why_no_video,
    with_video,
    without_letters,
)
from lmms_videominer.types import Span

LETTERS = "ABCDEFGHIJ"
FORMS = ("{}. {}", "({}) {}", "{}) {}", "{}: {}")
words = st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=8)
plain = words.filter(lambda text: text.strip())  # no letter with a point or bracket before it


def asked(document: dict, context: str = "ignored", task: str = "anything"):
    return question_of(document, context, "v.mp4", task)


def test_a_question_is_the_documents_own_without_letters_and_instructions():
    document = {"question": "What is it?", "options": ["A. red", "(B) blue", "C) red"], "evidence": [[1, 2.5]]}
    question = asked(document)
    assert (question.text, question.options) == ("What is it?", ("red", "blue", "red"))
    assert question.evidence == (Span(1.0, 2.5),)


@pytest.mark.parametrize(
    "options",
    [
        ["A. Smith"],
        ["A. Smith", "Jones"],
        ["J. K. Rowling", "A. Smith", "U.S. Army"],
        ["C. elegans", "D. melanogaster"],
        ["A. thaliana", "C. elegans", "B. subtilis"],
        ["A. red", "B. blue", "none"],
        ["B. red", "C. blue"],
        ["A. one", "A. two"],
        ["M: yes", "W: no"],
    ],
)
def test_letters_that_are_not_those_of_the_options_stay(options):
    assert asked({"question": "Which?", "options": options}).options == tuple(options)


@given(st.lists(plain, min_size=2, max_size=10), st.sampled_from(FORMS))
def test_letters_before_all_options_in_order_are_taken_off_and_options_without_letters_stay(options, form):
    lettered = [form.format(letter, option) for letter, option in zip(LETTERS, options)]
    assert without_letters(lettered) == without_letters(options) == tuple(options)


@given(st.lists(plain, min_size=2, max_size=10), st.sampled_from(FORMS), st.data())
def test_letters_in_another_order_stay(options, form, data):
    order = data.draw(st.permutations(LETTERS[: len(options)]).filter(lambda letters: letters != sorted(letters)))
    lettered = tuple(form.format(letter, option) for letter, option in zip(order, options))
    assert without_letters(lettered) == lettered


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6).map("\n".join).filter(str.strip),
    st.sampled_from(["longvideobench_val_v", "videomme", "egoschema_subset", "videominer_world_1min", "my_task"]),
    st.lists(plain, max_size=4),
)
def test_the_question_of_a_document_stays_whole_whatever_its_lines_begin_with(text, task, options):
    assert asked({"question": text, "options": options}, task=task).text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "Which is right?\nA. Smith says: it is red.",
        "Which is right?\nA. Smith says red.\nB. Jones says blue.",
        "M: What is it?\nW: A ball.\nWho is right?",
        "Options:\nare there any?",
    ],
)
def test_dialogues_and_names_in_a_question_are_part_of_it(text):
    assert asked({"question": text, "options": ["the first", "the second"]}).text == text
    assert asked({"question": text}).text == text


@pytest.mark.parametrize("task", ["mlvu_dev", "mlvu_test", "lvbench", "tempcompass_multi_choice"])
def test_options_are_cut_where_the_task_has_them_at_the_end_of_the_question(task):
    assert task.startswith(OPTIONS_IN_QUESTION)
    question = asked({"question": "What is it?\nM: a ball\n(A) red\n(B) blue\n\n(C) green"}, task=task)
    assert (question.text, question.options) == ("What is it?\nM: a ball", ("red", "blue", "green"))
    alone = asked({"question": "Which is right?\nA. Smith says red."}, task=task)
    assert (alone.text, alone.options) == ("Which is right?\nA. Smith says red.", ())


@given(plain, st.lists(plain, min_size=2, max_size=10), st.sampled_from(FORMS))
def test_a_prompt_is_cut_at_its_options(text, options, form):
    lines = [form.format(letter, option) for letter, option in zip(LETTERS, options)]
    for head in ([], ["Options:"]):
        question = asked({}, "\n".join([text, *head, *lines, "Answer with the letter."]))
        assert (question.text, question.options) == (text, tuple(options))


def test_a_document_without_a_question_gives_the_prompt_up_to_its_options():
    assert asked({}, "What is it?\nA. red\nB. blue\nAnswer!").text == "What is it?"
    assert asked({"question": " "}, "A. red").text == "A. red"
    assert asked({}, "A. red\nB. blue").text == "A. red\nB. blue"
    dialogue = "M: What is it?\nW: A ball.\nA: Indeed.\nWhat is it?"
    assert asked({}, dialogue).text == dialogue
    assert asked({}, f"{dialogue}\nA. red\nB. blue").text == dialogue


def test_only_a_single_video_is_mined():
    video, image = {"type": "video", "url": "v.mp4"}, {"type": "image", "url": "i.png"}
    turn = [{"role": "user", "content": [video, {"type": "text", "text": "?"}]}]

    assert shown_video(["a.MP4"], True) == "a.MP4" and shown_video([["a.mkv"]], True) == "a.mkv"
    assert shown_video(turn, False) == "v.mp4"
    assert shown_video(["a.mp4", "b.mp4"], True) is None and shown_video(["a.png"], True) is None
    assert shown_video([{"role": "user", "content": [video, image]}], False) is None
    assert shown_video([{"role": "user", "content": "words"}], False) is None
    assert with_video(turn, None, False) == [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    assert with_video(turn, "k.mp4", False)[0]["content"][0] == {"type": "video", "url": "k.mp4"}
    assert turn[0]["content"][0]["url"] == "v.mp4"  # the task's own messages stay as they are


@pytest.mark.parametrize(
    "name",
    [
        "a.3gp",
        "a.m2ts",
        "a.ogv",
        "a.ts",
        "a.WMV",
        "list.m3u8",
        "a.gif",
        "a.mxf",
        "a.rm",
        "a.y4m",
        "film",
        "a.b",
    ],
)
def test_any_file_that_is_no_picture_and_no_sound_is_tried_as_a_video(name):
    assert shown_video([name], True) == shown_video([Path(name)], True) == name
    assert why_no_video([name], True) == ""
    assert shown_video([{"role": "user", "content": [{"type": "video", "url": name}]}], False) == name


def test_what_is_passed_unchanged_is_told_why():
    for visual in ("a.JPG", "a.png", "a.webp", "a.wav", "a.mp3", Image.new("RGB", (2, 2)), {"array": [0.0]}):
        assert shown_video([visual], True) is None
        assert why_no_video([visual], True) == "what it shows is not a video file"
    assert why_no_video(["a.mp4", "b.mp4"], True) == "it shows 2 visuals, not one video"
    assert why_no_video([], True) == why_no_video(None, True) == "it shows no visual"
    assert why_no_video([{"role": "user", "content": "words"}], False) == "it shows no visual"
    picture = [{"role": "user", "content": [{"type": "image", "url": "i.png"}]}]
    assert why_no_video(picture, False) == "what it shows is not a video file"
