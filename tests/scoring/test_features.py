from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.tiny_scorers import tiny_blip, tiny_blip2, tiny_clip

from lmms_videominer.errors import CallError, ConfigError, VideoError
from lmms_videominer.scoring import ScoreJob, load_scorer, score_frames
from lmms_videominer.scoring.features import FrameJob, encode_frames
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.video import open_video
from lmms_videominer.video.opening import OpenVideo


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return load_scorer(tiny_clip(tmp_path_factory.mktemp("clip")), "cpu")


@pytest.fixture
def video(cuts_video):
    with open_video(str(cuts_video)) as reader:
        yield OpenVideo(reader, "cuts")


def job(video, *indices: int) -> FrameJob:
    return FrameJob(video, np.array(indices))


def test_features_are_of_length_1_and_compared_with_texts_they_give_the_scores(clip, video):
    frames = video.reader.frames([0, 60, 120])
    features = clip.encode(frames)
    assert features.dtype == np.float32 and np.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(clip.compare(features, ["a disc"]), clip.score(frames, ["a disc"]))


def test_another_question_on_the_same_frames_decodes_and_encodes_none_of_them(clip, video):
    cache = MemoryCache()
    [first] = score_frames([ScoreJob(video, "a disc", np.array([0, 60]))], clip, cache)
    [other, more] = score_frames(
        [ScoreJob(video, "a square", np.array([0, 60])), ScoreJob(video, "a square", np.array([60, 120]))], clip, cache
    )
    assert (first.frames_decoded, other.frames_decoded, more.frames_decoded) == (2, 0, 1)
    assert [(one.made, one.cached) for one in (first, other, more)] == [(2, 0), (0, 2), (1, 1)]
    whole = clip.score(video.reader.frames([0, 60, 120]), ["a square"])[:, 0]
    np.testing.assert_allclose(np.concatenate([other.values, more.values[1:]]), whole, atol=1e-5)


def test_each_frame_is_encoded_once_whatever_asks_for_it(clip, video):
    cache = MemoryCache()
    first, second = encode_frames([job(video, 0, 60), job(video, 0, 60, 120)], clip, cache)
    assert (first.frames_decoded, second.frames_decoded) == (2, 1)
    np.testing.assert_array_equal(second.vectors[:2], first.vectors)
    [again] = encode_frames([job(video, 60, 120)], clip, cache)
    assert again.frames_decoded == 0
    np.testing.assert_array_equal(again.vectors, second.vectors[1:])


@pytest.mark.parametrize("many", [8, 24])
def test_no_more_frames_are_held_than_the_model_takes_at_once(clip, video, monkeypatch, many):
    held = []
    frames = video.reader.frames
    monkeypatch.setattr(video.reader, "frames", lambda indices: held.append(len(indices)) or frames(indices))
    encode_frames([job(video, *range(0, 5 * many, 5))], dataclasses.replace(clip, batch_size=8), MemoryCache())
    assert held == [8] * (many // 8)


def test_parts_that_fit_give_what_the_whole_gives(clip, video):
    whole, parts = (encode_frames([job(video, 0, 50, 90)], clip, MemoryCache(), most)[0] for most in (2**29, 1))
    np.testing.assert_allclose(parts.vectors, whole.vectors, atol=1e-5)


def test_a_video_that_cannot_be_decoded_is_an_error_in_its_place(clip, video):
    class Broken:
        info, frame_size = video.info, video.reader.frame_size

        def frames(self, indices):
            raise VideoError("film.mp4", "it is damaged", "take another")

    broken, whole = encode_frames([job(OpenVideo(Broken(), "broken"), 1), job(video, 1)], clip, MemoryCache())
    assert isinstance(broken, VideoError) and whole.vectors.shape[0] == 1


def test_a_blip_has_features_and_is_asked_for_every_text_all_the_same(video, tmp_path):
    blip, cache = load_scorer(tiny_blip(tmp_path), "cpu"), MemoryCache()
    [seen] = encode_frames([job(video, 0, 60)], blip, cache)
    model = blip.model
    pixels = blip.processor.image_processor(list(video.reader.frames([0, 60])), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        own = model.vision_proj(model.vision_model(pixel_values=pixels).last_hidden_state[:, 0])
    np.testing.assert_allclose(seen.vectors, torch.nn.functional.normalize(own, dim=-1).numpy(), atol=1e-5)
    [scored] = score_frames([ScoreJob(video, "a disc", np.array([0, 60]))], blip, cache)
    np.testing.assert_array_equal(scored.values, blip.score(video.reader.frames([0, 60]), ["a disc"])[:, 0])


def test_a_scorer_that_reads_image_and_text_together_has_no_features(video, tmp_path):
    with pytest.raises(ConfigError, match="features=captions"):
        encode_frames([job(video, 1)], load_scorer(tiny_blip2(tmp_path), "cpu"), MemoryCache())


def test_features_that_are_no_numbers_are_refused(video):
    class Broken:
        identity = "broken"
        score = logits = compare = lambda self, *_: np.zeros(0)  # not reached

        def encode(self, frames):
            return np.full((len(frames), 2), np.nan, np.float32)

    [error] = encode_frames([job(video, 1)], Broken(), MemoryCache())
    assert isinstance(error, CallError) and "'broken' gives features that hold NaN" in str(error)
