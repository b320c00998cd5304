"""Any CLIP, SigLIP or BLIP-ITM gives the scores that transformers' own forward pass gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_models import save, tiny_qwen2_lm
from support.tiny_scorers import OPT, SCORERS, SIZES, VISION, tiny_blip
from transformers import AutoModel, AutoProcessor, Blip2ForImageTextRetrieval, BlipForImageTextRetrieval

from lmms_videominer.errors import ModelError
from lmms_videominer.scoring import load_scorer

TEXTS = ["where is the red disc?", "describe what these frames show", "one"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in SCORERS.items()}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((1, 20, 28, 1), np.uint8))


@pytest.mark.parametrize("name", SCORERS)
def test_scores_have_a_row_a_frame_and_tell_frames_and_texts_apart(name, folders, frames):
    scores = load_scorer(folders[name], "cpu").score(frames, TEXTS)
    assert scores.shape == (5, 3) and scores.dtype == np.float32
    low, high = (0, 1) if name.startswith("blip") else (-1, 1)
    assert (scores >= low).all() and (scores <= high).all()
    assert len(np.unique(scores.round(6))) > 10


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_logits_of_a_dual_encoder_are_the_models_own_less_its_bias(name, folders, frames):
    scorer, model = load_scorer(folders[name], "cpu"), AutoModel.from_pretrained(folders[name])
    padding = {"padding": "max_length", "max_length": 16} if name == "siglip" else {"padding": True}
    processor = AutoProcessor.from_pretrained(folders[name])
    with torch.no_grad():
        given = processor(images=list(frames), text=TEXTS, truncation=True, return_tensors="pt", **padding)
        own = model(**given).logits_per_image.numpy()
    bias = model.logit_bias.item() if name == "siglip" else 0.0
    np.testing.assert_allclose(scorer.logits(scorer.score(frames, TEXTS)), own - bias, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["blip", "blip2"])
def test_the_score_of_a_blip_is_its_matching_heads_probability(name, folders, frames):
    own = np.stack([own_logits(folders[name], frames, text) for text in TEXTS], axis=1)  # [5, 3, 2]
    odds = own[..., 1] - own[..., 0]
    scorer = load_scorer(folders[name], "cpu")
    scores = scorer.score(frames, TEXTS)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-odds)), atol=1e-5)
    inside = (scores > 1e-3) & (scores < 1 - 1e-3)
    np.testing.assert_allclose(scorer.logits(scores)[inside], odds[inside], rtol=1e-2, atol=1e-2)


def own_logits(folder: str, frames: np.ndarray, text: str) -> np.ndarray:
    """float64 [n, 2]: what transformers' forward pass says of ``frames`` and ``text``."""
    processor = AutoProcessor.from_pretrained(folder)
    given = processor(images=list(frames), text=[text] * len(frames), return_tensors="pt")
    given.pop("token_type_ids", None)
    with torch.no_grad():
        if "blip2" in folder:
            model = Blip2ForImageTextRetrieval.from_pretrained(folder)
            return model(**given, use_image_text_matching_head=True).logits_per_image.double().numpy()
        return BlipForImageTextRetrieval.from_pretrained(folder)(**given).itm_score.double().numpy()


@pytest.mark.parametrize("name", SCORERS)
def test_a_frames_score_does_not_hang_on_what_is_scored_beside_it(name, folders, frames):
    scorer = load_scorer(folders[name], "cpu")
    together = scorer.score(frames, TEXTS)
    object.__setattr__(scorer, "batch_size", 2)
    np.testing.assert_allclose(scorer.score(frames, TEXTS), together, atol=1e-5)
    np.testing.assert_allclose(scorer.score(frames[2:3], TEXTS[1:2]), together[2:3, 1:2], atol=1e-5)


@pytest.mark.parametrize("name", SCORERS)
def test_a_text_longer_than_the_model_reads_is_cut(name, folders, frames):
    scorer = load_scorer(folders[name], "cpu")
    assert np.isfinite(scorer.score(frames[:1], ["why " * 2500])).all()


