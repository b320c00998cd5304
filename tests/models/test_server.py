"""A model behind a server: its name, what each fault becomes, what is never told. The service fails as it is told."""

from __future__ import annotations

import itertools
import logging
import socket

import openai
import pytest
from support.service import Service, serving

from lmms_videominer.errors import CallError, ConfigError, ModelError
from lmms_videominer.models import server as servers
from lmms_videominer.models.server import Address, Reply, Server, is_served

KEY = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.02)
    monkeypatch.delenv(servers.KEY, raising=False)


def server_at(service: Service, **more) -> Server:
    return Server(f"openai:served@{service.url}", **more)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("name", "model", "url"),
    [
        ("openai:m@http://localhost:8000/v1", "m", "http://localhost:8000/v1"),
        ("openai:Qwen/Qwen2-VL-7B@https://host/v1/", "Qwen/Qwen2-VL-7B", "https://host/v1"),
        ("openai:Qwen/Q@main@http://10.0.0.1:80", "Qwen/Q@main", "http://10.0.0.1:80"),
        ("openai:/models/my model@http://[::1]:8000/v1", "/models/my model", "http://[::1]:8000/v1"),
    ],
)
def test_a_name_has_a_model_and_an_address(name, model, url):
    assert is_served(name) and Address.of(name) == Address(model, url)
    assert Address.of(str(Address.of(name))) == Address.of(name)


@pytest.mark.parametrize(
    "name", ["openai:", "openai:m", "openai:m@", "openai:m@host:8000", "openai:@http://h/v1", "openai:m@http://"]
)
def test_a_name_without_either_is_refused_with_an_example(name):
    with pytest.raises(ConfigError, match=r"openai:MODEL@URL, such as openai:.*@http://localhost:8000/v1"):
        Server(name)


@pytest.mark.parametrize(
    "rest", ["http://me:secret-word@host/v1", "http://host/v1?key=secret-word", "http://host/#secret-word"]
)
def test_an_address_with_a_secret_is_refused_without_telling_it(rest):
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as told:
        Server(f"openai:m@{rest}")
    assert "secret-word" not in str(told.value)


@pytest.mark.parametrize("name", ["Qwen/Qwen2-VL-7B-Instruct", "", "none", None, "myopenai:x@http://h"])
def test_other_names_are_of_no_server(name):
    assert not is_served(name)


def test_a_reply_comes_with_the_tokens_that_the_server_counted():
    with serving(then="say  a disc ") as service:
        assert server_at(service).reply("What?", 16, images=["data:image/jpeg;base64,AAAA"]) == Reply("a disc", 7, 1)
    [asked] = service.asked
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("served", 16, 0.0)
    assert "seed" not in asked
    kinds = [part["type"] for part in asked["messages"][0]["content"]]
    assert kinds == ["image_url", "text"]  # what may repeat comes first


def test_control_tokens_in_a_prompt_are_text_and_lone_surrogates_arrive_replaced():
    with serving() as service:
        server_at(service).reply("<|im_end|> </s> <think> \ud800", 16)
    assert service.asked[0]["messages"] == [{"role": "user", "content": "< |im_end|> < /s> <think> \ufffd"}]


@pytest.mark.parametrize("fault", ["500", "429", "closed"])
def test_a_fault_that_passes_is_asked_again(fault):
    with serving([fault]) as service:
        assert server_at(service).reply("What?", 16) == Reply("a red square", 7, 1)
    assert len(service.asked) == 2
    if fault == "429":
        assert service.at_s[1] - service.at_s[0] >= 1.0  # Retry-After


def test_the_waits_between_tries_differ(monkeypatch):
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.2)
    monkeypatch.setattr(openai._base_client, "MAX_RETRY_DELAY", 0.2)
    with serving(then="500") as service:
        server_at(service).reply("What?", 16)
    waits_s = [after - before for before, after in itertools.pairwise(service.at_s)]
    assert len({round(wait_s, 3) for wait_s in waits_s}) > 1 and min(waits_s) > 0.1


@pytest.mark.parametrize(
    ("fault", "tries", "told"),
    [
        ("500", servers.TRIES, "InternalServerError.*status 500"),
        ("closed", servers.TRIES, "APIConnectionError.*disconnected"),
        ("400", 1, "BadRequestError.*status 400"),
        ("html", 1, "not a completion: <html>"),
        ("cut", 1, "JSON"),
        ("refuses I would rather not", 1, "the model refused: I would rather not"),
        ("refuses \ud800", 1, "the model refused: \ufffd$"),
        ("filtered", 1, "the model refused: content_filter"),
        ("thought", 1, "no text within 16 tokens.*thinks.*caption_tokens and policy_tokens"),
    ],
)
def test_a_fault_that_stays_is_an_error_of_its_request_and_names_the_server(fault, tries, told):
    with serving(then=fault) as service:
        fault = server_at(service).reply("What?", 16)
    assert isinstance(fault, CallError) and str(fault).startswith(f"openai:served@{service.url}: ")
    with pytest.raises(CallError, match=told):
        raise fault
    assert len(service.asked) == tries


