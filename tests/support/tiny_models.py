"""Tiny random models with tokenizers and processors, saved to a folder: offline, seeded, a second each.

Each function writes what ``from_pretrained`` needs into ``folder`` and returns it as text. The video LLMs take frames
of ``side`` x ``side`` pixels, a multiple of 28, as they are: what the vision tower gets is what was handed over.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

SENTENCES = [
    "You search a long video for the moments that answer a question.",
    "Describe what these frames show, with what matters for the question: where is the red disc?",
    "Reply as <think>reasoning</think><action>accept, continue or delete</action>",
    "A. one B. two C. three D. four. Answer with the option's letter from the given choices directly.",
]
QWEN_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(
    special_tokens: list[str] = QWEN_TOKENS, chat_template: str | None = CHAT_TEMPLATE, **named: str
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 400 tokens over ``SENTENCES``; ``named`` sets further token attributes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special_tokens,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=chat_template,
        **named,
    )


def text_sizes(tokenizer: PreTrainedTokenizerFast, context: int = 2048) -> dict:
    """Sizes of a two-layer text model for ``tokenizer``."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": context,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def sharpen(model: torch.nn.Module) -> torch.nn.Module:
    """Scale the weights so that greedy texts differ between inputs instead of repeating one token."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() > 1 and "norm" not in name:
                value.mul_(8.0)
    return model.eval()


def tiny_qwen2_lm(folder: str | Path, seed: int = 0, context: int = 2048, chat: bool = True) -> str:
    """A Qwen2 causal LM of two layers."""
    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(chat_template=CHAT_TEMPLATE if chat else None)
    model = Qwen2ForCausalLM(Qwen2Config(**text_sizes(tokenizer, context), tie_word_embeddings=True))
    return save(folder, sharpen(model), tokenizer)


VISION = {"depth": 1, "num_heads": 2, "in_channels": 3, "spatial_merge_size": 2}
LLM_CONTEXT = 8192  # tokens: a prompt of lmms-eval with a few frames
SMALL, LARGE = 56, 224  # sides: quick ones, and ones that every preprocessing of lmms-eval's backbones leaves alone


def area(side: int, frames: int = 1) -> dict[str, int]:
    """Sizes of a Qwen processor, in pixels, between which ``frames`` of 56 to 1.5 times ``side`` are not resized."""
    return {"shortest_edge": SMALL**2, "longest_edge": (side * 3 // 2) ** 2 * frames}


def qwen_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """The ids that Qwen's configurations name."""
    names = {
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
    }
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def mrope(sections: list[int]) -> dict:
    """Rotary settings of Qwen's text models: ``sections`` of half a head for time, height, width."""
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}


def tiny_qwen2_vl(folder: str | Path, seed: int = 0, side: int = SMALL, temporal_patch_size: int = 2) -> str:
    """A Qwen2-VL of two text layers and one vision block, patch 14."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer()
    text = text_sizes(tokenizer, LLM_CONTEXT) | {"rope_parameters": mrope([4, 2, 2])}
    vision = VISION | {
        "embed_dim": 32,
        "hidden_size": 32,
        "mlp_ratio": 2,
        "patch_size": 14,
        "temporal_patch_size": temporal_patch_size,
    }
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **qwen_ids(tokenizer))
    sizes = {"patch_size": 14, "temporal_patch_size": temporal_patch_size, "merge_size": 2, "size": area(side)}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=CHAT_TEMPLATE
    )
    return save(folder, sharpen(Qwen2VLForConditionalGeneration(config)), processor)


def tiny_qwen2_5_vl(folder: str | Path, seed: int = 0, side: int = SMALL) -> str:
    """A Qwen2.5-VL of two text layers and one vision block, patch 14."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer()
    text = text_sizes(tokenizer, LLM_CONTEXT) | {"rope_parameters": mrope([4, 2, 2])}
    vision = VISION | {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 64,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "window_size": 56,
        "fullatt_block_indexes": [0],
        "tokens_per_second": 2,
    }
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **qwen_ids(tokenizer))
    sizes = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "size": area(side)}
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=CHAT_TEMPLATE
    )
    return save(folder, sharpen(Qwen2_5_VLForConditionalGeneration(config)), processor)


def tiny_qwen3_vl(folder: str | Path, seed: int = 0, side: int = SMALL) -> str:
    """A Qwen3-VL of two text layers and one vision block, patch 14; its prompt holds the frames' times."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer()
    text = text_sizes(tokenizer, LLM_CONTEXT) | {"head_dim": 16, "rope_parameters": mrope([4, 2, 2])}
    vision = VISION | {
        "hidden_size": 32,
        "out_hidden_size": 32,
        "intermediate_size": 64,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "num_position_embeddings": 36,
        "deepstack_visual_indexes": [0],
    }
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **qwen_ids(tokenizer))
    sizes = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(**sizes, size=area(side)),
        tokenizer,
        Qwen3VLVideoProcessor(**sizes, size=area(side, 64)),
        chat_template=CHAT_TEMPLATE,
    )
    return save(folder, sharpen(Qwen3VLForConditionalGeneration(config)), processor)


LLAVA_TEMPLATE = CHAT_TEMPLATE.replace("<|vision_start|><|video_pad|><|vision_end|>", "<video>").replace(
    "<|vision_start|><|image_pad|><|vision_end|>", "<image>"
)


def tiny_llava_onevision(folder: str | Path, seed: int = 0, side: int = SMALL) -> str:
    """A LLaVA-OneVision: a SigLIP of one block over ``side`` pixels, a Qwen2 of two layers."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"], LLAVA_TEMPLATE
    )
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": 14,
        "vision_use_head": False,
    }
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", **text_sizes(tokenizer, LLM_CONTEXT)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[side, side]],
        vision_feature_layer=-1,
        vision_aspect_ratio="anyres_max_9",
    )
    square = {"height": side, "width": side}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=square, image_grid_pinpoints=[[side, side]]),
        tokenizer,
        LlavaOnevisionVideoProcessor(size=square),
        num_image_tokens=(side // 14) ** 2,
        vision_feature_select_strategy="full",
        chat_template=LLAVA_TEMPLATE,
    )
    return save(folder, sharpen(LlavaOnevisionForConditionalGeneration(config)), processor)


def tiny_internvl(folder: str | Path, seed: int = 0, side: int = SMALL) -> str:
    """An InternVL (transformers' own): a vision model of one block over ``side`` pixels, a Qwen2 of two layers."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    torch.manual_seed(seed)
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    template = LLAVA_TEMPLATE.replace("<image>", "<IMG_CONTEXT>")
    tokenizer = byte_level_tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values()], template, extra_special_tokens=named
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": [side, side],
        "patch_size": [14, 14],
    }
    config = InternVLConfig(
        vision_config=vision,
        text_config={"model_type": "qwen2", **text_sizes(tokenizer, LLM_CONTEXT)},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(side // 28) ** 2,
    )
    square = {"height": side, "width": side}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=square),
        tokenizer,
        InternVLVideoProcessor(size=square),
        image_seq_length=(side // 28) ** 2,
        chat_template=template,
    )
    return save(folder, sharpen(InternVLForConditionalGeneration(config)), processor)


VIDEO_MODELS = {  # by the names of the backbones in lmms-eval
    "qwen2_vl": tiny_qwen2_vl,
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen3_vl": tiny_qwen3_vl,
    "llava_hf": tiny_llava_onevision,
    "internvl_hf": tiny_internvl,
}


def save(folder: str | Path, *parts) -> str:
    """Save every part into ``folder``."""
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)
