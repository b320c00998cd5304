"""Train the caption embedder of the world, a small BERT: ``python -m lmms_videominer.world.train_embedder``.

The target similarity of two captions is that of the frames they describe: the mean of the Jaccard indices of their
places, of their (place, actor) pairs and of their (place, actor, board) triples.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from lmms_videominer.types import Span
from lmms_videominer.video.timing import uniform_times
from lmms_videominer.world import language
from lmms_videominer.world.curriculum import draw_script
from lmms_videominer.world.script import FrameState, Script

TRAIN_SEED, DEV_SEED = 13, 1_000_013


def similarity(first: list[FrameState], second: list[FrameState]) -> float:
    """Mean Jaccard index in [0, 1] of places, of scenes and of whole frame states."""
    keys = (lambda s: s.place, lambda s: (s.place, s.actor), lambda s: (s.place, s.actor, s.board))
    values = []
    for key in keys:
        a, b = {key(s) for s in first}, {key(s) for s in second}
        values.append(len(a & b) / len(a | b))
    return float(np.mean(values))


def _states(rng: np.random.Generator, script: Script, near_s: float | None = None) -> tuple[list[FrameState], float]:
    length_s = float(np.exp(rng.uniform(np.log(1.0), np.log(min(240.0, script.duration_s)))))
    centre_s = near_s if near_s is not None else rng.uniform(0, script.duration_s)
    start_s = float(np.clip(centre_s - length_s / 2, 0, script.duration_s - length_s))
    return [script.state_at(t) for t in uniform_times([Span(start_s, start_s + length_s)], 4)], centre_s


def pairs(seed: int, world: int, count: int) -> dict[str, list]:
    """``count`` pairs of captions with their similarity: neighbours, chapters with the same place, and random pairs."""
    rng = np.random.default_rng([seed, world])
    rows: dict[str, list] = {"sentence1": [], "sentence2": [], "score": []}
    while len(rows["score"]) < count:
        script = draw_script(rng, world)
        first, centre_s = _states(rng, script)
        near_s = None
        if rng.random() < 0.6:
            near_s = float(np.clip(centre_s + rng.normal(0, 20), 0, script.duration_s))
        elif rng.random() < 0.5:
            same = [c for c in script.chapters if c.place == first[0].place]
            chapter = same[int(rng.integers(len(same)))]
            near_s = rng.uniform(chapter.span.start_s, chapter.span.end_s)
        second, _ = _states(rng, script, near_s)
        rows["sentence1"].append(language.caption(first))
        rows["sentence2"].append(language.caption(second))
        rows["score"].append(similarity(first, second))
    return rows


def build(folder: Path, seed: int):
    """A randomly initialised two-layer BERT with a WordPiece tokenizer for the captions, as a SentenceTransformer."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizer

    torch.manual_seed(seed)
    texts = pairs(seed, TRAIN_SEED, 2000)
    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(texts["sentence1"] + texts["sentence2"], vocab_size=400, show_progress=False)
    base = folder / "base"
    base.mkdir(parents=True, exist_ok=True)
    pieces.save_model(str(base))
    tokenizer = BertTokenizer(str(base / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    transformer = Transformer(str(base), max_seq_length=256)
    return SentenceTransformer(modules=[transformer, Pooling(96, "mean"), Normalize()], device="cpu")


def train(folder: Path, pairs_count: int, epochs: int, batch: int, lr: float, seed: int) -> None:
    """Train by regression (CosineSimilarityLoss) and print the Spearman correlation on ``dev`` worlds."""
    import shutil

    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

    model = build(folder, seed)
    dev = pairs(seed, DEV_SEED, 1000)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder / "runs"),
        num_train_epochs=epochs,
        per_device_train_batch_size=batch,
        learning_rate=lr,
        warmup_steps=100,
        seed=seed,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        logging_steps=200,
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(pairs(seed, TRAIN_SEED, pairs_count)),
        loss=CosineSimilarityLoss(model),
    )
    trainer.train()
    evaluator = EmbeddingSimilarityEvaluator(dev["sentence1"], dev["sentence2"], dev["score"], name="dev")
    print(evaluator(model))
    shutil.rmtree(folder / "base")
    shutil.rmtree(folder / "runs", ignore_errors=True)
    model.save(str(folder), create_model_card=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to write the model to")
    parser.add_argument("--pairs-count", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
