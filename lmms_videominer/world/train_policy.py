"""Cold start of the world's policy, a Qwen2 of about 2 M parameters: ``python -m lmms_videominer.world.train_policy``.

Supervised training on captions of ``train`` worlds, with some frames misread, and sound decisions about them. It
teaches the formats and a sensible policy; some further steps teach it flaws, which T-GRPO corrects.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmms_videominer.world.curriculum import (
    SOUND,
    Flaws,
    Lesson,
    draw_script,
    policy_lesson,
    several_lesson,
    sought_lesson,
    spoken_lesson,
)
from lmms_videominer.world.learning import Learner, log, padded_length
from lmms_videominer.world.script import Script

TRAIN_SEED, DEV_SEED = 12, 1_000_012
POOL = 8  # batches drawn at a time
SOUGHT, SEVERAL = 0.12, 0.18  # shares of lessons on what to look for, and on several parts at once


def build(vlm: Path) -> tuple[Any, Any]:
    """A Qwen2 with the text weights and the tokenizer of the world's Qwen2-VL.

    From random weights, a model of this size does not learn to copy from its prompt within hours on two cores; the
    text model of the video LLM already does. On text, its rotary positions equal those of a Qwen2.
    """
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM, Qwen2VLForConditionalGeneration

    source = Qwen2VLForConditionalGeneration.from_pretrained(vlm)
    text: Any = source.config.text_config
    shared = (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "max_position_embeddings",
        "rms_norm_eps",
        "eos_token_id",
        "pad_token_id",
    )
    config = Qwen2Config(
        **{name: getattr(text, name) for name in shared},
        bos_token_id=None,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": text.rope_parameters["rope_theta"]},
    )
    model = Qwen2ForCausalLM(config)
    model.model.load_state_dict(source.model.language_model.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(vlm)
    # the policy sees no pictures: programs that read the name of a processor would look for one
    tokenizer.init_kwargs.pop("processor_class", None)
    tokenizer._processor_class = None
    return model, tokenizer


def load(policy: Path) -> tuple[Any, Any]:
    """Load a policy that ``train`` wrote, to train it further."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(policy), AutoTokenizer.from_pretrained(policy)


def collate(lessons: list[Lesson], tokenizer: Any) -> dict[str, torch.Tensor]:
    """Model inputs for a batch, padded on the right; labels on the completions only."""
    rows = []
    for lesson in lessons:
        prompt, reply = lesson.turns[0]
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        rows.append((tokenizer(text).input_ids, tokenizer(reply + tokenizer.eos_token).input_ids))
    length = padded_length(max(len(prompt_ids) + len(reply_ids) for prompt_ids, reply_ids in rows))
    ids = torch.full((len(rows), length), tokenizer.pad_token_id)
    labels = torch.full((len(rows), length), -100)
    for i, (prompt_ids, reply_ids) in enumerate(rows):
        ids[i, : len(prompt_ids) + len(reply_ids)] = torch.tensor(prompt_ids + reply_ids)
        labels[i, len(prompt_ids) : len(prompt_ids) + len(reply_ids)] = torch.tensor(reply_ids)
    return {"input_ids": ids, "attention_mask": (ids != tokenizer.pad_token_id).long(), "labels": labels}


def _draw(
    rng: np.random.Generator, batch: int, seed: int, noise: float, flaws: Flaws = SOUND, spoken: float = 0.0
) -> list[Lesson]:
    return [_lesson(rng, draw_script(rng, seed), noise, flaws, spoken) for _ in range(batch)]


def _batches(rng: np.random.Generator, batch: int, noise: float, flaws: Flaws, spoken: float) -> Iterator[list[Lesson]]:
    """Endless batches of lessons about equally long, for little padding."""
    while True:
        pool = _draw(rng, POOL * batch, TRAIN_SEED, noise, flaws, spoken)
        pool.sort(key=lambda lesson: sum(map(len, lesson.turns[0])))
        for number in rng.permutation(POOL):
            yield pool[number * batch : (number + 1) * batch]


