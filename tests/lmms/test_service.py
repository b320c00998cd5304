"""Services that fail, behind the real backbones of lmms-eval: what passes is tried again, what does not is no reply."""

from __future__ import annotations

import base64
import itertools
import time
from email.utils import formatdate
from types import SimpleNamespace

import numpy as np
import pytest
from support.scripted import ColourEmbedder, always
from support.service import Service, serving

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CallError, ConfigError, ModelError
from lmms_videominer.lmms import service as persistence
from lmms_videominer.lmms.backbone_vlm import BackboneVLM
from lmms_videominer.lmms.construct import backbone_class, build, profile_of
from lmms_videominer.lmms.driver import Driver
from lmms_videominer.miner import VideoMiner
from lmms_videominer.redaction import secret_values
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Action, Question, Selection
from lmms_videominer.vlm.replies import replies
from lmms_videominer.vlm.vlm import VLMRequest

TRIES = 3
SETTINGS = {
    "search": "plain",
    "frames": 4,
    "events": 4,
    "scan_frames": 64,
    "clustering": "none",
    "grain_s": 0.0,
    "max_depth": 1,
}
BACKBONES = [("openai", True), ("openai", False), ("async_openai", False)]
FRAMES = np.full((2, 112, 112, 3), 90, np.uint8)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(persistence, "LONGEST_WAIT_S", 0.02)


def vlm_at(service: Service, backbone: str = "openai", is_simple: bool = False, **more) -> BackboneVLM:
    profile = profile_of(backbone)
    passed = {"model": "served", "base_url": service.url, "api_key": "none", "max_retries": TRIES, "timeout": 1.0}
    model = build(backbone_class(profile, is_simple), passed | more)
    return BackboneVLM(Driver(model, profile, is_simple), "served")


def requests(count: int) -> list[VLMRequest]:
    return [VLMRequest(f"What is shown in part {i}?", FRAMES, 16) for i in range(count)]


def asked_for(vlm: BackboneVLM, count: int = 1) -> list[str | CallError]:
    got = {i: reply for part in replies(vlm, requests(count)) for i, reply in part.items()}
    return [got[i] for i in range(count)]


@pytest.mark.parametrize(("backbone", "is_simple"), BACKBONES)
@pytest.mark.parametrize("fault", ["500", "429", "closed", "hang", "html", "cut", "null", "empty"])
def test_a_fault_that_passes_costs_one_try_more_and_is_told(backbone, is_simple, fault, caplog):
    with serving([fault]) as service:
        assert asked_for(vlm_at(service, backbone, is_simple)) == ["a red square"]
    assert len(service.asked) == 2
    assert fault in ("null", "empty") or "Try 1 failed (" in caplog.text


@pytest.mark.parametrize(("backbone", "is_simple"), BACKBONES)
def test_a_fault_that_stays_is_tried_as_often_as_the_user_said_and_no_more(backbone, is_simple):
    with serving(then="500") as service:
        [reply] = vlm_at(service, backbone, is_simple).generate(requests(1))
    assert isinstance(reply, CallError) and "no reply after 3 tries: InternalServerError" in str(reply)
    assert len(service.asked) == TRIES


def test_what_cannot_pass_is_not_tried_again():
    with serving(then="400") as service:
        [reply] = vlm_at(service).generate(requests(1))
    assert isinstance(reply, CallError) and "status 400" in str(reply) and len(service.asked) == 1


def test_the_wait_that_a_service_asks_for_is_kept_and_others_differ(monkeypatch):
    with serving(["429"]) as service:
        assert asked_for(vlm_at(service)) == ["a red square"]
    assert service.at_s[1] - service.at_s[0] >= 1.0  # Retry-After
    monkeypatch.setattr(persistence, "LONGEST_WAIT_S", 0.2)
    with serving(then="500") as service:
        vlm_at(service, max_retries=6).generate(requests(1))
    waits_s = [after - before for before, after in itertools.pairwise(service.at_s)]
    assert len({round(wait_s, 3) for wait_s in waits_s}) > 1 and all(0.09 < wait_s < 0.5 for wait_s in waits_s)


