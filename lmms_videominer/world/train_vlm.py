"""Train the world's Qwen2-VL on ``train`` seeds: ``python -m lmms_videominer.world.train_vlm``.

It learns to caption frames, to answer questions from frames, and to caption an event and decide about it in one reply.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from lmms_videominer.world.curriculum import (
    Lesson,
    blind_lesson,
    caption_lesson,
    draw_script,
    judge_lesson,
    named_lesson,
    question_lesson,
    reading_lesson,
)
from lmms_videominer.world.learning import Learner, padded_length
from lmms_videominer.world.tokenizer import SYSTEM_PROMPT, train_tokenizer

SIDE = 84  # pixels of the model's input
TRAIN_SEED, DEV_SEED = 11, 1_000_011  # worlds of the train and of the dev range


def build(folder: Path, seed: int) -> tuple[Any, Any]:
    """A randomly initialised Qwen2-VL of about 3.5 M parameters with its processor; saves both to ``folder``."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    torch.manual_seed(seed)
    tokenizer = train_tokenizer()
    ids: dict[str, Any] = {
        token: tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for token in ("image_pad", "video_pad", "vision_start", "vision_end", "im_end", "endoftext")
    }
    width = 192
    config = Qwen2VLConfig(
        # one frame per temporal patch: frames of a selection may be minutes apart
        vision_config={
            "depth": 4,
            "embed_dim": 144,
            "hidden_size": width,
            "num_heads": 4,
            "mlp_ratio": 3,
            "patch_size": 14,
            "temporal_patch_size": 1,
            "spatial_merge_size": 2,
        },
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 512,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "num_key_value_heads": 3,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "bos_token_id": None,
            "eos_token_id": ids["im_end"],
            "pad_token_id": ids["endoftext"],
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = ids["im_end"]
    model.generation_config.pad_token_id = ids["endoftext"]
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    pixels: dict[str, Any] = {"temporal_patch_size": 1, "size": size}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        video_processor=Qwen2VLVideoProcessor(**pixels),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def load(folder: Path) -> tuple[Any, Any]:
    """Load the model and the processor of an earlier run."""
    from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

    return Qwen2VLForConditionalGeneration.from_pretrained(folder), Qwen2VLProcessor.from_pretrained(folder)


def quicken(model: Any) -> None:
    """Exchange what is slow on a CPU: attention by one call per frame, patches by a convolution, fused attention.

    Frames have the same size here, so that one call attends within all of them. The results are the same.
    """
    from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision

    def forward(self, hidden_states, cu_seqlens, position_embeddings, **kwargs):
        length, frames = hidden_states.shape[0], len(cu_seqlens) - 1
        q, k, v = self.qkv(hidden_states).reshape(length, 3, self.num_heads, -1).unbind(1)  # [L, heads, d]
        q, k = apply_rotary_pos_emb_vision(q, k, *position_embeddings)
        q, k, v = (x.reshape(frames, length // frames, self.num_heads, -1).transpose(1, 2) for x in (q, k, v))
        weights = ((q * self.scaling) @ k.transpose(-1, -2)).softmax(-1).to(v.dtype)  # [frames, heads, P, P]
        return self.proj((weights @ v.to(weights.dtype)).transpose(1, 2).reshape(length, -1))

    def embed(self, patches):
        weight = self.proj.weight
        return torch.nn.functional.linear(patches.view(-1, weight[0].numel()), weight.flatten(1), self.proj.bias)

    model.set_attn_implementation("eager")
    model.model.visual.patch_embed.forward = MethodType(embed, model.model.visual.patch_embed)
    for block in model.model.visual.blocks:
        block.attn.forward = MethodType(forward, block.attn)


class Lessons(IterableDataset):
    """An endless stream of batches of lessons; each worker draws its own.

    Of ten batches three hold captions of frames, one questions without frames, one judged captions, and five questions
    with frames: ``named`` of these are of the kinds that come only if named. The first ``warmup`` batches hold captions
    of four frames. Of ``1 + readings`` batches all but the first hold questions of these kinds with given readings.
    """

    def __init__(self, processor: Any, batch: int, seed: int, warmup: int, named: int, readings: int):
        self.processor, self.batch, self.seed, self.warmup = processor, batch, seed, warmup
        self.named, self.readings = (6, 2, 8, 4, 1)[:named], readings

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        rng = np.random.default_rng([self.seed, worker])
        number = worker
        while True:
            yield collate(self._draw(rng, number), self.processor)
            number += workers

    def _draw(self, rng: np.random.Generator, number: int) -> list[Lesson]:
        def script():
            return draw_script(rng, TRAIN_SEED)

        number, reads = divmod(number, 1 + self.readings)
        if reads:
            return [reading_lesson(rng, TRAIN_SEED, int(rng.choice([4, 8, 8]))) for _ in range(self.batch)]
        if number < self.warmup:
            return [caption_lesson(rng, script(), 4) for _ in range(self.batch)]
        kind = number % 10
        if kind == 5:
            return [blind_lesson(rng, script(), 3) for _ in range(self.batch)]
        if kind in (0, 3, 7):
            frames = int(rng.choice([1, 4, 4, 4, 8]))
            return [caption_lesson(rng, script(), frames) for _ in range(self.batch)]
        if kind == 9:
            return [judge_lesson(rng, script()) for _ in range(self.batch)]
        frames = int(rng.choice([4, 8, 8, 8]))
        if kind in self.named:
            return [named_lesson(rng, TRAIN_SEED, frames, int(rng.integers(1, 4))) for _ in range(self.batch)]
        return [question_lesson(rng, script(), frames, int(rng.integers(1, 4))) for _ in range(self.batch)]


def collate(lessons: list[Lesson], processor: Any) -> dict[str, torch.Tensor]:
    """Model inputs for a batch of lessons with the same number of frames; labels on the replies only."""
    tokenizer = processor.tokenizer
    inputs: dict[str, torch.Tensor] = {}
    vision_tokens = 0
    if lessons[0].frames is not None:
        videos = [torch.from_numpy(lesson.frames).permute(0, 3, 1, 2) for lesson in lessons]
        inputs.update(processor.video_processor(videos=videos, return_tensors="pt"))
        vision_tokens = int(inputs["video_grid_thw"][0].prod()) // processor.video_processor.merge_size**2
    rows = [_tokens(lesson, tokenizer, vision_tokens) for lesson in lessons]
    length = padded_length(max(len(ids) for ids, _ in rows))
    pad = tokenizer.pad_token_id
    inputs["input_ids"] = torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in rows])
    inputs["labels"] = torch.tensor([labels + [-100] * (length - len(labels)) for _, labels in rows])
    inputs["attention_mask"] = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in rows])
    inputs["mm_token_type_ids"] = 2 * (inputs["input_ids"] == tokenizer.convert_tokens_to_ids("<|video_pad|>")).int()
    return inputs


