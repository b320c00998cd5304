"""A cache on a real Redis server: where it is named, when the server is gone or refuses, and what it never tells."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from support.redis_server import RedisServer
from support.scripted import ColourEmbedder, ColourEncoder, ColourVLM, finder

from lmms_videominer.cli import main
from lmms_videominer.commands import checks
from lmms_videominer.commands.checks import Status
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CacheError
from lmms_videominer.lmms.wrapper import _trees_folder
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.settings import flat
from lmms_videominer.store import redis_texts, selection_json
from lmms_videominer.store.cache import IMAGE_FEATURES, cache_root, open_cache, pack
from lmms_videominer.types import Selection
from lmms_videominer.world.tasks import world_cache

PASSWORD = "canary-7f3a9c51"
SETTINGS = {"search": "plain", "frames": 4, "events": 3, "scan_frames": 16, "max_depth": 1, "grain_s": 0.0}


@pytest.fixture
def server(tmp_path):
    """A server that this test may kill."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def locked(tmp_path):
    """A server that asks for a password."""
    server = RedisServer(tmp_path, "--requirepass", PASSWORD)
    yield server
    server.stop()


@pytest.fixture
def impatient(monkeypatch):
    """A server that is gone is asked again at once."""
    monkeypatch.setattr(redis_texts, "AGAIN_S", 0.0)


def login(server: RedisServer, user: str = "", password: str = PASSWORD) -> str:
    return server.address.replace("://", f"://{user}:{password}@")


def mine(film: str, cache_dir: str, vlm: ColourVLM, **settings) -> Selection:
    models = {"vlm": vlm, "policy": finder("red"), "embedder": ColourEmbedder(), "scorer": ColourEncoder()}
    miner = VideoMiner.from_pretrained(**models, cache_dir=cache_dir, **{**SETTINGS, **settings})
    with closing(miner.stages.cache):
        return miner.mine(film, "When is red seen?", ("early", "late"))


def test_what_one_process_found_the_next_finds_on_the_server(film, redis_store):
    first, second = ColourVLM(), ColourVLM()
    cold, warm = mine(film, redis_store.place, first), mine(film, redis_store.place, second)
    assert first.calls and not second.calls
    assert warm.usage.vlm_calls == 0 and warm.usage.vlm_calls_cached == cold.usage.vlm_calls > 0
    assert (warm.key_frames, warm.nodes, warm.answer) == (cold.key_frames, cold.nodes, cold.answer)


def test_the_environment_may_name_the_server(redis_store, monkeypatch):
    monkeypatch.setenv("VIDEOMINER_CACHE", redis_store.place)
    with closing(open_cache()) as cache:
        cache.put_many("caption", {"k": "a red disc"})
    assert redis_store.get("caption", "k")[0] == b'"a red disc"'


def test_what_lies_in_files_stays_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIDEOMINER_CACHE", "redis://host:6379/0")
    at_home = tmp_path / ".cache" / "videominer"
    assert cache_root() == at_home and world_cache() == at_home / "worlds"
    assert _trees_folder(None, MinerConfig(), "0123456789abcdef") == at_home / "trees" / "videominer-01234567"


def test_image_features_expire_and_what_models_were_paid_for_does_not(redis_store):
    with closing(open_cache(redis_store.place)) as cache:
        cache.put_many(IMAGE_FEATURES, {"k": pack(np.ones(8, np.float32))})
        cache.put_many("caption", {"k": "a red disc"})
    left_s = redis_store.client.ttl(f"videominer:{IMAGE_FEATURES}:k")
    assert redis_texts.EXPIRY_S - 60 < left_s <= redis_texts.EXPIRY_S
    assert redis_store.client.ttl("videominer:caption:k") == -1


def test_a_full_server_evicts_features_alone(tmp_path):
    limits = ("--maxmemory", "4mb", "--maxmemory-policy", "volatile-lru")
    server = RedisServer(tmp_path, *limits)
    try:
        with closing(open_cache(server.address)) as cache:
            cache.put_many("caption", {f"c{i}": "x" * 100 for i in range(100)})
            features = pack(np.ones(768, np.float32))
            for part in range(20):
                cache.put_many(IMAGE_FEATURES, {f"{part}-{i}": features for i in range(100)})  # 8 MB
            assert None not in cache.get_many("caption", [f"c{i}" for i in range(100)])
            kept = cache.get_many(IMAGE_FEATURES, [f"{part}-{i}" for part in range(20) for i in range(100)])
            assert 0 < sum(value is not None for value in kept) < 2000 and cache.fallbacks == ()
    finally:
        server.stop()


