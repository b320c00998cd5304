"""The training of the world's CLIP: what fits what, and that two steps leave a scorer."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmms_videominer.world.script import Actor, FrameState, write_script
from lmms_videominer.world.train_clip import (
    SCENE_FIT,
    SIDE,
    TRAIN_SEED,
    Contrast,
    Sentence,
    draw_pairs,
    state_sentence,
    train,
)

ACTOR, OTHER = Actor("red", "blue"), Actor("blue", "red")


def test_a_question_fits_the_frames_that_answer_it_a_little_its_scene_and_nothing_else():
    question = Sentence("Which sign?", frozenset([("sea", ACTOR)]), "", SCENE_FIT)
    states = [("sea", ACTOR, "star"), ("sea", ACTOR, None), ("sea", OTHER, "star"), ("cave", ACTOR, "star")]
    assert [question.fits(FrameState(*state)) for state in states] == [1.0, SCENE_FIT, 0.0, 0.0]
    told = state_sentence(FrameState("sea", ACTOR, "star"))
    assert [told.fits(FrameState("sea", ACTOR, board)) for board in ("star", "moon", None)] == [1.0, 0.0, 0.0]


def test_every_frame_is_drawn_with_a_sentence_that_fits_it():
    rows = draw_pairs(np.random.default_rng(0), write_script(TRAIN_SEED, 0, 5), 64)
    assert [sentence.fits(state) for _, state, sentence in rows] == [1.0] * 64
    texts = [sentence.text for _, _, sentence in rows]
    assert any("?" in text for text in texts) and any(": " in text for text in texts)


def test_the_loss_is_cross_entropy_to_the_fits_over_frames_and_sentences():
    texts = torch.tensor([[0.6, 0.8], [0.8, -0.6]])

    class Given(torch.nn.Module):
        logit_scale = torch.tensor(5.0).log()

        def forward(self):
            return SimpleNamespace(image_embeds=2 * torch.eye(2), text_embeds=texts)

    logits = torch.tensor([[3.0, 4.0], [4.0, -3.0]])  # 5 times the cosines
    plain = Contrast(Given())(torch.eye(2)).loss
    half = (
        torch.nn.functional.cross_entropy(logits, torch.arange(2))
        + torch.nn.functional.cross_entropy(logits.T, torch.arange(2))
    ) / 2
    assert plain.item() == pytest.approx(half.item())
    # frame 0 fits both sentences alike, frame 1 the second alone: ln of the softmax, averaged
    graded = Contrast(Given())(torch.tensor([[1.0, 1.0], [0.0, 1.0]])).loss.item()
    by_frame = (0.5 * (1.313262 + 0.313262) + 7.000911) / 2
    by_sentence = (1.313262 + 0.5 * (0.000911 + 7.000911)) / 2
    assert graded == pytest.approx((by_frame + by_sentence) / 2, abs=1e-5)


def test_two_steps_leave_a_scorer_of_at_most_8_mb(tmp_path):
    from lmms_videominer.scoring import load_scorer

    train(tmp_path, steps=2, batch=8, lr=1e-3, seed=0, workers=0, resume=False, log_every=1, videos=1)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [1, 2, 2] and set(records[2]) > {"step", "sign"}
    kept = [path for path in tmp_path.iterdir() if path.name not in ("log.jsonl", "training.pt")]
    assert sum(path.stat().st_size for path in kept) < 8e6
    frames = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    scores = load_scorer(str(tmp_path), "cpu").score(frames, ["Which sign appears?", "sea: red robot"])
    assert scores.shape == (2, 2) and np.isfinite(scores).all()
