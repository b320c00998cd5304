"""Creates models with random weights in the shapes of the recipes' models, to measure costs without the hub.

    python benchmarks/real_size.py outputs/real-size --tokenizer Qwen/Qwen2-VL-7B-Instruct

Writes ``qwen2-vl-7b``, ``qwen2.5-1.5b`` and ``clip-vit-l-14`` (bfloat16, 21 GB in total), each with the files that
``from_pretrained`` needs. Their generated texts are meaningless and run to the token limit, so seconds are an upper
bound for such a call.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

# sizes from the models' config.json; the embedding has more rows than there are tokens
QWEN2_7B = {
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
}
QWEN2_1_5B = {
    "vocab_size": 151936,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
VISION = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "num_heads": 16,
    "mlp_ratio": 4,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
CLIP_L_14 = {
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
    },
    "text_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
    },
    "projection_dim": 768,
}


def qwen2_vl_7b(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, Any]:
    """Model and processor with the shape of Qwen2-VL-7B-Instruct."""
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    text = QWEN2_7B | {"rope_parameters": rope, **_ends(tokenizer)}
    vision_tokens = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in (
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
            ("image", "image_pad"),
            ("video", "video_pad"),
        )
    }
    config = Qwen2VLConfig(text_config=text, vision_config=VISION, **vision_tokens)
    sizes = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(**sizes), tokenizer, Qwen2VLVideoProcessor(**sizes), chat_template=tokenizer.chat_template
    )
    return Qwen2VLForConditionalGeneration(config), processor


def qwen2_5_1_5b(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, Any]:
    """Model and tokenizer with the shape of Qwen2.5-1.5B-Instruct."""
    return Qwen2ForCausalLM(Qwen2Config(**QWEN2_1_5B | _ends(tokenizer))), tokenizer


def clip_vit_l_14(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, Any]:
    """Model and processor with the shape of CLIP ViT-L/14, but with Qwen's vocabulary."""
    text = CLIP_L_14["text_config"] | {"vocab_size": len(tokenizer), **_ends(tokenizer)}
    return CLIPModel(CLIPConfig(**CLIP_L_14 | {"text_config": text})), CLIPProcessor(CLIPImageProcessor(), tokenizer)


MODELS = {"qwen2-vl-7b": qwen2_vl_7b, "qwen2.5-1.5b": qwen2_5_1_5b, "clip-vit-l-14": clip_vit_l_14}


def _ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", default="Qwen/Qwen2-VL-7B-Instruct", help="hub name or folder")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    torch.set_default_dtype(torch.bfloat16)
    for name, make in MODELS.items():
        torch.manual_seed(arguments.seed)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model, processor = make(tokenizer)
        model.save_pretrained(arguments.out / name)
        processor.save_pretrained(arguments.out / name)
        print(f"{arguments.out / name}: {sum(p.numel() for p in model.parameters()) / 1e9:.2f} x 10^9 parameters")
        del model


if __name__ == "__main__":
    main()
