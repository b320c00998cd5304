"""Stored JSON that is damaged or hostile, at every place of a selection, is read or refused with a clear error."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from support.mined import mined_selection

from lmms_videominer.errors import SchemaError
from lmms_videominer.store.selection_json import from_json, load, save, to_json

HOSTILE = {
    "nested deeply": "[" * 100_000 + "]" * 100_000,
    "nested to the limit": "[" * 900 + "]" * 900,
    "6000 digits": "9" * 6000,
    "400 digits": "9" * 400,
    "NaN": "NaN",
    "infinity": "-1e999",
    "a lone surrogate": '"\\ud800"',
    "null": "null",
    "text": '"text"',
    "an object": '{"__class__": "x"}',
    "cut off": '"',
}


def places(value, path=()):
    """The path of every value in a document."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def with_text_at(document, path, text: str) -> str:
    """``document`` as JSON, with ``text`` in place of the value at ``path``."""
    if not path:
        return text
    document = json.loads(json.dumps(document))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "@here@"
    return json.dumps(document).replace('"@here@"', text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_anywhere_are_read_or_refused(text, tmp_path):
    document = json.loads(to_json(mined_selection()))
    everywhere = list(places(document))
    for path in random.Random(0).sample(everywhere, 80) + [path for path in everywhere if len(path) < 3]:
        (tmp_path / "tree.json").write_text(with_text_at(document, path, text))
        try:
            selection = load(tmp_path / "tree.json")
        except SchemaError as error:
            assert str(error).startswith(str(tmp_path / "tree.json")) and "mine the video again" in str(error)
            continue
        try:
            assert from_json(to_json(selection)) == selection
        except SchemaError:
            assert text == HOSTILE["nested to the limit"]


def test_names_of_files_that_are_not_utf8_are_read(tmp_path):
    selection = mined_selection()
    question = dataclasses.replace(selection.question, video="film\udcff.mp4")
    save(dataclasses.replace(selection, question=question), tmp_path / "tree.json")
    assert load(tmp_path / "tree.json").question.video == "film\udcff.mp4"


def test_bytes_flipped_in_a_stored_selection_are_read_or_refused(tmp_path):
    sound = bytearray(to_json(mined_selection()).encode())
    for seed in range(300):
        chance, content = random.Random(seed), bytearray(sound)
        for _ in range(chance.choice([1, 5, 50])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "tree.json").write_bytes(content)
        try:
            load(tmp_path / "tree.json")
        except SchemaError as error:
            assert str(error).startswith(str(tmp_path / "tree.json"))
