"""The contract of stored values: every kind goes through it. A new kind needs a form, and a row here."""

from __future__ import annotations

import itertools
import json
from contextlib import closing

import numpy as np
import pytest

from lmms_videominer.store import cache as cache_module
from lmms_videominer.store.cache import IMAGE_FEATURES, open_cache, pack
from lmms_videominer.store.forms import FORMS

VECTOR = pack(np.array([0.6, -0.8], np.float32))
COMPLETION = {"text": "<think>ok</think>", "prompt": [1, 2, 151_643], "completion": [0]}
SOUND = {
    "answer": ["B", "the red disc", "é 日本 \U0001f3ac"],
    "caption": ["A man walks.", "", "é 日本 \U0001f3ac"],
    "completion": [COMPLETION, {**COMPLETION, "prompt": [], "completion": []}],
    "coarse_scan": [True, False],
    "damage": [[3, 4, 117], []],
    "embedding": [VECTOR],
    IMAGE_FEATURES: [VECTOR, pack(np.full(2**19, 2**-10, np.float32))],
    "option_probabilities": [[0.25, 0.75], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]],
    "score": [VECTOR, pack(np.zeros(0, np.float32))],
    "segmentation": [[[0.0, 1.5], [1.5, 4.25]], [[0.1 + 0.2, 10]], [[3, 3]]],
}
NOT_TEXT = [None, 5, ["text"], {"text": "x"}, "\ud800"]
NOT_A_VECTOR = [
    5,
    [0.6, -0.8],
    "no base64!",
    VECTOR[:-4],
    VECTOR + "\n",
    pack(np.array([np.nan], np.float32)),
    pack(np.array([np.inf], np.float32)),
]
FOREIGN = {
    "answer": NOT_TEXT,
    "caption": NOT_TEXT,
    "completion": [
        "text",
        {"text": "x"},
        {**COMPLETION, "more": 1},
        {**COMPLETION, "text": None},
        {**COMPLETION, "text": "\udfff"},
        *(
            {**COMPLETION, "prompt": ids}
            for ids in ("1 2", [1.0], [True], [-1], [2**31], [10**400], ["1"], [[1]], None)
        ),
    ],
    "coarse_scan": [1, "true", None, [True]],
    "damage": ["3", [3.0], [True], [-1], [4, 3], [3, 3], {"3": 4}, [[3]]],
    "embedding": [*NOT_A_VECTOR, ""],
    IMAGE_FEATURES: [*NOT_A_VECTOR, ""],
    "option_probabilities": [
        "0.5",
        [],
        [1.0],
        [True, False],
        ["0.5", "0.5"],
        [0.5, 0.6],
        [-0.5, 1.5],
        [10**400, 0],
        {"A": 1.0},
    ],
    "score": NOT_A_VECTOR,
    "segmentation": [
        "spans",
        [],
        [[]],
        [[1.0]],
        [[1.0, 2.0, 3.0]],
        [["0", "1"]],
        [[True, True]],
        [[-1.0, 1.0]],
        [[2.0, 1.0]],
        [[0, 10**400]],
        [[3.0, 4.0], [1.0, 2.0]],
        [[0.0, 2.0], [1.0, 3.0]],
    ],
}
NOT_JSON = {
    "empty": "",
    "cut off": '"a man wal',
    "nested deeply": "[" * 200_000 + "]" * 200_000,
    "a number of 6000 digits": "9" * 6000,
    "NaN": "NaN",
    "spans that end nowhere": "[[0.0, Infinity]]",
    "bytes that are not UTF-8": b'"\xff\xfe"',
}


def pairs(table):
    return [pytest.param(kind, value, id=f"{kind}-{i}") for kind in table for i, value in enumerate(table[kind])]


@pytest.fixture(params=["disk", "redis"])
def store(request):
    """An empty cache that outlives its process, and what changes it behind its back (``support.stores``)."""
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(params=["disk", "redis", "memory"])
def cache(request):
    place = "off" if request.param == "memory" else request.getfixturevalue(f"{request.param}_store").place
    with closing(open_cache(place)) as opened:
        yield opened


def read(store, kind: str, key: str = "k"):
    """The value of ``key`` in a cache opened anew, and the fallbacks counted."""
    with closing(open_cache(store.place)) as cache:
        return cache.get_many(kind, [key])[0], cache.fallbacks


@pytest.fixture
def stored(store):
    """A cache with the first sound value of every kind under "k"."""
    with closing(open_cache(store.place)) as cache:
        for kind, values in SOUND.items():
            cache.put_many(kind, {"k": values[0]})
    return store


@pytest.fixture
def stored_on_disk(disk_store):
    with closing(open_cache(disk_store.place)) as cache:
        for kind, values in SOUND.items():
            cache.put_many(kind, {"k": values[0]})
    return disk_store


def test_every_kind_goes_through_this_suite():
    assert set(SOUND) == set(FOREIGN) == set(FORMS)


def test_a_kind_without_a_form_is_refused(cache):
    with pytest.raises(ValueError, match=r"'histogram'.*forms\.py"):
        cache.put_many("histogram", {"k": [1]})
    with pytest.raises(ValueError, match=r"'histogram'.*forms\.py"):
        cache.get_many("histogram", ["k"])