@pytest.mark.parametrize("name", SCORERS)
def test_no_frames_or_no_texts_give_no_scores(name, folders, frames):
    scorer = load_scorer(folders[name], "cpu")
    assert scorer.score(frames[:0], TEXTS).shape == (0, 3)
    assert scorer.score(frames, []).shape == (5, 0)


def test_identity_follows_the_weights(folders, tmp_path):
    first, again, other = (
        load_scorer(f, "cpu").identity for f in (folders["clip"], folders["clip"], SCORERS["clip"](tmp_path, seed=1))
    )
    assert first == again != other


def test_a_model_that_compares_no_images_is_refused_by_its_class(tmp_path):
    with pytest.raises(ModelError, match=r"scorer .*Qwen2Model, which does not compare images with texts"):
        load_scorer(tiny_qwen2_lm(tmp_path), "cpu")


def test_a_model_that_writes_about_images_is_refused_and_not_given_a_random_head(tmp_path):
    from transformers import Blip2Config, Blip2ForConditionalGeneration, BlipConfig, BlipForConditionalGeneration

    processor = AutoProcessor.from_pretrained(tiny_blip(tmp_path / "scorer"))
    text = {**SIZES, "vocab_size": 300, "encoder_hidden_size": 32}
    blip = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=VISION))
    with pytest.raises(ModelError, match=r"lacks weights of a BlipForImageTextRetrieval \(itm_head.bias, itm_head"):
        load_scorer(save(tmp_path / "blip", blip, processor), "cpu")
    blip2 = Blip2ForConditionalGeneration(Blip2Config(vision_config=VISION, text_config=OPT, qformer_config=text))
    with pytest.raises(ModelError, match=r"lacks weights of a Blip2ForImageTextRetrieval .* and \d+ more"):
        load_scorer(save(tmp_path / "blip2", blip2, processor), "cpu")


def test_an_absent_model_is_named_with_the_way_out(tmp_path):
    with pytest.raises(ModelError, match=r"scorer '.*/absent' cannot be loaded"):
        load_scorer(str(tmp_path / "absent"), "cpu")


@pytest.mark.parametrize("name", SCORERS)
def test_special_tokens_in_a_text_are_text(name, folders, frames):
    scorer = load_scorer(folders[name], "cpu")
    tokenizer = scorer.processor.tokenizer
    special = tokenizer.all_special_ids
    assert special
    for token in tokenizer.all_special_tokens:
        ids = [scorer._tokens([text])["input_ids"][0].tolist() for text in ("a red disc", f"a{token}")]
        of_harmless, of_hostile = ([i for i in row if i in special and i != tokenizer.pad_token_id] for row in ids)
        assert of_hostile == of_harmless
        assert token in tokenizer.decode(ids[1]).replace(" ", "")
    plain, ended = (scorer.score(frames, [text]) for text in ("a red disc", f"{tokenizer.eos_token} a red disc"))
    assert not np.allclose(plain, ended)  # it is read, not passed over


def test_the_special_tokens_of_clip_are_text_in_either_case():
    """CLIP's tokenizer lowers the case before it looks for them."""
    from support.chat_families import CORPUS
    from transformers import CLIPTokenizer

    from lmms_videominer.scoring.transformers_scorer import text_inputs

    tokenizer = CLIPTokenizer().train_new_from_iterator(CORPUS, 600)
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    for text in ("a <|endoftext|> b", "<|ENDOFTEXT|>", "<|startoftext|>x<|startoftext|>"):
        ids = text_inputs(tokenizer, [text], 77)["input_ids"][0].tolist()
        assert (ids[0], ids[-1]) == (start, end)
        assert start not in ids[1:] and end not in ids[:-1]
    assert text_inputs(tokenizer, ["a b"], 77)["input_ids"].tolist() == [tokenizer("a b")["input_ids"]]