def _tokens(lesson: Lesson, tokenizer: Any, vision_tokens: int) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    labels: list[int] = []
    head = f"<|im_start|>system\n{SYSTEM_PROMPT}<|im_end|>\n"
    for i, (prompt, reply) in enumerate(lesson.turns):
        video = f"<|vision_start|>{'<|video_pad|>' * vision_tokens}<|vision_end|>" if vision_tokens and i == 0 else ""
        prompt_ids = tokenizer(f"{head}<|im_start|>user\n{video}{prompt}<|im_end|>\n<|im_start|>assistant\n").input_ids
        newline_ids = tokenizer("\n").input_ids
        ids += prompt_ids
        labels += [-100] * len(prompt_ids)
        *pieces, end = lesson.pieces or ("", reply)
        for k, piece in enumerate((*pieces, end + "<|im_end|>")):
            piece_ids = tokenizer(piece).input_ids
            ids += piece_ids
            labels += piece_ids if k % 2 else [-100] * len(piece_ids)
        ids += newline_ids
        labels += [-100] * len(newline_ids)
        head = ""
    return ids, labels


@torch.no_grad()
def evaluate(model: Any, processor: Any, lessons: int = 96) -> dict[str, float]:
    """Share of replies correct in every token, on ``dev`` worlds, by kind of lesson (teacher forcing)."""
    model.eval()
    rng = np.random.default_rng(5)
    right: dict[str, list[bool]] = {}
    draws = {
        "caption": lambda s: caption_lesson(rng, s, 4),
        "question": lambda s: question_lesson(rng, s, 8, 1),
        "oracle": lambda s: question_lesson(rng, s, 8, 1, alone=True),
        "judge": lambda s: judge_lesson(rng, s),
        "named": lambda s: named_lesson(rng, DEV_SEED, 8, 1),
    }
    for name, draw in draws.items():
        for _ in range(lessons // 32):
            batch = [draw(draw_script(rng, DEV_SEED)) for _ in range(32)]
            inputs = collate(batch, processor)
            labels = inputs.pop("labels")[:, 1:]
            with torch.autocast("cpu", torch.bfloat16):
                guess = model(**inputs).logits[:, :-1].argmax(-1)
            for lesson, ok in zip(batch, ((guess == labels) | (labels == -100)).all(1).tolist()):
                right.setdefault(
                    f"{name} {lesson.kind}" if name in ("question", "oracle", "named", "judge") else name, []
                ).append(ok)
    model.train()
    return {name: round(float(np.mean(values)), 3) for name, values in right.items()}


def train(
    folder: Path,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    warmup: int,
    workers: int,
    resume: bool,
    start: Path | None = None,
    named: int = 2,
    readings: int = 0,
    log_every: int = 50,
    eval_every: int = 400,
) -> None:
    """Train with AdamW; write ``log.jsonl``, and the model every ``eval_every`` steps."""
    folder.mkdir(parents=True, exist_ok=True)
    model, processor = load(folder) if resume else load(start) if start else build(folder, seed)
    processor.save_pretrained(folder)
    quicken(model)
    learner = Learner(model, lr, min(200, 1 + steps // 10), steps)
    first = learner.resume(folder / "training.pt") if resume else 0
    data = DataLoader(
        Lessons(processor, batch, seed + first, warmup - first, named, readings),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    learner.run(
        data,
        folder,
        first,
        steps,
        log_every,
        eval_every,
        lambda: evaluate(model, processor),
        lambda: model.save_pretrained(folder),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write the checkpoint to")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=1000, help="number of initial batches with captions only")
    parser.add_argument("--named", type=int, default=2, choices=range(6), help="batches of ten on named kinds")
    parser.add_argument(
        "--readings", type=int, default=0, help="batches on given readings, without frames, after each with frames"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that draw lessons")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--resume", action="store_true", help="continue from the folder's training.pt")
    source.add_argument("--start", type=Path, help="model to start from, on a schedule of its own (set --warmup 0)")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
