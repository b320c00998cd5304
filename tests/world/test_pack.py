"""A bundle is put together part by part, its weights in half precision, with a card that tells how each was trained."""

from __future__ import annotations

import json

import torch
from support.tiny_models import tiny_qwen2_lm
from transformers import AutoModelForCausalLM

from lmms_videominer.models.bundle import find_bundle
from lmms_videominer.world.pack import pack


def test_a_part_replaces_its_like_and_the_others_stay(tmp_path):
    policy, out = tmp_path / "trained", tmp_path / "bundle"
    tiny_qwen2_lm(policy)
    for part in ("vlm", "embedder", "policy"):
        (out / part).mkdir(parents=True)
    (out / "policy" / "old.txt").touch()
    (out / "bundle.json").write_text(json.dumps({"vlm": "vlm", "policy": "policy", "embedder": "embedder"}))

    pack({"policy": policy, "start": policy}, out, {}, {"policy": "Trained by hand."})

    bundle = find_bundle(out)
    assert bundle and bundle.vlm == str(out / "vlm") and bundle.start == str(out / "start")
    assert not (out / "policy" / "old.txt").exists()
    assert "Trained by hand." in (out / "policy" / "README.md").read_text()


def test_weights_are_stored_in_half_precision_and_loaded_in_single(tmp_path):
    tiny_qwen2_lm(tmp_path / "trained")
    pack({"policy": tmp_path / "trained"}, tmp_path / "bundle", {}, {})

    size = [(tmp_path / folder / "model.safetensors").stat().st_size for folder in ("trained", "bundle/policy")]
    before, after = (
        AutoModelForCausalLM.from_pretrained(tmp_path / folder, dtype="auto") for folder in ("trained", "bundle/policy")
    )
    assert size[1] < 0.6 * size[0]
    for name, weights in after.state_dict().items():
        assert weights.dtype == torch.float32
        torch.testing.assert_close(weights, before.state_dict()[name].half().float(), rtol=0, atol=0)


def test_the_card_tells_the_rollouts_of_training_and_leaves_its_files_out(tmp_path):
    tiny_qwen2_lm(tmp_path / "trained")
    history = [
        {"step": 1, "tree/reward": 0.25, "reward": 1.5},
        {"step": 2, "loss": 0.1},
        {"step": 5, "tree/reward": 0.75, "reward": 2.25},
    ]
    (tmp_path / "trained" / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    (tmp_path / "trained" / "checkpoint-4").mkdir()
    (tmp_path / "trained" / "sound").mkdir()  # the policy that a start comes of
    pack({"policy": tmp_path / "trained"}, tmp_path / "bundle", {}, {})

    card = (tmp_path / "bundle" / "policy" / "README.md").read_text()
    assert "| 1 | 0.25 | 1.5 |" in card and "| 5 | 0.75 | 2.25 |" in card and "\n| 2 |" not in card
    assert {"trainer_state.json", "checkpoint-4", "sound"}.isdisjoint(
        p.name for p in (tmp_path / "bundle" / "policy").iterdir()
    )
