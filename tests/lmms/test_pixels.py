"""Five backbones through lmms-eval's own command line: what reaches the vision tower is exactly the chosen frames."""

from __future__ import annotations

import pytest
import torch
from support.evaluation import PIXELS, SETTINGS, evaluate, frames_of, note_of, tower_input, watching
from support.tiny_models import VIDEO_MODELS
from transformers import AutoProcessor

from lmms_videominer.lmms.handover import padded
from lmms_videominer.lmms.profiles import PROFILES

pytestmark = pytest.mark.evaluates


def was_shown(seen, expected: torch.Tensor) -> bool:
    same_shape = [given for given in seen.towers if given.shape == expected.shape]
    return any(torch.equal(given.float(), expected.to(given.dtype).float()) for given in same_shape)


@pytest.mark.parametrize("backbone", VIDEO_MODELS)
def test_the_backbone_sees_the_chosen_frames_and_no_others(backbone, tiny, task, videos, tmp_path):
    arguments = f"pretrained={tiny(backbone)},{SETTINGS}{PIXELS.get(backbone, '')}"
    with watching() as seen:
        samples = evaluate(tmp_path, f"videominer_{backbone}", arguments, "tiny_video", task)

    processor, multiple = AutoProcessor.from_pretrained(tiny(backbone)), PROFILES[backbone].multiple
    assert len(samples) == 3
    for sample in samples:
        note, video = note_of(sample), videos[sample["doc_id"] % 2]
        chosen = note["frames"]
        assert note["how"] == "mined" and len(chosen) == 4 and chosen == sorted(set(chosen))
        assert was_shown(seen, tower_input(processor, padded(frames_of(video, chosen), multiple)))
        shifted = [i - 1 for i in chosen] if chosen[0] else [i + 1 for i in chosen[:-1]] + [chosen[-1] - 1]
        assert not was_shown(seen, tower_input(processor, padded(frames_of(video, shifted), multiple)))


@pytest.mark.parametrize("form", [(), ("--force_simple",)])
def test_qwen3_vl_is_told_when_the_frames_are_shown_in_their_video(form, tiny, task, tmp_path):
    arguments = f"pretrained={tiny('qwen3_vl')},frames=4,selector=oracle{PIXELS['qwen3_vl']}"
    with watching() as seen:
        samples = evaluate(tmp_path, "videominer_qwen3_vl", arguments, "tiny_video", task, *form)

    tokenizer = AutoProcessor.from_pretrained(tiny("qwen3_vl")).tokenizer
    prompts = ["".join(tokenizer.decode(ids).split()) for ids in seen.prompts]
    for sample in samples:
        first, second, third, last = note_of(sample)["times_s"]  # two frames a patch of the vision tower
        told = f"<{(first + second) / 2:.1f}seconds>", f"<{(third + last) / 2:.1f}seconds>"
        assert any(told[0] in prompt and told[1] in prompt for prompt in prompts), (told, prompts[0])


def test_an_odd_number_of_frames_is_padded_with_the_last_one(tiny, task, videos, tmp_path):
    with watching() as seen:
        samples = evaluate(
            tmp_path,
            "videominer_qwen2vl",
            f"pretrained={tiny('qwen2_vl')},frames=5,selector=oracle",
            "tiny_video",
            task,
        )

    chosen = note_of(samples[0])["frames"]
    processor = AutoProcessor.from_pretrained(tiny("qwen2_vl"))
    assert len(chosen) == 5
    assert was_shown(seen, tower_input(processor, frames_of(videos[0], [*chosen, chosen[-1]])))
