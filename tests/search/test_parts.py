"""What is paid for is kept: results are stored as a model gives them, so that whatever ends a run costs one part."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.killed import PART, QUESTIONS, mined
from support.scripted import ColourVLM
from support.tiny_models import tiny_qwen2_lm, tiny_qwen2_vl
from support.tiny_scorers import tiny_blip, tiny_clip

from lmms_videominer.errors import CallError
from lmms_videominer.policy.cached import CachedLanguageModel
from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.policy.text_only_vlm import TextOnlyVLM
from lmms_videominer.scoring import ScoreJob, load_scorer, score_frames
from lmms_videominer.scoring.features import FrameJob, encode_frames
from lmms_videominer.search.captions import CaptionJob, caption_events
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.types import Span
from lmms_videominer.video import open_video
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.vlm.prompts import caption_prompt
from lmms_videominer.vlm.transformers_vlm import TransformersVLM
from lmms_videominer.vlm.vlm import VLMRequest

SPANS = tuple(Span(start_s, start_s + 1.0) for start_s in range(20))


class Stopped(BaseException):
    """Ends a run at once, as a key press does."""


def stopping(model, method: str, calls: int):
    """``model``, which is stopped in its call after so many of ``method``."""
    call, made = getattr(model, method), []

    def counted(*arguments, **keywords):
        if len(made) == calls:
            raise Stopped
        made.append(arguments[0])
        return call(*arguments, **keywords)

    object.__setattr__(model, method, counted)
    return made


@pytest.fixture
def reader(film):
    with open_video(film) as reader:
        yield reader


@pytest.fixture(scope="module")
def vlm_folder(tmp_path_factory) -> str:
    return tiny_qwen2_vl(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory) -> str:
    return tiny_qwen2_lm(tmp_path_factory.mktemp("lm"))


@pytest.mark.launches
@pytest.mark.parametrize("dies_at", [1, 3, 6, 7])
def test_a_run_that_is_killed_makes_at_most_one_part_again(film, tmp_path, dies_at):
    log, cache = tmp_path / "log", str(tmp_path / "cache")
    command = [sys.executable, "-m", "support.killed", film, cache, str(log), str(dies_at)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    again = mined(film, cache, log, 0)

    whole = mined(film, str(tmp_path / "new"), tmp_path / "new_log", 0)
    assert [result.nodes for result in again] == [result.nodes for result in whole]
    assert [result.answer for result in again] == [result.answer for result in whole]
    served, needed = (sum(map(int, path.read_text().split())) for path in (log, tmp_path / "new_log"))
    assert needed > 5 * PART and needed <= served <= needed + PART
    assert len(whole) == len(QUESTIONS)


def test_captions_of_a_run_that_is_stopped_are_kept_forward_pass_by_forward_pass(reader, vlm_folder):
    cache, job = MemoryCache(), CaptionJob(reader, "film", (caption_prompt("What is there?"),) * len(SPANS), SPANS)
    vlm = TransformersVLM.from_pretrained(vlm_folder, device="cpu")
    stopping(vlm, "_complete", 2)
    with pytest.raises(Stopped):
        caption_events([job], vlm, cache, 2, 4)
    whole = TransformersVLM.from_pretrained(vlm_folder, device="cpu")
    [result] = caption_events([job], whole, cache, 2, 4)
    assert (result.made, result.cached) == (20 - 2 * whole.batch_size, 2 * whole.batch_size)
    [new] = caption_events([job], whole, MemoryCache(), 2, 4)
    assert result.events == new.events


def test_the_parts_of_a_video_llm_are_its_forward_passes(vlm_folder):
    vlm = TransformersVLM.from_pretrained(vlm_folder, device="cpu", batch_size=3)
    frames = np.random.default_rng(0).integers(0, 256, (2, 56, 56, 3), dtype=np.uint8)
    requests = [VLMRequest(f"What is in {i}?", frames[: 1 + i % 2], 4) for i in range(10)]
    parts = vlm.parts(requests)
    assert sorted(i for part in parts for i in part) == list(range(10)) and max(map(len, parts)) == 3
    whole = vlm.generate(requests)
    for part in parts:
        assert vlm.generate([requests[i] for i in part]) == [whole[i] for i in part]


@pytest.mark.parametrize("kind", ["causal", "video"])
def test_completions_of_a_run_that_is_stopped_are_kept_forward_pass_by_forward_pass(kind, lm_folder, vlm_folder):
    def made():
        if kind == "causal":
            model = CausalLM.from_pretrained(lm_folder, device="cpu", max_new_tokens=4, batch_size=3)
            return model, model
        vlm = TransformersVLM.from_pretrained(vlm_folder, device="cpu", batch_size=3)
        return TextOnlyVLM(vlm, 4), vlm

    prompts = [f"What is in part {'x' * (i % 4)} {i}?" for i in range(10)]
    cache, (model, inner) = MemoryCache(), made()
    stopping(inner, "_complete", 2)
    with pytest.raises(Stopped):
        CachedLanguageModel(model, cache).complete(prompts)
    whole = CachedLanguageModel(made()[0], cache).complete(prompts)
    new = CachedLanguageModel(made()[0], MemoryCache()).complete(prompts)
    assert [done.text for done in whole] == [done.text for done in new]
    kept = sum(done.cached for done in whole)
    assert 6 - sum(not done.text for done in new) <= kept <= 6


def test_a_completion_that_does_not_come_leaves_the_others_in_the_cache():
    class Busy(ColourVLM):
        def generate(self, requests):
            self.calls.append(list(requests))
            return [CallError("busy") if "3" in request.prompt else request.prompt for request in requests]

    cache, prompts = MemoryCache(), [f"part {i}" for i in range(6)]
    with pytest.raises(CallError, match="busy"):
        CachedLanguageModel(TextOnlyVLM(Busy()), cache).complete(prompts)
    whole = Busy()
    whole.identity = Busy().identity
    kept = CachedLanguageModel(TextOnlyVLM(whole), cache).complete([prompt for prompt in prompts if "3" not in prompt])
    assert all(done.cached for done in kept) and not whole.calls


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_failure_texts_are_never_completions_even_where_nothing_is_kept(temperature):
    class Failing(ColourVLM):
        def generate(self, requests):
            return [CallError("busy") if "bad" in request.prompt else "yes" for request in requests]

    with pytest.raises(CallError, match="busy"):
        CachedLanguageModel(TextOnlyVLM(Failing()), MemoryCache()).complete(["good", "bad"], temperature, [1, 2])


def test_features_of_a_run_that_is_stopped_are_kept_batch_by_batch(reader, tmp_path):
    clip = dataclasses.replace(load_scorer(tiny_clip(tmp_path), "cpu"), batch_size=8)
    cache, job = MemoryCache(), FrameJob(OpenVideo(reader, "film"), np.arange(30))
    [new] = encode_frames([job], clip, MemoryCache())
    stopping(clip, "encode", 2)
    with pytest.raises(Stopped):
        encode_frames([job], clip, cache)
    object.__delattr__(clip, "encode")
    [result] = encode_frames([job], clip, cache)
    assert result.frames_decoded == 30 - 16 and result.usage.scores_cached == 16
    np.testing.assert_array_equal(result.vectors, new.vectors)


def test_scores_of_a_run_that_is_stopped_are_kept_batch_by_batch(reader, tmp_path):
    blip = dataclasses.replace(load_scorer(tiny_blip(tmp_path), "cpu"), batch_size=8)
    cache, video = MemoryCache(), OpenVideo(reader, "film")
    jobs = [ScoreJob(video, text, np.arange(30)) for text in ("a red disc", "a lake")]
    new = score_frames(jobs, blip, MemoryCache())
    stopping(blip, "score", 2)
    with pytest.raises(Stopped):
        score_frames(jobs, blip, cache)
    object.__delattr__(blip, "score")
    results = score_frames(jobs, blip, cache)
    for result, fresh in zip(results, new, strict=True):
        np.testing.assert_array_equal(result.values, fresh.values)
        assert (result.made, result.cached, fresh.made, fresh.cached) == (14, 16, 30, 0)
    assert sum(result.frames_decoded for result in results) == 14
    again = score_frames(jobs, blip, cache)
    assert [(result.made, result.cached) for result in again] == [(0, 30)] * 2