def _lesson(rng: np.random.Generator, script: Script, noise: float, flaws: Flaws, spoken: float) -> Lesson:
    if spoken and rng.random() < spoken:
        return spoken_lesson(rng, script, noise)
    drawn = rng.random()
    if drawn < SOUGHT:
        return sought_lesson(rng, script)
    if drawn < SOUGHT + SEVERAL:
        return several_lesson(rng, script, noise)
    return policy_lesson(rng, script, noise, flaws)  # the decisions from which T-GRPO learns


@torch.no_grad()
def evaluate(model: Any, tokenizer: Any, batches: int = 12) -> dict[str, float]:
    """Share of completions correct in every token, on ``dev`` worlds, by the correct action (teacher forcing)."""
    model.eval()
    rng = np.random.default_rng(5)
    right: dict[str, list[bool]] = {}
    for _ in range(batches):
        lessons = _draw(rng, 32, DEV_SEED, 0.02)
        inputs = collate(lessons, tokenizer)
        labels = inputs.pop("labels")[:, 1:]
        guess = model(**inputs).logits[:, :-1].argmax(-1)
        for lesson, ok in zip(lessons, ((guess == labels) | (labels == -100)).all(1).tolist()):
            right.setdefault(lesson.kind, []).append(ok)
    model.train()
    return {kind: round(float(np.mean(values)), 3) for kind, values in right.items()}


def train(
    folder: Path,
    source: tuple[Any, Any],
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    noise: float,
    flaws: Flaws = SOUND,
    log_every: int = 250,
    spoken: float = 0.0,
) -> None:
    """Train with AdamW; write a standard Hugging Face checkpoint and ``log.jsonl`` to ``folder``.

    Args:
        spoken: Share of lessons about what is said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = source
    rng = np.random.default_rng([seed, 1])
    learner = Learner(model, lr, 50, steps)
    batches = _batches(rng, batch, noise, flaws, spoken)
    started, losses = time.time(), []
    for step in range(1, steps + 1):
        losses.append(learner.step(collate(next(batches), tokenizer)))
        if step % log_every == 0 or step == steps:
            log(
                folder,
                {
                    "step": step,
                    "loss": round(float(np.mean(losses[-log_every:])), 4),
                    "seconds": round(time.time() - started),
                    **evaluate(model, tokenizer),
                },
            )
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write the checkpoint to")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--vlm", type=Path, help="Qwen2-VL whose text weights to start from")
    source.add_argument("--start", type=Path, help="policy to start from")
    parser.add_argument("--steps", type=int, default=2000, help="steps on sound decisions, written to FOLDER/sound")
    parser.add_argument("--lr", type=float, default=1e-3, help="their learning rate")
    parser.add_argument("--flawed", type=int, default=160, help="steps on flawed decisions, which follow")
    parser.add_argument("--flawed-lr", type=float, default=3e-4, help="their learning rate")
    parser.add_argument("--slips", type=float, default=0.65, help="of flawed replies, the share without an action")
    parser.add_argument(
        "--haste", type=float, default=0.45, help="share of nodes worth a closer look that are then deleted"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", type=float, default=0.02, help="share of frames misread in the captions")
    parser.add_argument("--spoken", type=float, default=0.0, help="share of lessons about what is said")
    given = parser.parse_args()
    policy = load(given.start) if given.start else build(given.vlm)
    sound = given.folder / "sound"
    if given.steps:
        train(sound, policy, given.steps, given.batch, given.lr, given.seed, given.noise, spoken=given.spoken)
    if given.flawed:
        flaws = Flaws(given.slips, given.haste)
        rate, seed = given.flawed_lr, given.seed + 1
        train(given.folder, policy, given.flawed, given.batch, rate, seed, given.noise, flaws, spoken=given.spoken)


if __name__ == "__main__":
    main()
