"""Rows of a manifest: what they may leave out, and what is said of those that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmms_videominer.errors import ConfigError
from lmms_videominer.manifest.reading import QuestionSet, Source
from lmms_videominer.store.file_names import file_name

ROW = {"id": "q1", "video": "a.mp4", "question": "What is seen?"}


def read(path: Path, **arguments) -> QuestionSet:
    """As ``videominer mine`` reads it."""
    return Source(str(path), with_answers=False, with_videos=False, open_questions=True, **arguments).read()


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_needs_neither_an_answer_nor_a_video_that_is_there(tmp_path):
    [row] = read(lines(tmp_path / "q.jsonl", ROW)).questions
    assert (row.id, row.text, row.options, row.answer) == ("q1", "What is seen?", (), "")
    assert row.video == str(tmp_path / "a.mp4") and row.named == "a.mp4"


def test_an_answer_that_is_there_is_checked(tmp_path):
    row = {**ROW, "options": ["a dog", "a cat"]}
    assert read(lines(tmp_path / "q.jsonl", {**row, "answer": "a cat"})).questions[0].answer == "B"
    with pytest.raises(ConfigError, match="answer 'C' is not one of the options"):
        read(lines(tmp_path / "q.jsonl", {**row, "answer": "C"}))


def test_open_questions_of_public_layouts_are_mined_too(tmp_path):
    turns = [{"from": "human", "value": "<image>\nWhat is he doing?"}, {"from": "gpt", "value": "Sweeping."}]
    path = lines(tmp_path / "q.jsonl", {"id": "x", "video": "a.mp4", "conversations": turns})
    assert [row.answer for row in read(path).questions] == ["Sweeping."]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (({"question": "What?"},), r":1: video is missing\. A row must be"),
        ((ROW, {**ROW, "question": "And?"}), r":2: id 'q1' already occurs at .*q\.jsonl:1\. .*its own id"),
        (({**ROW, "id": ""}, {**ROW, "id": None}), r":2: the same question on the same video is already at .*:1"),
        (({**ROW, "video": "\ud800.mp4"},), r":1: video '\\ud800.mp4' is no name of a file"),
        (({**ROW, "question": " "},), ":1: question is ' '"),
        (([1, 2],), r":1: the row is \[1, 2\]"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_line_and_the_way_out(rows, told, tmp_path):
    with pytest.raises(ConfigError, match=told):
        read(lines(tmp_path / "q.jsonl", *rows))


def test_a_row_may_be_about_a_part_of_its_video(tmp_path):
    bare = {"video": "a.mp4", "question": "What is seen?"}
    whole, part, same = read(
        lines(tmp_path / "q.jsonl", bare, {**bare, "start_s": 90, "end_s": 120.5}, {**bare, "id": "x", "start_s": None})
    ).questions
    assert (part.question.start_s, part.question.end_s) == (90.0, 120.5)
    assert (whole.question.start_s, whole.question.end_s) == (same.start_s, same.end_s) == (0.0, None)
    assert whole.id != part.id
    assert read(lines(tmp_path / "again.jsonl", part.row())).questions[0].question == part.question


@pytest.mark.parametrize("part", [{"start_s": 5, "end_s": 5}, {"start_s": -1}, {"end_s": "1:30"}, {"start_s": True}])
def test_a_part_that_is_none_is_refused_with_its_line(part, tmp_path):
    with pytest.raises(ConfigError, match=r":1: start_s=.* and end_s=.*: give seconds .*Omit them"):
        read(lines(tmp_path / "q.jsonl", {**ROW, **part}))


def test_such_rows_can_be_skipped_and_are_counted(tmp_path):
    found = read(lines(tmp_path / "q.jsonl", ROW, {"question": "What?"}, ROW, {**ROW, "id": "q2"}), bad_rows="skip")
    assert [row.id for row in found.questions] == ["q1", "q2"] and len(found.bad) == 2


@pytest.mark.parametrize("end", ['{"id": "q2", "vid', "[" * 100_000, '{"id": ' + "9" * 10_000 + "}"])
def test_a_line_that_is_half_written_is_told_even_where_bad_rows_are_skipped(end, tmp_path):
    path = lines(tmp_path / "q.jsonl", ROW)
    path.write_text(path.read_text() + end)
    with pytest.raises(ConfigError, match=r"q\.jsonl:2: not JSON .*cut off"):
        read(path, bad_rows="skip")


def test_surrogates_by_themselves_are_replaced_since_no_file_could_hold_them(tmp_path):
    [row] = read(lines(tmp_path / "q.jsonl", {**ROW, "id": "\udc80", "question": "\ud800?"})).questions
    assert (row.id, row.text) == ("\ufffd", "\ufffd?")


TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["a.mp4", "../a.mp4", "/etc/passwd", "~nobody/x", "\0", "a" * 5000, "", " ", "\ud800", "\udcff"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
USABLE = st.fixed_dictionaries(
    {"video": TEXTS, "question": TEXTS},
    optional={"id": TEXTS, "options": st.lists(TEXTS, max_size=4), "answer": VALUES, "evidence": VALUES},
)
ROWS = st.lists(st.one_of(USABLE, VALUES, st.dictionaries(st.sampled_from(["video", "question", "id"]), VALUES)))


@given(rows=ROWS, rule=st.sampled_from(["stop", "skip"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_rows_each_is_read_once_or_told(rows, rule, tmp_path):
    path = lines(tmp_path / "q.jsonl", *rows)
    try:
        found = read(path, bad_rows=rule)
    except ConfigError as error:
        assert str(path) in str(error)
        return
    ids = [row.id for row in found.questions]
    assert len(set(ids)) == len(ids) and len(ids) + len(found.bad) + found.left_out.total() >= len(rows)
    assert all(row.text.strip() and row.text.encode() and row.id.encode() and row.named for row in found.questions)
    names = [file_name(id) for id in ids]
    assert len(set(names)) == len(names)
    assert all((tmp_path / "trees" / f"{name}.json").resolve().parent == tmp_path / "trees" for name in names)


@given(text=st.text(alphabet='{}[]",:\\ \n\t0a\x00ü\u2028', max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_text_of_a_file_it_is_read_or_told(text, tmp_path):
    for suffix in (".jsonl", ".json"):
        path = tmp_path / f"q{suffix}"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert str(path) in str(caught.value)
