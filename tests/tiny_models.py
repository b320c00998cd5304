"""Tiny random models with tokenizers and processors, saved to a folder: offline, seeded, a second each.

Each function writes what ``from_pretrained`` needs into ``folder`` and returns it as text.
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
QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
               "<|image_pad|>", "<|video_pad|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(special_tokens: list[str] = QWEN_TOKENS, chat_template: str | None = CHAT_TEMPLATE,
                         **named: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 400 tokens over ``SENTENCES``; ``named`` sets further token attributes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special_tokens, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>",
                                   chat_template=chat_template, **named)


def text_sizes(tokenizer: PreTrainedTokenizerFast, context: int = 2048) -> dict:
    """Sizes of a two-layer text model for ``tokenizer``."""
    return {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": context,
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
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


def save(folder: str | Path, *parts) -> str:
    """Save every part into ``folder``."""
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)
