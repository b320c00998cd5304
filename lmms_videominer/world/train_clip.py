"""Train the world's CLIP from scratch on ``train`` seeds: ``python -m lmms_videominer.world.train_clip FOLDER``.

It learns which frames match a sentence. A question matches the frames that answer it fully and the other frames of its
scenes weakly; a statement about a scene matches all of its frames; a description matches the frames that it describes.
A batch has frames of a few videos, often from scenes with the same place or actor, so that its other sentences are hard
negatives.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from lmms_videominer.world import language
from lmms_videominer.world.curriculum import draw_script
from lmms_videominer.world.learning import Learner
from lmms_videominer.world.questions import WRITERS, WorldQuestion, where, write_questions
from lmms_videominer.world.render import render_frame, render_times
from lmms_videominer.world.script import FrameState, Scene, Script, write_script
from lmms_videominer.world.tokenizer import SPECIAL_TOKENS, train_tokenizer

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPProcessor

SIDE = 84  # pixels of the model's input
TEXT_TOKENS = 64
TRAIN_SEED, DEV_SEED = 14, 1_000_014  # worlds of the train and of the dev range
SCENE_FIT = 0.2  # target of a question for frames of its scene without a board; 1 for frames with one
MOST_SCALE = 100.0  # upper limit on the scale of the cosines, as in CLIP
VIDEO_SHARE = 8  # pairs per video in a batch


@dataclass(frozen=True)
class Sentence:
    """A text, and the condition for a frame to match it.

    Attributes:
        text: The text, as passed to a scorer.
        pairs: The (place, actor) pairs that it is about.
        board: The board that must be visible: a name, ``""`` for any, ``None`` if boards do not matter.
        bare: Match of frames of its scenes without that board.
    """

    text: str
    pairs: frozenset[tuple[str, Any]]
    board: str | None = None
    bare: float = 0.0

    def fits(self, state: FrameState) -> float:
        """How well a frame in this state matches, from 0 to 1."""
        if (state.place, state.actor) not in self.pairs:
            return 0.0
        board_matches = self.board is None or (bool(state.board) if self.board == "" else state.board == self.board)
        return 1.0 if board_matches else self.bare


def question_sentence(question: WorldQuestion) -> Sentence:
    return Sentence(question.text, frozenset(language.wanted_pairs(question)), "", SCENE_FIT)


def scene_sentence(scene: Scene) -> Sentence:
    return Sentence(f"{where(scene)}.", frozenset([(scene.place, scene.actor)]))


def state_sentence(state: FrameState) -> Sentence:
    return Sentence(language.describe(state), frozenset([(state.place, state.actor)]), state.board)


def draw_pairs(rng: np.random.Generator, script: Script, count: int) -> list[tuple[np.ndarray, FrameState, Sentence]]:
    """Frames (uint8 [SIZE, SIZE, 3]) of ``script`` with their states, each with a sentence that matches it fully."""
    rows = []
    scenes = _similar_scenes(rng, script, count)
    for scene in scenes:
        moment = scene.moments[int(rng.integers(len(scene.moments)))] if scene.moments else None
        span = moment.span if moment and rng.random() < 0.7 else scene.span
        time_s = float(rng.uniform(span.start_s, span.end_s))
        state = script.state_at(time_s)
        rows.append((render_frame(script, time_s), state, _sentence(rng, scene, scenes, state)))
    return rows


def _similar_scenes(rng: np.random.Generator, script: Script, count: int) -> list[Scene]:
    """``count`` scenes, possibly repeated: a first one, scenes that share its place or its actor, and random ones."""
    eventful = [scene for scene in script.scenes if scene.moments] or list(script.scenes)
    first = eventful[int(rng.integers(len(eventful)))]
    similar = [s for s in script.scenes if (s.place == first.place) != (s.actor == first.actor)] or eventful
    pools = [similar if rng.random() < 0.6 else eventful for _ in range(count - 1)]
    return [first, *(pool[int(rng.integers(len(pool)))] for pool in pools)]


def _sentence(rng: np.random.Generator, scene: Scene, others: list[Scene], state: FrameState) -> Sentence:
    """A question if the frame shows a board, otherwise (and sometimes anyway) a statement or a description."""
    if not state.board or rng.random() < 0.3:
        return scene_sentence(scene) if rng.random() < 0.5 else state_sentence(state)
    partners = [s for s in others if len(s.signs) == 1 and s.signs != scene.signs and s.place != scene.place]
    if len(scene.signs) == 1 and partners and rng.random() < 0.3:
        return question_sentence(WRITERS["order"](rng, (scene, partners[int(rng.integers(len(partners)))]), 0))
    kinds = ["action"] if scene.actions else ["count", "sign"] if len(scene.signs) == 1 else ["count"]
    return question_sentence(WRITERS[kinds[int(rng.integers(len(kinds)))]](rng, (scene,), 0))


def build(seed: int) -> tuple[CLIPModel, CLIPProcessor]:
    """A randomly initialised CLIP of 2.5 M parameters with its processor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(seed)
    tokenizer = text_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 160,
        "intermediate_size": 480,
        "num_hidden_layers": 3,
        "num_attention_heads": 5,
        "max_position_embeddings": TEXT_TOKENS,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": 192,
        "intermediate_size": 576,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "image_size": SIDE,
        "patch_size": 14,
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))
    square = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessor(size=square, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return model, CLIPProcessor(images, tokenizer)


def text_tokenizer() -> Any:
    """The world's byte-level BPE, padded on the right; each text ends in the token that CLIP pools at."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    pad, end = SPECIAL_TOKENS[0], SPECIAL_TOKENS[2]
    backend = train_tokenizer().backend_tokenizer
    backend.post_processor = TemplateProcessing(single=f"$A {end}", special_tokens=[(end, backend.token_to_id(end))])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=end, pad_token=pad, padding_side="right", model_max_length=TEXT_TOKENS
    )


class Pairs(IterableDataset):
    """An endless stream of batches of ``batch`` pairs; each worker draws its own."""

    def __init__(self, processor: CLIPProcessor, batch: int, seed: int, world: int = TRAIN_SEED):
        self.processor, self.batch, self.seed, self.world = processor, batch, seed, world

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        torch.set_num_threads(1)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        while True:
            rows: list[Any] = []
            while len(rows) < self.batch:
                script = draw_script(rng, self.world)
                rows += draw_pairs(rng, script, min(VIDEO_SHARE, self.batch - len(rows)))
            yield collate(rows, self.processor)


def collate(rows: list[tuple[np.ndarray, FrameState, Sentence]], processor: CLIPProcessor) -> dict[str, torch.Tensor]:
    """Model inputs for a batch, and the targets ``fits``, float32 [frames, sentences]."""
    frames, states, sentences = zip(*rows, strict=True)
    inputs = dict(
        processor(
            images=list(frames),
            text=[s.text for s in sentences],
            padding=True,
            truncation=True,
            max_length=TEXT_TOKENS,
            return_tensors="pt",
        )
    )
    inputs.pop("token_type_ids", None)
    return inputs | {"fits": torch.tensor([[s.fits(state) for s in sentences] for state in states])}


class Contrast(torch.nn.Module):
    """CLIP's contrastive loss with graded targets: cross-entropy with the normalised ``fits`` in both directions.

    Cosines are computed in single precision: multiplied by the learned scale, bfloat16 errors would change ranks.
    """

    def __init__(self, clip: CLIPModel):
        super().__init__()
        self.clip = clip

    def forward(self, fits: torch.Tensor, **inputs: torch.Tensor) -> SimpleNamespace:
        output = self.clip(**inputs)
        with torch.autocast("cpu", enabled=False):
            images, texts = (
                torch.nn.functional.normalize(features.float(), dim=-1)
                for features in (output.image_embeds, output.text_embeds)
            )
            logits = self.clip.logit_scale.exp().clamp(max=MOST_SCALE) * images @ texts.T  # [frames, sentences]
        by_frame = -(fits / fits.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
        by_sentence = -(fits / fits.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
        return SimpleNamespace(loss=(by_frame + by_sentence) / 2)


@torch.no_grad()
def evaluate(model: CLIPModel, processor: CLIPProcessor, videos: int = 8, minutes: float = 5.0) -> dict[str, float]:
    """Share of evidence moments, by kind, that the 8 best frames of a ``dev`` video at one per second cover."""
    from lmms_videominer.scoring.dual_encoder import DualEncoderScorer
    from lmms_videominer.search.candidates import top

    model.eval()
    scorer = DualEncoderScorer(model, processor, "training")
    hits: dict[str, list[bool]] = {}
    for index in range(videos):
        script = write_script(DEV_SEED, index, minutes)
        times_s = np.arange(int(script.duration_s)) + 0.5
        questions = write_questions(script, 10)
        scores = scorer.score(render_times(script, times_s), [question.text for question in questions])
        for question, column in zip(questions, scores.T, strict=True):
            best = times_s[top(column, 8)]
            coverage = [any(span.start_s <= t < span.end_s for t in best) for span in question.evidence]
            hits.setdefault(question.kind, []).extend(coverage)
    model.train()
    means = {kind: float(np.mean(coverage)) for kind, coverage in sorted(hits.items())}
    return {kind: round(mean, 3) for kind, mean in means.items()}


def save(model: CLIPModel, processor: CLIPProcessor, folder: Path) -> None:
    """Write a standard checkpoint with weights in half precision."""
    copy.deepcopy(model).half().save_pretrained(folder)
    processor.save_pretrained(folder)


def train(
    folder: Path,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    workers: int,
    resume: bool,
    log_every: int = 50,
    eval_every: int = 500,
    videos: int = 8,
) -> None:
    """Train with AdamW; write ``log.jsonl``, and the model every ``eval_every`` steps."""
    folder.mkdir(parents=True, exist_ok=True)
    model, processor = build(seed)
    model.set_attn_implementation("eager")  # twice as fast as sdpa for 37 tokens in bfloat16 on a CPU
    learner = Learner(Contrast(model), lr, 200, steps)
    first = learner.resume(folder / "training.pt") if resume else 0
    data = DataLoader(
        Pairs(processor, batch, seed + first),
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
        lambda: evaluate(model, processor, videos),
        lambda: save(model, processor, folder),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write the checkpoint to")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pairs")
    parser.add_argument("--resume", action="store_true", help="continue from the folder's training.pt")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
