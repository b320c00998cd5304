"""Tiny random video LLMs of five architectures, each with its real processor, saved to a folder.

Frames of 224x224 need no resizing in any of them, so that what the vision tower gets is what was handed over.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_models import byte_level_tokenizer, save, sharpen, text_sizes

SIDE = 224  # a multiple of every patch grid below


def tiny_qwen2_vl(folder: str | Path) -> str:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = byte_level_tokenizer()
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    config = Qwen2VLConfig(text_config=_mrope(tokenizer), vision_config=vision, **_qwen_ids(tokenizer))
    sizes = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen2VLProcessor(Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes),
                                 chat_template=tokenizer.chat_template)  # fmt: skip
    return _saved(folder, Qwen2VLForConditionalGeneration, config, processor)


def tiny_qwen2_5_vl(folder: str | Path) -> str:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = byte_level_tokenizer()
    vision = {"depth": 1, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
              "patch_size": 14, "fullatt_block_indexes": [0]}  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=_mrope(tokenizer), vision_config=vision, **_qwen_ids(tokenizer))
    sizes = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen2_5_VLProcessor(Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes),
                                    chat_template=tokenizer.chat_template)  # fmt: skip
    return _saved(folder, Qwen2_5_VLForConditionalGeneration, config, processor)


def tiny_qwen3_vl(folder: str | Path) -> str:
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    tokenizer = byte_level_tokenizer()
    vision = {"depth": 1, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
              "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}  # fmt: skip
    text = {**_mrope(tokenizer), "head_dim": 16}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **_qwen_ids(tokenizer))
    sizes = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen3VLProcessor(Qwen2VLImageProcessor(**sizes), tokenizer, Qwen3VLVideoProcessor(**sizes),
                                 chat_template=tokenizer.chat_template)  # fmt: skip
    return _saved(folder, Qwen3VLForConditionalGeneration, config, processor)


def tiny_llava_onevision(folder: str | Path) -> str:
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    tokenizer = byte_level_tokenizer(special_tokens=special,
                                     chat_template=_plain_template("<image>", "<video>"))  # fmt: skip
    vision = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64,
              "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 14}  # fmt: skip
    text = {"model_type": "qwen2", **text_sizes(tokenizer, 8192)}
    config = LlavaOnevisionConfig(vision_config=vision, text_config=text, vision_feature_layer=-1,
                                  image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
                                  video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
                                  image_grid_pinpoints=[[SIDE, SIDE]])  # fmt: skip
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE]]), tokenizer,
        LlavaOnevisionVideoProcessor(size=size), num_image_tokens=(SIDE // 14) ** 2,
        vision_feature_select_strategy="full", chat_template=tokenizer.chat_template,
    )  # fmt: skip
    return _saved(folder, LlavaOnevisionForConditionalGeneration, config, processor)


def tiny_internvl(folder: str | Path) -> str:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>", "<img>", "</img>", "<video>"]
    tokenizer = byte_level_tokenizer(special_tokens=special, chat_template=_plain_template("<IMG_CONTEXT>", "<video>"),
                                     start_image_token="<img>", end_image_token="</img>",
                                     context_image_token="<IMG_CONTEXT>", video_token="<video>")  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": [SIDE, SIDE], "patch_size": [14, 14]}  # fmt: skip
    text = {"model_type": "qwen2", **text_sizes(tokenizer, 8192)}
    config = InternVLConfig(vision_config=vision, text_config=text, downsample_ratio=0.5,
                            image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"))  # fmt: skip
    size = {"height": SIDE, "width": SIDE}
    processor = InternVLProcessor(GotOcr2ImageProcessor(size=size), tokenizer, InternVLVideoProcessor(size=size),
                                  image_seq_length=(SIDE // 28) ** 2,
                                  chat_template=tokenizer.chat_template)  # fmt: skip
    return _saved(folder, InternVLForConditionalGeneration, config, processor)


def _saved(folder: str | Path, cls: type, config: object, processor: object) -> str:
    torch.manual_seed(0)
    return save(folder, sharpen(cls(config)), processor)


def _mrope(tokenizer: object) -> dict:
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    return {**text_sizes(tokenizer, 8192), "rope_parameters": rope}


def _qwen_ids(tokenizer: object) -> dict:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
             "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}  # fmt: skip
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def _plain_template(image: str, video: str) -> str:
    """A chat template that puts the bare placeholder of each visual before the text."""
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'video' %}" + video + "\n{% elif part.type == 'image' %}" + image + "\n"
        "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


TINY = {
    "qwen2_vl": tiny_qwen2_vl,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "llava_hf": tiny_llava_onevision,
    "internvl_hf": tiny_internvl,
}
