"""A bundle named as the model: its video LLM is the backbone's, its policy decides, its arguments are defaults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.evaluation import SETTINGS, evaluate, note_of, summary_in
from support.tiny_models import tiny_qwen2_lm

from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms.arguments import split
from lmms_videominer.models import drawn_films
from lmms_videominer.models.bundle import BUNDLED, NOT_A_WORLD_VIDEO
from lmms_videominer.store.selection_json import load


@pytest.fixture
def bundle(tmp_path, tiny) -> Path:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny("qwen2_vl"), folder / "vlm")
    tiny_qwen2_lm(folder / "policy")
    (folder / "embedder").mkdir()
    entries = {"vlm": "vlm", "policy": "policy", "embedder": "embedder", "vlm_args": {"max_pixels": 50176}}
    (folder / "bundle.json").write_text(json.dumps(entries))
    return folder


@pytest.mark.evaluates
@pytest.mark.parametrize("model", ["videominer", "videominer_qwen2vl"])
def test_its_policy_decides(model, bundle, task, tmp_path):
    arguments = f"pretrained={bundle},clustering=none,{SETTINGS}"
    samples = evaluate(tmp_path / "out", model, arguments, "tiny_video", task)

    tree = load(note_of(samples[0])["tree"])
    decided = [node.decision for node in tree.nodes if node.decision]
    assert decided and all(decision.completion_ids for decision in decided)  # a causal LM, not the backbone
    assert tree.config["policy"] == str(bundle / "policy")
    assert tree.usage.seconds["answer"] > 0 and tree.usage.seconds["policy"] > 0


def test_its_arguments_are_defaults_that_the_users_own_replace(bundle):
    from lmms_videominer.lmms.wrapper import _with_bundle

    plain = _with_bundle(split({"pretrained": str(bundle)}))
    own = _with_bundle(split({"pretrained": str(bundle), "max_pixels": 3136, "policy": "mine"}))

    assert plain.passed == {"max_pixels": 50176, "pretrained": str(bundle / "vlm")}
    assert (plain.config.policy, plain.config.embedder) == (str(bundle / "policy"), str(bundle / "embedder"))
    assert own.passed["max_pixels"] == 3136 and own.config.policy == "mine"


def test_a_model_that_is_no_bundle_needs_its_backbone_named(tmp_path):
    from lmms_videominer.lmms.wrapper import Chat

    with pytest.raises(ConfigError, match="needs backbone="):
        Chat.create_from_arg_string("pretrained=some/model")
    with pytest.raises(ConfigError, match=r"'qwen2_vll'.*did you mean 'qwen2_vl'"):
        Chat.create_from_arg_string("pretrained=some/model,backbone=qwen2_vll")


@pytest.mark.evaluates
@pytest.mark.parametrize("selector", ["uniform", "topk"])
def test_films_that_the_bundled_models_do_not_know_are_warned_of_once_and_counted(
    selector, task, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(drawn_films, "_told", [])
    arguments = f"pretrained={BUNDLED},selector={selector},frames=2"
    samples = evaluate(tmp_path / "out", "videominer_qwen2vl", arguments, "tiny_video", task)
    assert samples and all(NOT_A_WORLD_VIDEO in note_of(sample)["fallbacks"] for sample in samples)
    assert len([record for record in caplog.records if record.name == drawn_films.__name__]) == 1
    assert summary_in(tmp_path / "out")["all"]["not_world_videos"] == len(samples)