@pytest.mark.parametrize(("kind", "value"), pairs(SOUND))
def test_a_value_comes_back_as_it_was(kind, value, cache):
    cache.put_many(kind, {"k": value})
    assert cache.get_many(kind, ["k"]) == [value]
    assert json.dumps(cache.get_many(kind, ["k"])[0]) == json.dumps(value) and cache.fallbacks == ()


@pytest.mark.parametrize(("kind", "value"), pairs(SOUND))
def test_a_value_outlives_the_process(kind, value, store):
    with closing(open_cache(store.place)) as cache:
        cache.put_many(kind, {"k": value})
    assert read(store, kind) == (value, ())


@pytest.mark.parametrize("kind", FORMS)
def test_on_disk_there_is_the_database_alone(kind, disk_store):
    with closing(open_cache(disk_store.place)) as cache:
        cache.put_many(kind, {"k": SOUND[kind][0]})
    assert {path.name for path in disk_store.folder.glob("*/*")} == {"cache.db"}


@pytest.mark.parametrize(("kind", "value"), [pair for pair in pairs(FOREIGN) if pair.values[1] is not None])
def test_a_foreign_form_is_a_counted_miss(kind, value, cache, caplog):
    cache.put_many(kind, {"k": value, "sound": SOUND[kind][0]})
    assert cache.get_many(kind, ["k", "sound", "k"]) == [None, SOUND[kind][0], None]
    assert cache.fallbacks == ("cache_damaged",)
    assert len(caplog.records) == 1 and kind in caplog.text


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NOT_JSON.items()])
@pytest.mark.parametrize("kind", FORMS)
def test_what_is_not_json_is_a_counted_miss_even_with_a_checksum(kind, text, stored):
    text = text if isinstance(text, bytes) else text.encode()
    stored.put(kind, "k", text, cache_module._checksum(f"{kind}:k", text))
    assert read(stored, kind) == (None, ("cache_damaged",))


@pytest.mark.parametrize("kind", FORMS)
def test_a_value_moved_to_another_key_is_a_counted_miss(kind, stored):
    stored.put(kind, "other", *stored.get(kind, "k"))
    stored.remove(kind, "k")
    assert read(stored, kind, "other") == (None, ("cache_damaged",))
    assert read(stored, kind) == (None, ())


@pytest.mark.parametrize(
    ("kind", "other"), [pair for pair in itertools.permutations(FORMS, 2) if IMAGE_FEATURES not in pair]
)
def test_a_value_moved_to_another_kind_is_a_counted_miss(kind, other, stored):
    stored.put(other, "k", *stored.get(kind, "k"))
    assert read(stored, other) == (None, ("cache_damaged",))


@pytest.mark.parametrize("kind", FORMS)
def test_another_sound_value_in_its_place_is_a_counted_miss(kind, stored):
    text = json.dumps(SOUND[kind][-1])
    stored.put(kind, "k", f"{text} ".encode(), stored.get(kind, "k")[1])
    assert read(stored, kind) == (None, ("cache_damaged",))


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: b"\0", lambda text: b""])
@pytest.mark.parametrize("kind", FORMS)
def test_a_truncated_or_replaced_value_is_a_counted_miss(kind, change, stored):
    text, checksum = stored.get(kind, "k")
    stored.put(kind, "k", change(text), checksum)
    assert read(stored, kind) == (None, ("cache_damaged",))


@pytest.mark.parametrize("change", [lambda checksum: bytes(16), lambda checksum: checksum[::-1]])
@pytest.mark.parametrize("kind", FORMS)
def test_a_wrong_checksum_is_a_counted_miss(kind, change, stored):
    text, checksum = stored.get(kind, "k")
    stored.put(kind, "k", text, change(checksum))
    assert read(stored, kind) == (None, ("cache_damaged",))


@pytest.mark.parametrize("change", ["value = NULL", "value = 7", "value = 1.5", "tag = 'text'", "tag = 7"])
@pytest.mark.parametrize("kind", FORMS)
def test_in_a_database_what_has_another_type_is_a_counted_miss(kind, change, stored_on_disk):
    stored_on_disk.execute(kind, f"UPDATE Cache SET {change} WHERE key = ?", f"{kind}:k")
    assert read(stored_on_disk, kind) == (None, ("cache_damaged",))


@pytest.mark.parametrize("kind", FORMS)
def test_in_a_database_a_value_without_a_checksum_is_a_miss(kind, stored_on_disk):
    stored_on_disk.execute(kind, "UPDATE Cache SET tag = NULL WHERE key = ?", f"{kind}:k")
    assert read(stored_on_disk, kind) == (None, ())


@pytest.mark.parametrize("kind", FORMS)
def test_a_value_of_another_version_is_a_counted_miss(kind, stored, monkeypatch):
    monkeypatch.setattr(cache_module, "CACHE_SCHEMA", cache_module.CACHE_SCHEMA + 1)
    assert read(stored, kind) == (None, ("cache_damaged",))


@pytest.mark.parametrize("kind", FORMS)
def test_a_miss_is_filled_again(kind, stored):
    stored.spoil(kind, "k")
    with closing(open_cache(stored.place)) as cache:
        assert cache.get_many(kind, ["k"]) == [None]
        cache.put_many(kind, {"k": SOUND[kind][0]})
        assert cache.get_many(kind, ["k"]) == [SOUND[kind][0]]
    assert read(stored, kind) == (SOUND[kind][0], ())
