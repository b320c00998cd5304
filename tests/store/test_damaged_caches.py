"""Mining with a damaged cache: the result is that without a cache, and what could not be used is counted."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.scripted import ColourEmbedder, ColourEncoder, ColourVLM, colour_video, finder

from lmms_videominer.miner import VideoMiner
from lmms_videominer.store.cache import IMAGE_FEATURES, open_cache, pack, unpack
from lmms_videominer.store.forms import FORMS
from lmms_videominer.types import Selection

SEEDS = 96
SETTINGS = {"search": "plain", "frames": 4, "events": 3, "scan_frames": 16, "max_depth": 1, "grain_s": 0.0}
SELECTORS = ("videominer", "topk")


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Mines with the cache in a folder, ``"off"`` for none; gives a selection by each selector."""
    scenes = [("red", 2.0), ("green", 2.0), ("blue", 2.0), ("yellow", 2.0)]
    video = colour_video(tmp_path_factory.mktemp("film") / "colours.mp4", scenes)
    models = {"vlm": ColourVLM(), "policy": finder("red"), "embedder": ColourEmbedder(), "scorer": ColourEncoder()}

    def mine(cache_dir: str) -> list[Selection]:
        selections = []
        for selector in SELECTORS:
            miner = VideoMiner.from_pretrained(**models, selector=selector, cache_dir=cache_dir, **SETTINGS)
            with closing(miner.stages.cache):
                selections.append(miner.mine(video, "When is red seen?", ("early", "late")))
        return selections

    return mine


@pytest.fixture(scope="module")
def sound(mined):
    return [found(selection) for selection in mined("off")]


@pytest.fixture(scope="module")
def filled(mined, tmp_path_factory):
    root = tmp_path_factory.mktemp("filled") / "cache"
    mined(str(root))
    kinds = {key.partition(":")[0] for name in ("results", IMAGE_FEATURES) for key, _ in rows(root, name)}
    # films without damage have none of it, short ones no coarse scan, and only training asks for probabilities
    assert kinds == set(FORMS) - {"damage", "coarse_scan", "option_probabilities"}
    return root


def found(selection: Selection) -> Selection:
    """The selection without its cost, which depends on the cache."""
    config = {name: value for name, value in selection.config.items() if name != "cache_dir"}
    fallbacks = tuple(name for name in selection.fallbacks if name not in counted([selection]))
    return dataclasses.replace(selection, usage=type(selection.usage)(), fallbacks=fallbacks, config=config)


def counted(selections: list[Selection]) -> set[str]:
    """The fallbacks of the cache."""
    return {name for selection in selections for name in selection.fallbacks if name.startswith("cache_")}


def made(selection: Selection) -> int:
    usage = selection.usage
    return usage.vlm_calls + usage.policy_calls + usage.answer_calls + usage.scores


def rows(root: Path, name: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(root / name / "cache.db")) as database:
        return database.execute("SELECT key, value FROM Cache ORDER BY key").fetchall()


def execute(root: Path, name: str, *statement) -> None:
    with closing(sqlite3.connect(root / name / "cache.db")) as planted, planted:
        planted.execute(*statement)


# one function per kind of damage; the name of the database, "results" or that of image features, is chosen before


def flip_bytes(root: Path, name: str, chance: random.Random) -> None:
    path = root / name / "cache.db"
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 20, 500])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)


def cut_off(root: Path, name: str, chance: random.Random) -> None:
    path = root / name / "cache.db"
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def other_json(root: Path, name: str, chance: random.Random) -> None:
    others = ['"a lie"', "[]", "{}", "5", "null", "[[0.0, 1.0]]", '{"text": "a lie", "prompt": [], "completion": []}']
    for key, _ in rows(root, name):
        execute(root, name, "UPDATE Cache SET value = ? WHERE key = ?", (chance.choice(others), key))


def pickles(root: Path, name: str, chance: random.Random) -> None:
    mode = chance.choice([1, 2, 3, 4])
    execute(root, name, "UPDATE Cache SET mode = ?, value = ?", (mode, pickle.dumps("a lie")))


def files(root: Path, name: str, chance: random.Random) -> None:
    (root / "lie.val").write_text('"a lie"')
    execute(root, name, "UPDATE Cache SET mode = ?, filename = '../lie.val', value = NULL", (chance.choice([2, 3, 4]),))


def values_of_other_keys(root: Path, name: str, chance: random.Random) -> None:
    with closing(sqlite3.connect(root / name / "cache.db")) as planted, planted:
        stored = planted.execute("SELECT key, value, tag FROM Cache ORDER BY key").fetchall()
        for (key, *_), (_, value, tag) in zip(stored, stored[1:] + stored[:1]):
            planted.execute("UPDATE Cache SET value = ?, tag = ? WHERE key = ?", (value, tag, key))


def foreign_forms(root: Path, name: str, chance: random.Random) -> None:
    """With a sound checksum, as another program that knows the layout would write them."""
    forms = [5, [], {}, "\ud800", "no base64", [[2.0, 1.0]], [["a", "b"]], {"text": "x"}]
    with closing(open_cache(str(root))) as cache:
        for kind, _, key in (key.partition(":") for key, _ in rows(root, name)):
            refused = [value for value in forms if not FORMS[kind](value)]
            cache.put_many(kind, {key: chance.choice(refused)})


def forms_of_other_cases(root: Path, name: str, chance: random.Random) -> None:
    """Sound forms and checksums that do not fit: one more score, spans of another film, features of another model."""
    with closing(open_cache(str(root))) as cache:
        for index, (name_of, value) in enumerate(rows(root, name)):
            kind, _, key = name_of.partition(":")
            if kind == "segmentation":
                cache.put_many(kind, {key: [[0.0, 1.0], [1.0, 3.75 + chance.random()]]})
            elif kind == "score" or (kind in ("embedding", IMAGE_FEATURES) and index % 2):
                cache.put_many(kind, {key: pack(np.append(unpack(json.loads(value)), np.float32(0)))})


DAMAGE = (
    flip_bytes,
    cut_off,
    other_json,
    pickles,
    files,
    values_of_other_keys,
    foreign_forms,
    forms_of_other_cases,
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_cache_changes_no_result_and_is_counted(seed, filled, sound, mined, tmp_path):
    damage, chance = DAMAGE[seed % len(DAMAGE)], random.Random(seed)
    root = tmp_path / "cache"
    shutil.copytree(filled, root)
    for name in ("results", IMAGE_FEATURES):
        damage(root, name, chance)
    selections = mined(str(root))
    assert [found(selection) for selection in selections] == sound
    assert counted(selections) <= {"cache_damaged", "cache_corrupt"}
    assert counted(selections) or damage is flip_bytes  # a byte may be flipped where it does no harm
    again = mined(str(root))
    assert [found(selection) for selection in again] == sound
    if damage is not flip_bytes:
        assert [made(selection) for selection in again] == [0, 0] and not counted(again)


def test_a_sound_cache_makes_nothing_again(filled, sound, mined):
    selections = mined(str(filled))
    assert [found(selection) for selection in selections] == sound
    assert [made(selection) for selection in selections] == [0, 0] and not counted(selections)
