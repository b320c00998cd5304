"""The question and the video of a request."""

from __future__ import annotations

from lmms_videominer.lmms.requests import question_of, shown_video, with_video
from lmms_videominer.types import Span


def test_a_question_is_the_documents_own_without_letters_and_instructions():
    document = {"question": "What is it?", "options": ["A. red", "(B) blue", "C) red"], "evidence": [[1, 2.5]]}
    asked = question_of(document, "ignored", "v.mp4")

    assert (asked.text, asked.options, asked.evidence) == ("What is it?", ("red", "blue", "red"), (Span(1.0, 2.5),))


def test_a_document_without_a_question_gives_the_prompt_up_to_its_options():
    assert question_of({}, "What is it?\nA. red\nB. blue\nAnswer!", "v.mp4").text == "What is it?"
    assert question_of({"question": " "}, "A. red", "v.mp4").text == "A. red"


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
