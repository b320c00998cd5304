from __future__ import annotations

import logging
import multiprocessing
import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cache_user import write_and_read

from lmms_videominer.errors import CacheError
from lmms_videominer.store import cache as cache_module
from lmms_videominer.store.cache import IMAGE_FEATURES, Cache, MemoryCache, cache_root, open_cache, pack


@pytest.fixture(params=["disk", "redis", "memory"])
def cache(request):
    place = "off" if request.param == "memory" else request.getfixturevalue(f"{request.param}_store").place
    with closing(open_cache(place)) as opened:
        yield opened


def database(folder: Path) -> Path:
    return folder / "results" / "cache.db"


def test_values_come_back_in_the_order_asked_and_none_where_absent(cache):
    cache.put_many("caption", {"a": "a red disc", "b": "a blue one"})
    assert cache.get_many("caption", ["b", "absent", "a", "b"]) == ["a blue one", None, "a red disc", "a blue one"]


def test_kinds_do_not_share_keys(cache):
    cache.put_many("caption", {"k": "text"})
    assert cache.get_many("answer", ["k"]) == [None]


def test_image_features_push_out_no_captions(tmp_path, monkeypatch):
    monkeypatch.setattr("lmms_videominer.store.database.SIZE_LIMIT_BYTES", 2**18)
    cache, features = open_cache(str(tmp_path)), pack(np.ones(200, np.float32))
    cache.put_many("caption", {"a": "a dog"})
    for part in range(100):
        cache.put_many(IMAGE_FEATURES, {f"{part}-{i}": features for i in range(5)})
    assert cache.get_many(IMAGE_FEATURES, ["0-0", "99-4"]) == [None, features]
    assert cache.get_many("caption", ["a"]) == ["a dog"]


def test_an_empty_caption_is_a_value(cache):
    cache.put_many("caption", {"k": ""})
    assert cache.get_many("caption", ["k"]) == [""]


def test_a_later_value_replaces_the_former(cache):
    cache.put_many("caption", {"k": "old"})
    cache.put_many("caption", {"k": "new"})
    assert cache.get_many("caption", ["k"]) == ["new"]


def test_a_returned_value_can_be_changed_without_changing_the_cache(cache):
    cache.put_many("segmentation", {"k": [[1, 2]]})
    cache.get_many("segmentation", ["k"])[0].append(3)
    assert cache.get_many("segmentation", ["k"]) == [[[1, 2]]]


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_what_is_not_json_is_refused(cache, value):
    with pytest.raises((TypeError, ValueError)):
        cache.put_many("caption", {"k": value})
    assert cache.get_many("caption", ["k"]) == [None]


@given(st.text())
def test_any_text_makes_the_round_trip(text):
    memory = MemoryCache()
    memory.put_many("caption", {"k": text})
    assert memory.get_many("caption", ["k"]) == [text]


def test_values_outlive_the_process_and_large_ones_too(tmp_path):
    large = "x" * 2**22
    with closing(open_cache(str(tmp_path))) as cache:
        cache.put_many("caption", {"small": "é", "large": large})
    with closing(open_cache(str(tmp_path))) as cache:
        assert cache.get_many("caption", ["small", "large"]) == ["é", large]


def test_off_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "never"))
    open_cache("off").put_many("caption", {"k": "v"})
    assert open_cache("off").get_many("caption", ["k"]) == [None]
    assert not (tmp_path / "never").exists()


def test_keys_depend_on_every_part_and_not_on_their_order():
    key = Cache.key(video="v", frames=[1, 2], tokens=96)
    assert key == Cache.key(tokens=96, frames=(1, 2), video="v")
    assert key == Cache.key(tokens=np.int64(96), frames=np.array([1, 2]), video="v")
    others = [
        Cache.key(video="w", frames=[1, 2], tokens=96),
        Cache.key(video="v", frames=[2, 1], tokens=96),
        Cache.key(video="v", frames=[1, 2], tokens="96"),
        Cache.key(video="v", frames=[1, 2]),
    ]
    assert len({key, *others}) == 5


def test_a_new_schema_makes_new_keys(monkeypatch):
    before = Cache.key(video="v")
    monkeypatch.setattr(cache_module, "CACHE_SCHEMA", cache_module.CACHE_SCHEMA + 1)
    assert Cache.key(video="v") != before


def test_keys_are_the_same_in_every_process_and_version():
    # sha256 of {"parts":{"frames":[1,2],"video":"v"},"schema":1}: a change here throws every user's cache away
    assert Cache.key(video="v", frames=[1, 2]) == "ae76e306c44c9ce93b2b3dd105cbc5281d17092e025cccb453a90fea6317dec8"