def test_a_server_that_is_full_refuses_and_what_it_has_is_read_on(tmp_path, caplog):
    server = RedisServer(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    try:
        with closing(open_cache(server.address)) as cache:
            cache.put_many("caption", {"first": "a red disc"})
            for i in range(6):
                cache.put_many("caption", {f"k{i}": "x" * 2**20})
            assert cache.get_many("caption", ["first", "k5"]) == ["a red disc", None]
            assert cache.fallbacks == ("cache_unwritable",)
        assert len(caplog.records) == 1 and "maxmemory" in caplog.text
    finally:
        server.stop()


def test_a_server_that_is_not_there_is_an_error_that_says_so(server, film):
    server.stop()
    with pytest.raises(CacheError, match=rf"redis://127\.0\.0\.1:{server.port}/0: .* cannot be reached .*cache_dir"):
        mine(film, server.address, ColourVLM())


class Breaks(ColourVLM):
    """Kills the server in its first call."""

    def __init__(self, server: RedisServer):
        super().__init__()
        self.server = server

    def generate(self, requests):
        self.server.stop()
        return super().generate(requests)


def test_a_server_that_goes_during_a_run_costs_nothing_but_the_cache(server, film, impatient, caplog):
    sound = mine(film, "off", ColourVLM())
    found = mine(film, server.address, Breaks(server))
    assert (found.key_frames, found.nodes, found.answer) == (sound.key_frames, sound.nodes, sound.answer)
    assert set(found.fallbacks) == {*sound.fallbacks, "cache_unreachable"}
    told = [record.message for record in caplog.records if "cache" in record.message]
    assert len(told) == 1 and f"redis://127.0.0.1:{server.port}/0 is gone" in told[0]


def test_a_server_that_comes_back_is_used_again_and_stays_counted(server, impatient):
    with closing(open_cache(server.address)) as cache:
        server.stop()
        cache.put_many("caption", {"k": "lost"})
        assert cache.get_many("caption", ["k"]) == [None]
        server.start()
        cache.put_many("caption", {"k": "kept"})
        assert cache.get_many("caption", ["k"]) == ["kept"] and cache.fallbacks == ("cache_unreachable",)


def test_a_server_that_is_gone_is_left_alone_for_a_while(server, monkeypatch):
    with closing(open_cache(server.address)) as cache:
        server.stop()
        assert cache.get_many("caption", ["k"]) == [None]
        server.start()
        cache.put_many("caption", {"k": "not stored"})
        monkeypatch.setattr(redis_texts, "time", SimpleNamespace(monotonic=lambda: math.inf))  # much later
        assert cache.get_many("caption", ["k"]) == [None]
        cache.put_many("caption", {"k": "stored"})
        assert cache.get_many("caption", ["k"]) == ["stored"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("http://host:80", "redis://HOST:PORT"),
        ("redis://", "must be redis://HOST:PORT"),
        (f"redis://me:{PASSWORD}/x@host:6379/0", "%-escapes"),
        (f"redis://me:{PASSWORD}#@host:6379/0", "%-escapes"),
    ],
)
def test_what_is_no_address_of_a_cache_is_refused_without_quoting_it(place, reason):
    pytest.importorskip("redis")
    with pytest.raises(CacheError, match=reason) as refused:
        open_cache(place)
    assert PASSWORD not in str(refused.value)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(CacheError, match=r"pip install 'lmms-videominer\[redis\]'") as refused:
        open_cache(f"redis://me:{PASSWORD}@host:6379/0")
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("given", ["", f"wrong-{PASSWORD}"])
def test_a_login_that_is_refused_is_told_without_it(locked, given):
    place = login(locked, password=given) if given else locked.address
    with pytest.raises(CacheError, match=rf"redis://127\.0\.0\.1:{locked.port}/0: .*refuses the login") as refused:
        open_cache(place)
    assert PASSWORD not in str(refused.value)


def test_a_login_stands_in_no_file_no_log_and_no_setting(locked, film, tmp_path, caplog, capfd):
    place = login(locked)
    with caplog.at_level(logging.DEBUG):
        selection = mine(film, place, ColourVLM())
        selection_json.save(selection, tmp_path / "tree.json")
        locked.stop()
        with pytest.raises(CacheError) as refused:
            open_cache(place)
    assert PASSWORD not in (tmp_path / "tree.json").read_text() + caplog.text + "".join(capfd.readouterr())
    assert PASSWORD not in str(refused.value)
    config = MinerConfig(cache_dir=place)
    assert PASSWORD not in json.dumps(flat(config)) and flat(config)["cache_dir"] == locked.address
    assert flat(config) == flat(dataclasses.replace(config, cache_dir=login(locked, "other", "another-one")))


def test_a_login_among_the_arguments_of_lmms_eval_is_not_in_its_results():
    from lmms_videominer.lmms.hooks import _without_secrets

    given = f"cache_dir=redis://me:{PASSWORD}@host:6379/0"
    assert _without_secrets(given) == {"cache_dir": "redis://host:6379/0"}


def test_the_command_line_hides_a_login_that_does_not_work(locked, film, capsys):
    place = login(locked, password=f"wrong-{PASSWORD}")
    argv = ["mine", film, "--question", "What is red?", "--set", f"cache_dir={place}", "--quiet"]
    assert main([*argv, "--selector", "uniform"]) == 1
    told = capsys.readouterr().err
    assert "refuses the login" in told and PASSWORD not in told


def test_the_doctor_tries_the_server_and_hides_its_login(locked, monkeypatch):
    monkeypatch.setenv("VIDEOMINER_CACHE", login(locked))
    check = checks.check_cache()
    assert (check.name, check.status, check.result) == ("cache server", Status.OK, locked.address)
    locked.stop()
    (check,) = checks.guarded("cache folder", checks.check_cache)
    assert check.status is Status.WRONG and "cannot be reached" in check.result
    assert PASSWORD not in check.result + check.remedy
