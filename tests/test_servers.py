"""The bundled models behind a real server: it says what transformers says here; and one film from end to end."""

from __future__ import annotations

import base64
import io
import json
import logging

import numpy as np
import pytest
from PIL import Image
from support.real_server import transformers_serve
from transformers import AutoModelForImageTextToText, AutoProcessor

from lmms_videominer.cli import main
from lmms_videominer.errors import ModelError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models import server as servers
from lmms_videominer.models.bundle import CHECKPOINTS
from lmms_videominer.models.server import Server
from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.policy.prompt import policy_prompt
from lmms_videominer.policy.served_lm import ServedLM
from lmms_videominer.search.context import length_line
from lmms_videominer.vlm.prompts import caption_prompt
from lmms_videominer.vlm.served_vlm import ServedVLM, data_url
from lmms_videominer.vlm.transformers_vlm import TransformersVLM
from lmms_videominer.vlm.vlm import VLMRequest
from lmms_videominer.world import render_world
from lmms_videominer.world.render import render_times
from lmms_videominer.world.script import write_script

pytestmark = pytest.mark.launches

KEY = "sk-not-for-the-cache-0123"
VLM, POLICY = str(CHECKPOINTS / "vlm"), str(CHECKPOINTS / "policy")
OTHERS = {"embedder": str(CHECKPOINTS / "embedder"), "scorer": str(CHECKPOINTS / "scorer")}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with transformers_serve(tmp_path_factory.mktemp("server") / "log") as base:
        yield base


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder of a film of a minute, and its questions."""
    folder = tmp_path_factory.mktemp("world")
    render_world(folder, 1, 1, 17, workers=1, progress=False, questions=3)
    return folder, [json.loads(line) for line in (folder / "qa.jsonl").read_text().splitlines()]


def as_arrived(frames: np.ndarray) -> np.ndarray:
    """``frames`` as a server reads them from their pictures."""
    data = [base64.b64decode(data_url(frame).partition(",")[2]) for frame in frames]
    return np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in data])


def test_captions_are_those_of_transformers_for_the_pictures_that_arrive(url):
    processor = AutoProcessor.from_pretrained(VLM)
    processor.video_processor = None  # so that frames are pictures of one turn, as they are to a server
    here = TransformersVLM(AutoModelForImageTextToText.from_pretrained(VLM).eval(), processor, "here")
    script = write_script(17, 0, 1)
    shots = [
        render_times(script, np.linspace(start_s, start_s + 6, count)) for start_s, count in [(1, 4), (20, 4), (40, 1)]
    ]
    prompt = caption_prompt("What colour is the hat?")
    served = ServedVLM(Server(f"openai:{VLM}@{url}")).generate([VLMRequest(prompt, shot, 48) for shot in shots])
    local = here.generate([VLMRequest(prompt, as_arrived(shot), 48) for shot in shots])
    assert served == local and len(set(served)) == 3 and all(len(caption) > 10 for caption in served)


def test_decisions_and_their_tokens_are_those_of_transformers(url):
    here = CausalLM.from_pretrained(POLICY, device="cpu", max_new_tokens=96)
    question = "Which sign appears while the red robot with the blue hat is in the sea?"
    captions = "desert: red robot with the blue hat", "sea: red robot with the blue hat, star; sea: green robot"
    prompts = [policy_prompt(question, caption, 1, 3) for caption in captions]
    prompts.append(policy_prompt(question, "", 0, 3, [length_line(60.0)]))
    served = ServedLM(Server(f"openai:{POLICY}@{url}"), 96).complete(prompts)
    local = here.complete(prompts)
    assert [done.text for done in served] == [done.text for done in local]
    assert [done.usage for done in served] == [done.usage for done in local]


def test_a_film_is_mined_from_the_shell_by_two_served_models_and_then_from_the_cache(url, world, tmp_path, monkeypatch):
    monkeypatch.setenv(servers.KEY, KEY)
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "cache"))
    folder, rows = world
    line = ["mine", str(folder / rows[0]["video"]), "--question", rows[0]["question"], "--option", *rows[0]["options"]]
    line += ["--model", f"openai:{VLM}@{url}", "--policy", f"openai:{POLICY}@{url}", "--set", "max_vlm_calls=6"]
    line += [word for name, value in OTHERS.items() for word in (f"--{name}", value)]
    assert main([*line, "--json", str(tmp_path / "first.json")]) == 0
    assert main([*line, "--json", str(tmp_path / "again.json")]) == 0
    first, again = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("first", "again"))
    made, cached = first["usage"], again["usage"]
    assert 1 <= made["vlm_calls"] <= 6 and made["answer_calls"] == 1 and made["policy_calls"] > 1
    assert made["completion_tokens"] > 0 and made["captions_missing"] == 0
    assert (cached["vlm_calls"], cached["policy_calls"], cached["answer_calls"]) == (0, 0, 0)
    assert first["answer"] == again["answer"] and first["answer"].strip()
    assert first["key_frames"] == again["key_frames"]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(KEY.encode() in path.read_bytes() for path in files)


def test_one_served_model_captions_decides_and_answers_from_python(url, world):
    folder, rows = world
    miner = VideoMiner.from_pretrained(
        f"openai:{VLM}@{url}",
        **OTHERS,
        search="plain",
        events=2,
        max_depth=1,
        grain_s=0.0,
        default_action="continue",  # this one cannot decide
        policy_tokens=24,
        caption_tokens=24,
        cache_dir="off",
    )
    found = miner.mine(folder / rows[0]["video"], rows[0]["question"], rows[0]["options"])
    assert found.answer and found.usage.vlm_calls == 2 and found.usage.prompt_tokens > 0


def test_a_model_that_the_server_cannot_load_ends_the_run(url, world, monkeypatch, caplog):
    monkeypatch.setattr(servers, "TRIES", 2)
    caplog.set_level(logging.WARNING)
    folder, rows = world
    miner = VideoMiner.from_pretrained(f"openai:no/such-model@{url}", **OTHERS, selector="uniform", cache_dir="off")
    with pytest.raises(ModelError, match=r"openai:no/such-model@http://.*plain request fails too"):
        miner.mine(folder / rows[0]["video"], rows[0]["question"])
