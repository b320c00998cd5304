"""Small tokenizers of the families of chat models: each family's class, its control tokens and how it writes a turn."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

from support.tiny_models import SENTENCES

CORPUS = [*SENTENCES, *" ".join(string.printable), "｜ ▁", string.printable] * 3
CHAT_ML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = CHAT_ML.replace("assistant\n", "assistant\n<think>\n\n</think>\n\n")
LLAMA_3 = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)
GEMMA = (
    "<bos>{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "<start_of_turn>model\n"
)
MISTRAL = "<s>{% for m in messages %}[INST] {{ m.content }}[/INST]{% endfor %}"
PHI = "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}<|assistant|>\n"
DEEPSEEK = "<｜begin▁of▁sentence｜>{% for m in messages %}<｜User｜>{{ m.content }}{% endfor %}<｜Assistant｜>"


@dataclass(frozen=True)
class Family:
    """A class of tokenizers in transformers, its special tokens, added ones that are not special, its template."""

    cls: str
    template: str
    special: tuple[str, ...]
    added: tuple[str, ...] = ()

    @property
    def control(self) -> tuple[str, ...]:
        return (*self.special, *self.added)

    def tokenizer(self) -> Any:
        import transformers

        tokenizer = getattr(transformers, self.cls)().train_new_from_iterator(CORPUS, 500)
        tokenizer.add_tokens([_token(text, True) for text in self.special], special_tokens=True)
        tokenizer.add_tokens([_token(text, False) for text in self.added])
        tokenizer.chat_template = self.template
        tokenizer.eos_token = tokenizer.pad_token = self.special[0]
        return tokenizer


def _token(text: str, special: bool) -> Any:
    from tokenizers import AddedToken

    return AddedToken(text, special=special, normalized=False)


QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|video_pad|>", "<|image_pad|>")
FAMILIES = {
    "Qwen2": Family("Qwen2Tokenizer", CHAT_ML, QWEN),
    "Qwen2.5": Family("Qwen2Tokenizer", CHAT_ML, QWEN, ("<|fim_prefix|>", "<|repo_name|>")),
    "Qwen3": Family("Qwen2Tokenizer", THINKING, QWEN, ("<think>", "</think>")),
    "Llama-3": Family(
        "GPT2Tokenizer",
        LLAMA_3,
        ("<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
    ),
    "Gemma": Family("GemmaTokenizer", GEMMA, ("<eos>", "<bos>", "<pad>"), ("<start_of_turn>", "<end_of_turn>")),
    "Mistral": Family("LlamaTokenizer", MISTRAL, ("</s>", "<s>", "[INST]", "[/INST]")),
    "Phi-3": Family("LlamaTokenizer", PHI, ("<|endoftext|>", "<|end|>", "<|assistant|>"), ("<|user|>", "<|system|>")),
    "DeepSeek": Family(
        "GPT2Tokenizer",
        DEEPSEEK,
        ("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"),
        ("<｜User｜>", "<｜Assistant｜>"),
    ),
    "SmolLM2": Family("GPT2Tokenizer", CHAT_ML, ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<repo_name>")),
}
