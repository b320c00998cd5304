"""T-GRPO in seconds: films of plain scenes, a captioner that names colours, a policy of two layers and few words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.prompt import policy_completion
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.training.config import TGRPOConfig
from lmms_videominer.training.trainer import TGRPOTrainer
from lmms_videominer.types import Action
from support.scripted import ColourVLM, always, colour_video
from support.tiny_models import save, sharpen, text_sizes

# one process, no GPU, nothing on the hub; long steps, so that a difference in the gradients shows in the weights
QUICK: dict[str, Any] = dict(
    use_cpu=True,
    bf16=False,
    gradient_checkpointing=False,
    report_to="none",
    save_strategy="no",
    logging_steps=1,
    disable_tqdm=True,
    dataloader_pin_memory=False,
    learning_rate=0.5,
    optim="sgd",
    lr_scheduler_type="constant",
    max_grad_norm=0.0,
    num_generations=4,
    per_device_train_batch_size=8,
    max_completion_length=3,
    max_steps=2,
    beta=0.04,
    seed=3,
)
MINING = MinerConfig(
    search="plain",
    frames=2,
    events=4,
    scan_frames=32,
    caption_frames=1,
    max_depth=2,
    clustering="none",
    grain_s=0,
    cache_dir="off",
)
ONE_DECISION = dataclasses.replace(MINING, max_nodes=1)


def films(folder: Path, count: int = 4) -> Dataset:
    """Questions on ``count`` films of five scenes each; which option is right alternates."""
    colours = ["red", "green", "blue", "yellow", "white"]
    rows = []
    for i in range(count):
        scenes = [(colours[(i + k) % 5], 2.0) for k in range(5)]
        rows.append(
            {
                "id": f"film-{i}",
                "video": colour_video(folder / f"{i}.mp4", scenes),
                "question": "What is seen?",
                "options": [
                    f"a scene in {colours[i % 5]}",
                    f"a scene in {colours[(i + 1) % 5]} and {colours[(i + 3) % 5]}",
                ],
                "answer": "AB"[i % 2],
            }
        )  # B: two uniform frames
    return Dataset.from_list(rows)


WORDS = ["a", "scene", "in", "and", "red", "green", "blue", "yellow", "white", "1", "2"]
REPLIES = [policy_completion("so", action) for action in Action]  # each of them one token of the policy's


def policy_folder(folder: Path) -> str:
    """A random policy that knows few words: some of its replies follow the format, and name every action."""
    torch.manual_seed(5)
    vocabulary = ["<pad>", "<eos>", "<unk>", *REPLIES, *(action.value for action in Action), *WORDS]
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    model = Qwen2ForCausalLM(Qwen2Config(**text_sizes(tokenizer), tie_word_embeddings=False))
    return save(folder, sharpen(model), tokenizer)


def trainer(
    model: Any,
    questions: Dataset,
    folder: Path,
    mining: MinerConfig = MINING,
    callbacks: Any = None,
    rest: dict[str, Any] | None = None,
    **settings: Any,
) -> TGRPOTrainer:
    args = TGRPOConfig(output_dir=str(folder), **{**QUICK, "target_length": 4, "length_sigma": 2.0, **settings})
    stages = build_stages(mining, ColourVLM(), always(Action.ACCEPT))
    return TGRPOTrainer(model, args, stages, questions, mining, callbacks=callbacks, **(rest or {}))
