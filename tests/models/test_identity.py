"""What tells one model from another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from support.tiny_models import tiny_qwen2_lm

from lmms_videominer.models.identity import model_identity, module_identity


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory):
    return Path(tiny_qwen2_lm(tmp_path_factory.mktemp("lm")))


def test_a_copy_of_a_folder_has_the_same_identity(lm_folder, tmp_path):
    copy = shutil.copytree(lm_folder, tmp_path / "copy")
    (copy / "README.md").write_text("a model card")
    (copy / "optimizer.pt").write_bytes(b"training state")
    (copy / "checkpoint-1").mkdir()
    (copy / "checkpoint-1" / "config.json").write_text("{}")
    assert model_identity(str(copy)) == model_identity(str(lm_folder))


def test_other_weights_or_another_configuration_change_the_identity(lm_folder, tmp_path):
    other = tiny_qwen2_lm(tmp_path / "other", seed=1)
    edited = shutil.copytree(lm_folder, tmp_path / "edited")
    config = json.loads((edited / "config.json").read_text())
    (edited / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    assert len({model_identity(str(folder)) for folder in (lm_folder, other, edited)}) == 3


def test_large_files_are_told_apart_by_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("lmms_videominer.models.identity._WHOLE_BYTES", 1000)
    weights = tmp_path / "model.safetensors"
    content = bytearray(os.urandom(3 * 2**20))
    weights.write_bytes(content)
    before = model_identity(str(tmp_path))
    content[-1] ^= 1  # the last byte alone
    weights.write_bytes(content)
    assert model_identity(str(tmp_path)) != before


def test_a_hub_name_that_is_not_cached_keeps_its_name():
    assert model_identity("nobody/no-such-model") == "nobody/no-such-model@unknown"
    assert model_identity("not a name") == "not a name@unknown"


def test_an_adapters_identity_is_that_of_its_base_model_too(lm_folder, tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(lm_folder, base)
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    before = model_identity(adapter)
    (base / "config.json").write_text((base / "config.json").read_text() + " ")
    assert model_identity(adapter) != before


def test_a_models_identity_in_memory_follows_its_weights():
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    before = module_identity(module)
    assert module_identity(module) == before
    with torch.no_grad():
        module.bias[1] += 1e-3
    assert module_identity(module) != before