@pytest.mark.parametrize(("backbone", "is_simple"), BACKBONES)
def test_the_timeout_reaches_the_client(backbone, is_simple):
    started = time.monotonic()
    with serving(then="hang") as service:
        [reply] = vlm_at(service, backbone, is_simple, timeout=0.3, max_retries=2).generate(requests(1))
        took_s = time.monotonic() - started
    assert isinstance(reply, CallError) and "APITimeoutError" in str(reply)
    assert len(service.asked) == 2 and took_s < 2.5


@pytest.mark.parametrize("plan", [["400"], ["html"] * TRIES, ["null", "null"], ["good", "empty"]])
def test_a_reply_that_does_not_come_leaves_the_others(plan):
    with serving(["good", *plan]) as service:
        got = asked_for(vlm_at(service, num_concurrent=1), 4)
    good = 4 if "null" in plan or "empty" in plan else 3  # the empty ones come when they are asked for again
    assert got.count("a red square") == good


@pytest.mark.parametrize("then", ["500", "closed", "html"])
def test_a_service_that_is_down_ends_the_run_after_one_part_and_says_what_is_kept(then):
    with serving(then=then) as service:
        vlm = vlm_at(service, max_retries=2)
        with pytest.raises(ModelError, match=r"no reply after 2 tries.*plain request fails too.*in the cache.*again"):
            asked_for(vlm, 100)
    assert len(service.asked) == 2 * 64 + 2  # the first part, and the plain request


def miner_at(service: Service, cache_dir, **more) -> VideoMiner:
    config = MinerConfig(**SETTINGS, cache_dir=str(cache_dir), **more)
    return VideoMiner(build_stages(config, vlm_at(service), always(Action.ACCEPT), ColourEmbedder()), config)


def test_a_caption_that_does_not_come_is_counted_not_kept_and_asked_for_in_the_next_run(film, tmp_path):
    with serving(["good", "400"]) as service:
        [found] = miner_at(service, tmp_path).mine_batch([Question(film, "What is there?")], answer=False)
    assert isinstance(found, Selection) and found.fallbacks == ("captions_missing",)
    assert (found.usage.vlm_calls, found.usage.captions_missing) == (4, 1)
    assert sorted(node.caption for node in found.nodes[1:]) == ["", *["a red square"] * 3]
    with serving() as service:
        [again] = miner_at(service, tmp_path).mine_batch([Question(film, "What is there?")], answer=False)
    assert len(service.asked) == 1 and again.fallbacks == ()
    assert (again.usage.vlm_calls, again.usage.vlm_calls_cached, again.usage.captions_missing) == (1, 3, 0)


@pytest.mark.parametrize(("then", "reason"), [("null", "replies are empty.*caption_tokens"), ("400", "status 400")])
def test_a_question_without_any_caption_is_an_error_with_the_reason(film, tmp_path, then, reason):
    plan = [then] * (8 if then == "null" else 4)
    with serving(plan) as service:
        [error] = miner_at(service, tmp_path).mine_batch([Question(film, "What is there?")], answer=False)
    assert isinstance(error, ModelError)
    with pytest.raises(ModelError, match=rf'film.mp4, question "What is there\?": no caption of 4 came: .*{reason}'):
        raise error


@pytest.mark.parametrize("plan", [["400"], ["html"] * TRIES])
def test_an_answer_that_does_not_come_is_an_error_of_its_question_and_never_kept(film, tmp_path, plan):
    question = Question(film, "What is there?")
    with serving(plan) as service:
        [error] = miner_at(service, tmp_path, selector="uniform").mine_batch([question])
    assert isinstance(error, ModelError) and "film.mp4" in str(error) and "What is there?" in str(error)
    with serving() as service:
        [result] = miner_at(service, tmp_path, selector="uniform").mine_batch([question])
    assert result.answer == "a red square" and len(service.asked) == 1


