"""How much goes through the frozen models at once is a setting, in training and on the command line."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("trl")

from support.tiny_models import tiny_qwen2_lm, tiny_qwen2_vl

from lmms_videominer.errors import ConfigError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.policy.cached import uncached
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.training import run as training_run
from lmms_videominer.vlm.vlm import VLMRequest


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_qwen2_vl(folder / "vl"), tiny_qwen2_lm(folder / "lm")


def batches(model, call) -> list[int]:
    """The number of rows of each prompt that reaches ``model`` in ``call``."""
    rows = []
    generate = model.generate
    model.generate = lambda **inputs: rows.append(len(inputs["input_ids"])) or generate(**inputs)
    try:
        call()
    finally:
        model.generate = generate
    return rows


def requests(count: int) -> list[VLMRequest]:
    return [VLMRequest("What?", np.full((1, 56, 56, 3), i, np.uint8), max_new_tokens=1) for i in range(count)]


def test_the_command_line_sets_the_batches_of_captioner_and_policy(models):
    vlm, policy = models
    sizes = {"vlm_batch_size": "2", "policy_batch_size": "3", "policy_tokens": "1"}
    config = from_strings({**sizes, "search": "plain", "clustering": "none", "cache_dir": "off"})
    stages = VideoMiner.from_pretrained(vlm, policy=policy, config=config, device="cpu").stages
    assert batches(stages.vlm.model, lambda: stages.vlm.generate(requests(5))) == [2, 2, 1]
    model = uncached(stages.language_model)
    assert batches(model.model, lambda: model.complete([f"prompt {i}" for i in range(7)])) == [3, 3, 1]


def test_training_sets_the_batch_of_the_captioner(models, tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text(f"video_llm: {models[0]}\noutput_dir: {tmp_path}\nuse_cpu: true\nbf16: false\nvlm_batch_size: 2\n")
    run = training_run.parse([str(file)])
    vlm = training_run._video_llm(run)
    assert batches(vlm.model, lambda: vlm.generate(requests(3))) == [2, 1]


@pytest.mark.parametrize("name", ["vlm_batch_size", "policy_batch_size"])
def test_a_batch_of_none_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name}=0: must be at least 1"):
        from_strings({name: "0"})