@pytest.mark.launches
@pytest.mark.parametrize("store", ["disk_store", "redis_store"])
def test_several_processes_write_the_same_keys_at_once(store, request):
    place = request.getfixturevalue(store).place
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_and_read, args=(place, n, 30)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with closing(open_cache(place)) as cache:
        assert cache.get_many("caption", [f"shared{i}" for i in range(30)]) == [f"text {i}" for i in range(30)]
        assert cache.get_many("caption", [f"own{n}.29" for n in range(3)]) == ["by 0", "by 1", "by 2"]
        assert cache.fallbacks == ()


@pytest.fixture
def below_a_file(tmp_path):
    (tmp_path / "file").write_text("a regular file")
    return str(tmp_path / "file" / "cache")


def test_an_unwritable_folder_asked_for_is_an_error_that_names_it(below_a_file):
    with pytest.raises(CacheError, match=r"file/cache: .*cache_dir"):
        open_cache(below_a_file)


def test_an_unwritable_folder_in_the_environment_is_an_error_too(below_a_file, monkeypatch):
    monkeypatch.setenv("VIDEOMINER_CACHE", below_a_file)
    with pytest.raises(CacheError, match="file/cache"):
        open_cache("")


def test_an_unwritable_default_folder_is_logged_and_memory_serves(below_a_file, monkeypatch, caplog):
    monkeypatch.delenv("VIDEOMINER_CACHE", raising=False)
    monkeypatch.setenv("HOME", below_a_file)
    cache = open_cache("")
    cache.put_many("caption", {"k": "v"})
    assert cache.get_many("caption", ["k"]) == ["v"]
    assert cache.fallbacks == ("cache_unwritable",)
    assert len(caplog.records) == 1 and "file/cache" in caplog.text


def test_the_folder_is_the_argument_else_the_environment_else_home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "env"))
    assert cache_root(str(tmp_path / "arg")) == tmp_path / "arg"
    assert cache_root() == tmp_path / "env"
    monkeypatch.delenv("VIDEOMINER_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "videominer"


def test_a_corrupt_database_is_moved_aside_and_the_cache_works(tmp_path, caplog):
    database(tmp_path).parent.mkdir()
    database(tmp_path).write_bytes(b"this is not SQLite" * 1000)
    with caplog.at_level(logging.WARNING), closing(open_cache(str(tmp_path))) as cache:
        cache.put_many("caption", {"k": "v"})
        assert cache.get_many("caption", ["k"]) == ["v"]
        assert cache.fallbacks == ("cache_corrupt",)
    aside = list(tmp_path.glob("results.corrupt-*"))
    assert len(aside) == 1 and (aside[0] / "cache.db").read_bytes().startswith(b"this is not SQLite")
    assert caplog.text.count("corrupt") and str(aside[0]) in caplog.text


def test_a_database_that_breaks_while_open_is_started_anew(tmp_path):
    with closing(open_cache(str(tmp_path))) as cache:
        cache.put_many("caption", {f"k{i}": "v" * 500 for i in range(200)})
    damaged = bytearray(database(tmp_path).read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)  # the header still says SQLite, the pages are gone
    database(tmp_path).write_bytes(damaged)
    with closing(open_cache(str(tmp_path))) as cache:
        assert cache.get_many("caption", ["k7"]) == [None]
        cache.put_many("caption", {"k7": "again"})
        assert cache.get_many("caption", ["k7"]) == ["again"]
        assert cache.fallbacks == ("cache_corrupt",)


def test_a_folder_that_vanishes_is_logged_once_and_costs_nothing_but_the_cache(tmp_path, caplog):
    cache = open_cache(str(tmp_path / "cache"))
    cache.put_many("caption", {"k": "v"})
    cache.close()  # the next use opens the database again
    shutil.rmtree(tmp_path / "cache")
    for _ in range(2):
        cache.put_many("caption", {"k": "v"})
        assert cache.get_many("caption", ["k"]) == [None]
    assert cache.fallbacks == ("cache_unwritable",) and len(caplog.records) == 1


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("mode, value", [(4, pickle.dumps(Bomb())), (1, b"\x80\x04"), (1, "{not JSON")])
def test_a_planted_value_is_never_unpickled_and_counts_as_absent(tmp_path, monkeypatch, mode, value):
    monkeypatch.chdir(tmp_path)
    with closing(open_cache(str(tmp_path))) as cache:
        cache.put_many("caption", {"k": "v"})
        with closing(sqlite3.connect(database(tmp_path))) as planted, planted:
            planted.execute("UPDATE Cache SET mode = ?, value = ?", (mode, value))
        assert cache.get_many("caption", ["k"]) == [None]
        assert not Path("exploded").exists()
        cache.put_many("caption", {"k": "again"})
        assert cache.get_many("caption", ["k"]) == ["again"]