def test_a_slow_reply_is_an_error_that_names_the_settings(monkeypatch):
    monkeypatch.setattr(servers, "TRIES", 2)
    with serving(then="hang") as service:
        fault = server_at(service, timeout_s=0.3).reply("What?", 16)
    with pytest.raises(CallError, match=r"no reply within 0.3 s, 2 times. Raise server_timeout_s"):
        raise fault
    assert len(service.asked) == 2


@pytest.mark.parametrize(("answer", "text"), [("stopped", "a red square"), ("empty", ""), ("null", "")])
def test_a_reply_cut_off_at_the_limit_is_a_reply_and_so_is_an_empty_one(answer, text):
    with serving([answer]) as service:
        assert server_at(service).reply("What?", 16) == Reply(text, 7, 1)


def test_a_model_that_the_server_does_not_have_ends_the_run_and_those_it_has_are_listed():
    with (
        serving(then="404") as service,
        pytest.raises(ModelError, match=r"no such model.*offers served, another;") as told,
    ):
        server_at(service).reply("What?", 16)
    assert not isinstance(told.value, CallError)
    with serving(then="404") as service:
        service.models = None
        with pytest.raises(ModelError, match="lists no models; the base of the interface often ends in /v1"):
            server_at(service).reply("What?", 16)


@pytest.mark.parametrize(("key", "told"), [("", "wants a key, and none is in"), (KEY, "refuses the key in")])
def test_a_key_that_is_refused_or_missing_ends_the_run(monkeypatch, key, told):
    monkeypatch.setenv(servers.KEY, key)
    with serving(then="401") as service, pytest.raises(ModelError, match=rf"{told} \$OPENAI_API_KEY") as raised:
        server_at(service).reply("What?", 16)
    assert not isinstance(raised.value, CallError) and len(service.asked) == 1


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv(servers.KEY, KEY)
    caplog.set_level(logging.DEBUG)
    with serving([f"say you sent {KEY}", "500", "500"], then="400") as service:
        server = server_at(service)
        said, fault = server.reply("What?", 16), server.reply("What?", 16)
    assert service.keys == [f"Bearer {KEY}"] * len(service.asked)
    assert isinstance(said, Reply) and said.text == "you sent ***"
    assert KEY not in f"{fault}{server.identity}{caplog.text}"


def test_a_server_without_keys_needs_none():
    with serving() as service:
        assert isinstance(server_at(service).reply("What?", 16), Reply)


@pytest.mark.parametrize("name", ["max_tokens", "temperature"])
def test_what_a_model_does_not_take_by_name_is_sent_as_it_takes_it_from_then_on(name, caplog):
    with serving([f"no {name}"]) as service:
        server = server_at(service)
        assert isinstance(server.reply("What?", 16), Reply) and isinstance(server.reply("What?", 16), Reply)
    assert [name in asked for asked in service.asked] == [True, False, False]
    assert [asked.get("max_completion_tokens") for asked in service.asked[1:]] == [
        16 if name == "max_tokens" else None
    ] * 2
    assert caplog.text.count(f"refuses {name}") == 1


def test_what_a_model_does_not_take_by_any_name_is_an_error():
    with serving(["no max_tokens", "no max_completion_tokens"]) as service:
        fault = server_at(service).reply("What?", 16)
    assert isinstance(fault, CallError) and "max_completion_tokens" in str(fault) and len(service.asked) == 2


def test_requests_run_side_by_side_up_to_the_limit():
    with serving(then="slow") as service:
        server = server_at(service, at_once=3)
        replies = dict(server.each(lambda i: server.reply(f"part {i}", 16), range(9)))
    assert sorted(replies) == list(range(9)) and set(replies.values()) == {Reply("a red square", 7, 1)}
    assert service.most_at_once == 3


def test_a_server_that_is_down_is_told_at_once_with_the_way_out():
    name = f"openai:served@http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(
        ModelError, match=r"127.0.0.1:\d+/v1: the server cannot be reached .*refused.*Start it, or correct"
    ):
        Server.reached(name)


@pytest.mark.parametrize("models", [["served"], ["another"], [], None])
def test_a_server_that_answers_is_taken_whatever_it_lists(models):
    with serving() as service:
        service.models = models
        assert Server.reached(f"openai:served@{service.url}").identity == f"openai:served@{service.url}"


def test_seeds_fit_into_32_bits():
    with serving() as service:
        server_at(service).reply("What?", 16, 0.7, 2**62 + 5)
    assert service.asked[0]["seed"] == 5 and service.asked[0]["temperature"] == 0.7


def test_a_plain_request_tells_a_server_that_is_down_from_one_that_refuses():
    fault = CallError("it failed")
    with serving() as service:
        server_at(service).check_alive(fault)
    with serving(then="400") as service, pytest.raises(ModelError, match=r"it failed. A plain request fails too"):
        server_at(service).check_alive(fault)
