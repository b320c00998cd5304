from __future__ import annotations

import dataclasses
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mined import mined_selection

from lmms_videominer import types
from lmms_videominer.errors import SchemaError
from lmms_videominer.store.selection_json import from_json, load, save, to_json

finite = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(0, 1e6)
counts = st.integers(0, 2**40)
texts = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def tuples(of, most=3):
    return st.lists(of, max_size=most).map(tuple)


spans = st.tuples(seconds, seconds).map(lambda pair: types.Span(min(pair), max(pair)))
events = st.builds(types.Event, spans, st.none() | texts, tuples(seconds), texts)
decisions = st.builds(
    types.Decision,
    st.sampled_from(types.Action),
    texts,
    st.sampled_from(types.Reading),
    texts,
    tuples(counts),
    tuples(counts),
)
nodes = st.builds(types.Node, texts, counts, tuples(events), st.none() | decisions, texts)
usages = st.builds(
    types.Usage,
    **{f.name: counts for f in dataclasses.fields(types.Usage) if f.name != "seconds"},
    seconds=st.dictionaries(texts, seconds, max_size=3),
)
selections = st.builds(
    types.Selection,
    question=st.builds(types.Question, texts, texts, tuples(texts), tuples(spans), seconds, st.none() | seconds, texts),
    video=st.builds(types.VideoInfo, texts, seconds, counts, seconds, counts, counts, texts),
    key_frames=tuples(st.builds(types.KeyFrame, seconds, counts, st.none() | texts, st.none() | finite)),
    selector=texts,
    nodes=tuples(nodes),
    usage=usages,
    fallbacks=tuples(texts),
    config=st.dictionaries(texts, json_values, max_size=3),
    seed=st.integers(),
    answer=st.none() | texts,
    scores=st.none()
    | st.builds(types.Scores, texts, texts, tuples(counts), tuples(seconds), tuples(finite), tuples(finite)),
    said=tuples(st.builds(types.Cue, spans, texts)),
)


QUESTION = {"video": "v", "text": "t", "options": [], "evidence": [], "start_s": 0.0, "end_s": None, "subtitles": ""}


def changed(**changes) -> str:
    document = json.loads(to_json(mined_selection()))
    document.update(changes)
    return json.dumps(document)


@settings(max_examples=150, deadline=None)
@given(selections)
def test_round_trip_gives_the_same_selection(selection):
    assert from_json(to_json(selection)) == selection


def test_saved_and_loaded_selection_is_the_same_and_no_part_file_is_left(tmp_path):
    path = tmp_path / "made" / "tree.json"
    selection = dataclasses.replace(mined_selection(), answer="là, à 3 s")
    save(selection, path)
    assert load(path) == selection
    assert os.listdir(path.parent) == ["tree.json"]


def test_a_save_that_fails_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "tree.json"
    save(mined_selection(), path)
    with pytest.raises(SchemaError, match=r"desert\.mp4"):
        save(dataclasses.replace(mined_selection(), config={"eps": float("nan")}), path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        save(mined_selection(), tmp_path / "folder")
    assert load(path) == mined_selection()
    assert sorted(os.listdir(tmp_path)) == ["folder", "tree.json"]


def test_a_saved_file_obeys_the_umask_and_not_the_temporary_files_mode(tmp_path):
    (tmp_path / "plain").touch()
    save(mined_selection(), tmp_path / "tree.json")
    assert (tmp_path / "tree.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_schema_version_is_written():
    assert json.loads(to_json(mined_selection()))["schema_version"] == 6


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_files_of_earlier_versions_are_read_as_such_that_had_nothing_of_what_came_later(version):
    document = json.loads(changed(schema_version=version))
    del document["said"], document["question"]["subtitles"]
    del document["question"]["start_s"], document["question"]["end_s"]
    for node in document["nodes"]:
        for event in node["events"]:
            del event["said"]
    if version < 5:
        del document["usage"]["decisions_unread"]
    if version < 4:
        del document["usage"]["frames_substituted"]
    if version < 3:
        del document["usage"]["policy_calls_cached"]
    if version == 1:
        del document["scores"], document["usage"]["scores"], document["usage"]["scores_cached"]
    assert from_json(json.dumps(document)) == mined_selection()


def test_scores_survive_and_a_damaged_column_is_named_by_its_place():
    scores = types.Scores("sha256:0", "Which sign?", (0, 25), (0.0, 1.0), (0.125, 0.5), (0.25, 0.75))
    selection = dataclasses.replace(mined_selection(), scores=scores)
    assert from_json(to_json(selection)) == selection
    with pytest.raises(SchemaError, match=r"selection\.scores\.values\[1\]: expected int or float"):
        from_json(to_json(selection).replace("[0.125, 0.5]", '[0.125, "0.5"]'))


@pytest.mark.parametrize("version", [0, 7, "1", None, True, 1.0])
def test_another_schema_version_is_refused_by_its_value(version):
    with pytest.raises(SchemaError, match=f"schema_version is {version!r}, this version reads 1 to 6"):
        from_json(changed(schema_version=version))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": "0"}, r"selection\.seed: expected int"),
        ({"seed": True}, r"selection\.seed: expected int"),
        ({"answer": 3}, r"selection\.answer: expected str"),
        ({"nodes": {}}, r"selection\.nodes: expected list"),
        ({"nodes": [{"id": "0"}]}, r"selection\.nodes\[0\]\.depth is missing"),
        ({"colour": 1}, r"selection\.colour is unknown"),
        (
            {"key_frames": [{"time_s": "1", "frame_index": 0, "node_id": None, "score": None}]},
            r"key_frames\[0\]\.time_s",
        ),
        (
            {"question": {**QUESTION, "evidence": [{"start_s": 2, "end_s": 1}]}},
            r"evidence\[0\]: a span needs",
        ),
    ],
)
def test_a_wrong_shape_is_named_by_its_place(changes, named):
    with pytest.raises(SchemaError, match=named):
        from_json(changed(**changes))


def test_an_unknown_action_is_named():
    with pytest.raises(SchemaError, match=r"nodes\[10\]\.decision\.action: 'ponder'"):
        from_json(to_json(mined_selection()).replace('"action": "accept"', '"action": "ponder"'))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', "[" * 100_000])
def test_text_that_is_no_selection_is_refused(text):
    with pytest.raises(SchemaError):
        from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(SchemaError):
        from_json(to_json(mined_selection()).replace('"duration_s": 3600.0', f'"duration_s": {number}'))


def test_a_file_that_is_no_selection_is_named(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SchemaError, match=r"x\.json"):
        load(tmp_path / "x.json")
