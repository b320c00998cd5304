"""Tiny random image-text models, saved to a folder: what a scorer is made of."""

from __future__ import annotations

from pathlib import Path

import torch

from support.tiny_models import byte_level_tokenizer, save, sharpen

SIDE = 28  # pixels
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
OPT = {
    "model_type": "opt",
    "hidden_size": 32,
    "ffn_dim": 32,
    "word_embed_proj_dim": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 300,
}
VISION = SIZES | {"image_size": SIDE, "patch_size": 14}


def tiny_clip(folder: str | Path, seed: int = 0) -> str:
    """A CLIP of two layers a tower, 20 text tokens."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(chat_template=None)
    text = SIZES | {"vocab_size": len(tokenizer), "max_position_embeddings": 20, **_ids(tokenizer)}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16))
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return save(folder, sharpen(model), CLIPProcessor(images, tokenizer))


def tiny_siglip(folder: str | Path, seed: int = 0) -> str:
    """A SigLIP of two layers a tower; texts are padded to 16 tokens."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(chat_template=None, model_input_names=["input_ids"])
    text = SIZES | {"vocab_size": len(tokenizer), "max_position_embeddings": 16, **_ids(tokenizer)}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))
    return save(folder, sharpen(model), SiglipProcessor(SiglipImageProcessor(size=_square()), tokenizer))


def tiny_blip(folder: str | Path, seed: int = 0) -> str:
    """A BLIP with an image-text matching head."""
    from transformers import BlipConfig, BlipForImageTextRetrieval, BlipImageProcessor, BlipProcessor

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(chat_template=None)
    text = SIZES | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "encoder_hidden_size": 32,
        "sep_token_id": tokenizer.eos_token_id,
        **_ids(tokenizer),
    }
    vision = VISION | {"initializer_range": 0.02}  # BLIP's own, 1e-10, leaves nothing of the picture
    model = BlipForImageTextRetrieval(BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=16))
    return save(folder, sharpen(model), BlipProcessor(BlipImageProcessor(size=_square()), tokenizer))


def tiny_blip2(folder: str | Path, seed: int = 0) -> str:
    """A BLIP-2 with an image-text matching head."""
    from transformers import Blip2Config, Blip2ForImageTextRetrieval, Blip2Processor, BlipImageProcessor

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(chat_template=None)
    reading = SIZES | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "encoder_hidden_size": 32,
        "use_qformer_text_input": True,
    }
    vision = VISION | {"initializer_range": 0.02}
    config = Blip2Config(
        vision_config=vision, qformer_config=reading, text_config=OPT, num_query_tokens=4, image_text_hidden_size=16
    )
    model = sharpen(Blip2ForImageTextRetrieval(config))
    with torch.no_grad():
        model.query_tokens.normal_()  # zeros would see nothing
    return save(folder, model, Blip2Processor(BlipImageProcessor(size=_square()), tokenizer))


SCORERS = {"clip": tiny_clip, "siglip": tiny_siglip, "blip": tiny_blip, "blip2": tiny_blip2}


def _square() -> dict[str, int]:
    return {"height": SIDE, "width": SIDE}


def _ids(tokenizer) -> dict[str, int]:
    return {
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