def test_an_empty_answer_is_asked_for_again_then_counted_and_never_kept(film, tmp_path):
    question = Question(film, "What is there?")
    with serving(["null", "empty"]) as service:
        [result] = miner_at(service, tmp_path, selector="uniform").mine_batch([question])
    assert (result.answer, result.fallbacks, len(service.asked)) == ("", ("answer_missing",), 2)
    with serving() as service:
        [result] = miner_at(service, tmp_path, selector="uniform").mine_batch([question])
    assert (result.answer, result.fallbacks, len(service.asked)) == ("a red square", (), 1)


def test_a_decision_that_does_not_come_costs_its_question_and_the_others_are_kept(film, tmp_path):
    def miner(service: Service) -> VideoMiner:
        config = MinerConfig(**SETTINGS, default_action="continue", cache_dir=str(tmp_path))
        return VideoMiner(build_stages(config, vlm_at(service, num_concurrent=1), None, ColourEmbedder()), config)

    captions = ["say one", "say two", "say three", "say four"]
    with serving([*captions, "good", "400", "empty", "good", "empty"]) as service:
        [error] = miner(service).mine_batch([Question(film, "What is there?")], answer=False)
    assert isinstance(error, ModelError) and "status 400" in str(error)
    with serving() as service:
        [found] = miner(service).mine_batch([Question(film, "What is there?")], answer=False)
    assert len(service.asked) == 2  # the one that failed, and the one that was empty twice
    assert [node.decision.text for node in found.nodes[1:]] == ["a red square"] * 4


@pytest.mark.parametrize("timeout", ["soon", "0", 0, -1, "nan", "inf", [], "1e999"])
def test_a_timeout_that_is_no_time_is_an_error_that_quotes_it(timeout):
    with serving() as service, pytest.raises(ConfigError, match="must be a number of seconds above 0"):
        vlm_at(service, timeout=timeout)


@pytest.mark.parametrize("timeout", ["2", 2, 2.0, None])
def test_a_timeout_may_be_written_as_text(timeout):
    with serving(["500"]) as service:
        assert asked_for(vlm_at(service, timeout=timeout)) == ["a red square"]


@pytest.mark.parametrize(
    ("wish", "least_s", "most_s"),
    [
        ("7", 7, 7),
        ("in 100 s", 90, 100),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 120, 120),
        ("1e999", 120, 120),
    ],
)
def test_the_wait_that_a_service_asks_for_may_be_a_date_and_is_bounded(wish, least_s, most_s):
    if wish == "in 100 s":  # now, and not when the tests are collected
        wish = formatdate(time.time() + 100, usegmt=True)
    refusal = RuntimeError()
    refusal.response = SimpleNamespace(headers={"retry-after": wish})
    assert least_s <= persistence._wish_s(refusal) <= most_s


@pytest.mark.parametrize("wish", ["", "-5", "nan", "soon", "Fri, 01 Jan 1999 00:00:00 GMT", "xx GMT"])
def test_no_wait_that_makes_sense_is_no_wish(wish):
    refusal = RuntimeError()
    refusal.response = SimpleNamespace(headers={"retry-after": wish})
    assert persistence._wish_s(refusal) is None


def test_a_secret_that_a_service_repeats_is_in_no_caption():
    """Captions go into the cache and into trees, which outlive the run and are passed on."""
    secrets = secret_values({"api_key": "sk-0123456789", "base_url": "http://me:a-password@127.0.0.1/v1"})
    login = base64.b64encode(b"me:a-password").decode()
    said = f"a square, Bearer sk-0123456789, Basic {login}, a-password"
    with serving(then=f"say {said}") as service:
        vlm = vlm_at(service, api_key="sk-0123456789")
        vlm.secrets = secrets
        assert asked_for(vlm) == ["a square, Bearer ***, Basic ***, ***"]
