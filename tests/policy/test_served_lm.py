"""A language model behind a server: completions with their cost, and what a failing server costs a search."""

from __future__ import annotations

import time

import openai
import pytest
from support.scripted import ColourEmbedder, ColourVLM
from support.service import Service, serving

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models import server as servers
from lmms_videominer.models.server import Server
from lmms_videominer.policy.cached import uncached
from lmms_videominer.policy.language_model import Completion, StreamingLanguageModel
from lmms_videominer.policy.served_lm import ServedLM
from lmms_videominer.policy.text_only_vlm import TextOnlyVLM
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Question, Usage
from lmms_videominer.vlm.served_vlm import ServedVLM

PLAIN = {"search": "plain", "events": 4, "scan_frames": 64, "clustering": "none", "grain_s": 0.0, "max_depth": 1}
ACCEPTS = "say <think>it shows it</think><action>accept</action>"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.02)
    monkeypatch.setattr(servers, "TRIES", 2)


def lm_at(service: Service, tokens: int = 32, **more) -> ServedLM:
    return ServedLM(Server(f"openai:served@{service.url}", **more), tokens)


def test_a_completion_has_its_text_and_costs_what_the_server_counted():
    with serving(then="say yes ") as service:
        [done] = lm_at(service).complete(["Is it?"])
    assert done == Completion("yes", prompt_tokens=7, completion_tokens=1)
    assert done.usage == Usage(policy_calls=1, prompt_tokens=7, completion_tokens=1)
    [asked] = service.asked
    assert asked["messages"] == [{"role": "user", "content": "Is it?"}] and asked["max_tokens"] == 32
    assert asked["temperature"] == 0.0 and "seed" not in asked


def test_reasoning_that_the_server_took_out_is_put_back():
    with serving(then="thinks") as service:
        assert lm_at(service).complete(["Is it?"])[0].text == "<think>Let me see.</think>a red square"


def test_each_sample_is_asked_for_with_its_own_seed():
    with serving() as service:
        lm_at(service, at_once=1).complete(["a", "b"], temperature=0.8, seeds=[3, 4])
    assert [(asked["temperature"], asked["seed"]) for asked in service.asked] == [(0.8, 3), (0.8, 4)]
    with serving() as service, pytest.raises(ValueError, match="one seed per prompt"):
        lm_at(service).complete(["a"], temperature=0.8)


def test_no_prompt_makes_no_call():
    with serving() as service:
        assert lm_at(service).complete([]) == [] and service.asked == []


def test_completions_come_one_by_one_with_a_fault_in_place_of_a_missing_one():
    with serving(["good", "400", "good"]) as service:
        model = lm_at(service, at_once=1)
        assert isinstance(model, StreamingLanguageModel)
        parts = list(model.stream(["a", "b", "c"]))
    assert [sorted(part) for part in parts] == [[0], [1], [2]]
    assert [bool(part[i].fault) for i, part in enumerate(parts)] == [False, True, False]


def test_the_identity_has_the_address_and_the_length():
    with serving() as service:
        assert lm_at(service, 8).identity == f"openai:served@{service.url}:8" != lm_at(service, 9).identity


def miner_at(service: Service, cache_dir, **more) -> VideoMiner:
    config = MinerConfig(**PLAIN, cache_dir=str(cache_dir), policy=f"openai:served@{service.url}", **more)
    return VideoMiner(build_stages(config, ColourVLM(), None, ColourEmbedder()), config)


def test_a_server_decides_and_its_decisions_are_kept(film, tmp_path):
    question = Question(film, "Where is red?")
    with serving(then=ACCEPTS) as service:
        [found] = miner_at(service, tmp_path).mine_batch([question], answer=False)
        asked = len(service.asked)
        [again] = miner_at(service, tmp_path).mine_batch([question], answer=False)
    assert asked == len(service.asked) == found.usage.policy_calls == again.usage.policy_calls_cached
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7 * asked, asked)
    assert found.key_frames == again.key_frames and found.fallbacks == ()


def test_a_decision_that_does_not_come_costs_its_question_alone(film, tmp_path):
    questions = [Question(film, text) for text in ("Where is red?", "Where is blue?")]
    with serving(then=ACCEPTS) as service:
        miner = miner_at(service, tmp_path, server_requests=1)
        service.plan = ["400", *[ACCEPTS] * 7, "400"]
        results = miner.mine_batch(questions, answer=False)
    errors = [result for result in results if isinstance(result, ModelError)]
    assert len(errors) == 1 and "film.mp4" in str(errors[0]) and "status 400" in str(errors[0])


def test_a_server_that_goes_down_ends_the_run_soon(film, tmp_path):
    questions = [Question(film, f"Where is red, in look {i}?") for i in range(20)]
    with serving(then="500") as service:
        miner = miner_at(service, tmp_path)
        started = time.monotonic()
        with pytest.raises(ModelError, match=r"openai:served@.*status 500.*plain request fails too.*in the cache"):
            miner.mine_batch(questions, answer=False)
    assert len(service.asked) <= (64 + 1) * 2 and time.monotonic() - started < 30


def test_a_served_video_llm_without_a_policy_decides_by_the_same_server(tmp_path):
    with serving() as service:
        config = MinerConfig(**PLAIN, cache_dir=str(tmp_path))
        vlm = ServedVLM(Server(f"openai:served@{service.url}"))
        model = uncached(build_stages(config, vlm, None, ColourEmbedder()).language_model)
        other = uncached(build_stages(config, ColourVLM(), None, ColourEmbedder()).language_model)
    assert isinstance(model, ServedLM) and model.server is vlm.server and isinstance(other, TextOnlyVLM)


def test_a_name_without_an_address_is_told_before_anything_runs(tmp_path):
    config = MinerConfig(**PLAIN, cache_dir=str(tmp_path), policy="openai:gpt")
    with pytest.raises(ConfigError, match="'openai:gpt' names no model of a server"):
        build_stages(config, ColourVLM(), None, ColourEmbedder())
