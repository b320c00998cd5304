"""The byte-level BPE of the small models: the world's words are single tokens, other text takes several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.policy.prompt import policy_completion, policy_prompt
from lmms_videominer.vlm.prompts import ANSWER_SUFFIX, caption_prompt
from lmms_videominer.world import language
from lmms_videominer.world.questions import write_questions
from lmms_videominer.world.script import write_script

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
SYSTEM_PROMPT = "You are a helpful assistant."
# the layout of Qwen2-VL's turns, with visuals at their position in the content
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message.role != 'system' %}<|im_start|>system\n" + SYSTEM_PROMPT + "<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'video' or 'video' in part %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' or 'image' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(seed: int = 0, vocab_size: int = 1024) -> PreTrainedTokenizerFast:
    """Train on the texts of ``train`` worlds; ``vocab_size`` includes the bytes, the special tokens and the merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator(_texts(seed), trainer)
    return Qwen2Tokenizer(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        bos_token=None,
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
        padding_side="left",  # for batched generation
    )


def _texts(seed: int):
    for index in range(40):
        script = write_script(seed, index, (1, 5, 15, 60)[index % 4])
        for question in write_questions(script, 10):
            states = [script.state_at(t) for t in np.linspace(0, script.duration_s - 0.1, 4)]
            caption = language.caption(states)
            action, reasoning = language.decide(question, [language.collapse_repeats(states)], 1, 3)
            yield language.question_prompt(question)
            yield language.question_prompt(question, ANSWER_SUFFIX)
            yield language.answer_text(question, [m.board for s in question.scenes for m in s.moments])
            yield caption_prompt(question.text)
            yield caption
            yield policy_prompt(question.text, caption, 1, 3)
            yield policy_completion(reasoning, action)
        yield SYSTEM_PROMPT + "\nsystem\nuser\nassistant\n 0 1 2 3 4 5 6 7 8 9 (A) (B) (C) (D) A. B. C. D."
