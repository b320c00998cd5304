"""A video LLM behind a server: what arrives there, and whose fault it is when nothing comes back."""

from __future__ import annotations

import base64
import io

import numpy as np
import openai
import pytest
from PIL import Image
from support.scripted import ColourEmbedder, always
from support.service import Service, running, serving

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CallError, ModelError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models import server as servers
from lmms_videominer.models.server import Server
from lmms_videominer.selectors.building import build_stages, load_vlm
from lmms_videominer.types import Action, Question
from lmms_videominer.vlm.replies import replies
from lmms_videominer.vlm.served_vlm import ServedVLM
from lmms_videominer.vlm.vlm import VLMRequest

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.02)
    monkeypatch.setattr(servers, "TRIES", 2)


def vlm_at(service: Service, **more) -> ServedVLM:
    return ServedVLM(Server(f"openai:served@{service.url}", **more))


def pictures(body: dict) -> list[np.ndarray]:
    """The pictures of a request, uint8 [H, W, 3] each."""
    urls = [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))) for url in urls]


def smooth(count: int) -> np.ndarray:
    """Frames of soft colours and one sharp red edge."""
    rows, columns = np.mgrid[0:96, 0:128]
    frames = np.stack([np.stack([rows * 2, columns, (rows + 20 * i) % 256], -1) for i in range(count)]).astype(np.uint8)
    frames[:, 30:40, 30:90] = (255, 0, 0)
    return frames


def test_the_frames_arrive_whole_in_order_and_nearly_unchanged():
    frames = smooth(3)
    with serving() as service:
        assert vlm_at(service).generate([VLMRequest("What?", frames, 32)]) == ["a red square"]
    [asked] = service.asked
    arrived = np.stack(pictures(asked)).astype(int)
    assert arrived.shape == frames.shape and np.abs(arrived - frames).mean() < 1.5
    assert asked["messages"][0]["content"][-1] == {"type": "text", "text": "What?"} and asked["max_tokens"] == 32


def test_frames_that_repeat_are_the_same_bytes():
    with serving() as service:
        vlm = vlm_at(service, at_once=1)
        vlm.generate([VLMRequest("What?", FRAMES, 32), VLMRequest("Who?", FRAMES[::-1].copy(), 32)])
    first, second = (asked["messages"][0]["content"][:3] for asked in service.asked)
    assert first == second[::-1] and first[0] != first[1]


def test_reasoning_that_the_server_took_out_is_no_part_of_a_caption():
    with serving(then="thinks") as service:
        assert vlm_at(service).generate([VLMRequest("What?", FRAMES, 32)]) == ["a red square"]


def test_a_request_without_frames_is_plain_text():
    with serving() as service:
        vlm_at(service).generate([VLMRequest("What?")])
    assert service.asked[0]["messages"] == [{"role": "user", "content": "What?"}]


def test_replies_are_in_the_order_of_the_requests():
    requests = [VLMRequest(f"part {i}", FRAMES, 8) for i in range(12)]

    class Repeating(Service):
        def next_answer(self, body):
            super().next_answer(body)
            return f"say {body['messages'][0]['content'][-1]['text']}"

    with running(Repeating()) as service:
        assert vlm_at(service, at_once=5).generate(requests) == [f"part {i}" for i in range(12)]


def test_a_request_that_fails_leaves_the_others():
    with serving(["good", "400", "good", "thought"]) as service:
        got = vlm_at(service, at_once=1).generate([VLMRequest(f"part {i}", FRAMES, 8) for i in range(4)])
    assert [isinstance(reply, CallError) for reply in got] == [False, True, False, True]


def test_a_server_that_is_down_ends_the_run_after_one_part():
    with serving(then="500") as service:
        vlm = vlm_at(service, at_once=64)
        with pytest.raises(
            ModelError, match=r"openai:served@http://.*status 500.*plain request fails too.*in the cache"
        ):
            list(replies(vlm, [VLMRequest(f"part {i}", None, 8) for i in range(100)]))
    assert len(service.asked) == (64 + 1) * 2  # the first part and the plain request, each tried twice


def test_results_of_another_server_or_model_are_not_taken_from_the_cache():
    names = ("openai:a@http://h:1/v1", "openai:b@http://h:1/v1", "openai:a@http://h:2/v1")
    assert len({ServedVLM(Server(name)).identity for name in names}) == 3
    assert ServedVLM(Server(names[0], at_once=2, timeout_s=9)).identity == ServedVLM(Server(names[0])).identity


def test_the_settings_reach_the_server():
    with serving() as service:
        vlm = load_vlm(f"openai:served@{service.url}", MinerConfig(server_requests=3, server_timeout_s=7.0))
    assert isinstance(vlm, ServedVLM) and (vlm.server.at_once, vlm.server.timeout_s) == (3, 7.0)


@pytest.mark.parametrize("faults", [["400"], ["thought"]])
def test_an_answer_that_does_not_come_is_an_error_of_its_question_and_never_kept(film, tmp_path, faults):
    def miner(service: Service) -> VideoMiner:
        config = MinerConfig(selector="uniform", cache_dir=str(tmp_path))
        return VideoMiner(build_stages(config, vlm_at(service), always(Action.ACCEPT), ColourEmbedder()), config)

    question = Question(film, "What is there?")
    with serving(faults) as service:
        [error] = miner(service).mine_batch([question])
    assert isinstance(error, ModelError) and "film.mp4" in str(error) and service.url in str(error)
    with serving() as service:
        [found] = miner(service).mine_batch([question])
    assert found.answer == "a red square"
