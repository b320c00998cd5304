"""One contract suite over every row of the table of backbones, in each form that it has.

The models cannot run here (``test_pixels.py`` runs five that can, tiny). What runs is our side, against a backbone that
reads the file as the row says that the real one does, and that tells what it saw.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import decord
import numpy as np
import pytest
from lmms_eval.api.instance import Instance

from lmms_videominer.lmms.backbone_vlm import BackboneVLM
from lmms_videominer.lmms.driver import Driver
from lmms_videominer.lmms.profiles import PROFILES, UNLISTED, Profile
from lmms_videominer.lmms.uniform_frames import even_indices, linspace_indices, qwen_indices, rounded_indices
from lmms_videominer.vlm.vlm import VLMRequest

OWN_COUNT, LEAST_TOKENS = 77, 4096  # settings of the backbone before and after a call
FRAMES = np.stack([np.full((48, 64, 3), 9 * number, np.uint8) for number in range(8)])


def middles(frame_count: int, average_fps: float, wanted: int) -> np.ndarray:
    """The middle frame of each of ``wanted`` equal parts, as InternVL samples."""
    return ((np.arange(wanted) + 0.5) * frame_count / wanted).astype(int)


def by_time(rate: float):
    """``rate`` frames a second, as backbones sample whose count is a limit only."""
    return lambda frame_count, average_fps, wanted: np.arange(0, frame_count, average_fps / rate).astype(int)


def sampler(profile: Profile):
    """How the backbone samples the frames of a file that it is given."""
    if profile.repeat > 1:
        return middles
    known = {"linspace": linspace_indices, "qwen": qwen_indices, "even": even_indices, "rounded": rounded_indices}
    return known[profile.sampling] if profile.sampling in known else by_time(profile.file_fps)


@dataclass
class Call:
    """What one call of the backbone was made with; ``seen``: gray levels of the sampled frames of each request."""

    settings: dict[str, Any]
    seen: list[list[int]] = field(default_factory=list)
    generation: list[dict[str, Any]] = field(default_factory=list)


class RecordingBackbone(SimpleNamespace):
    """Samples its visuals by the row's rule, and answers with the prompt and the frames that it saw."""

    def __init__(self, profile: Profile, is_simple: bool):
        own = {name: OWN_COUNT for name in profile.count} | {name: "own" for name, _ in profile.fixed}
        super().__init__(**own, **dict.fromkeys(profile.least_tokens, LEAST_TOKENS))
        self.attributes = (*own, *profile.least_tokens)
        self.profile, self.is_simple, self.calls, self.task_dict = profile, is_simple, [], {"own": {}}

    def generate_until(self, requests: list[Instance]) -> list[str]:
        call = Call({name: getattr(self, name) for name in self.attributes})
        self.calls.append(call)
        replies = []
        for request in requests:
            context, first, second, doc_id, task, split = request.args
            generation, shows = (first, second) if self.is_simple else (second, first)
            shown = shows(self.task_dict[task][split][doc_id])
            videos = (
                shown
                if self.is_simple
                else [part["url"] for turn in shown for part in turn["content"] if part["type"] == "video"]
            )
            call.seen.append([level for video in videos for level in self._sampled(video)])
            call.generation.append(generation)
            replies.append(f" {context}: {call.seen[-1]} ")
        return replies

    def _sampled(self, video: str | np.ndarray) -> list[int]:
        count = next((getattr(self, name) for name in self.profile.count), 0)
        if self.profile.in_memory:
            assert isinstance(video, np.ndarray)
            frames, fps = video, self.profile.file_fps * self.profile.repeat
        else:
            reader = decord.VideoReader(video)
            frames, fps = reader.get_batch(range(len(reader))).asnumpy(), reader.get_avg_fps()
        return frames[sampler(self.profile)(len(frames), fps, count)][:, 0, 0, 0].tolist()


FORMS = [
    pytest.param(profile, is_simple, id=f"{profile.backbone or 'unlisted'}-{'simple' if is_simple else 'chat'}")
    for profile in (*PROFILES.values(), dataclasses.replace(UNLISTED, simple="any"))
    for is_simple in (True, False)
    if (profile.simple if is_simple else profile.chat)
]
every_form = pytest.mark.parametrize(("profile", "is_simple"), FORMS)


def replies(profile: Profile, is_simple: bool, *requests: VLMRequest) -> tuple[RecordingBackbone, list[str]]:
    backbone = RecordingBackbone(profile, is_simple)
    return backbone, BackboneVLM(Driver(backbone, profile, is_simple), "recording").generate(requests)


def test_no_row_is_left_out():
    tested = {param.values[0].backbone for param in FORMS}
    assert tested == {*PROFILES, UNLISTED.backbone}
    assert all(profile.count and (profile.simple or profile.chat) for profile in PROFILES.values())


@every_form
@pytest.mark.parametrize("count", [1, 4, 7])
def test_the_backbone_sees_each_chosen_frame_once_and_in_order(profile: Profile, is_simple: bool, count: int):
    backbone, [reply] = replies(profile, is_simple, VLMRequest("look", FRAMES[:count], 20))
    padding = -count % profile.multiple
    levels = [9 * number for number in range(count)] + [9 * (count - 1)] * padding
    assert backbone.calls[0].seen == [levels] and reply == f"look: {levels}"


@every_form
def test_the_settings_of_the_backbone_hold_for_one_call(profile: Profile, is_simple: bool):
    backbone, _ = replies(profile, is_simple, VLMRequest("look", FRAMES[:4], 20))
    expected = dict.fromkeys(profile.count, 4) | dict(profile.fixed) | dict.fromkeys(profile.least_tokens, 20)
    assert backbone.calls[0].settings == expected
    assert all(getattr(backbone, name) == OWN_COUNT for name in profile.count)
    assert all(getattr(backbone, name) == "own" for name, _ in profile.fixed)
    assert all(getattr(backbone, name) == LEAST_TOKENS for name in profile.least_tokens)
    assert backbone.task_dict == {"own": {}}


@every_form
def test_a_prompt_without_frames_comes_with_a_blank_clip_only_where_one_is_required(profile: Profile, is_simple: bool):
    backbone, _ = replies(profile, is_simple, VLMRequest("think", None, 20))
    needs_one = is_simple and not profile.text_only
    assert [bool(seen) for seen in backbone.calls[0].seen] == [needs_one]
    assert set(backbone.calls[0].seen[0]) <= {0}


@every_form
def test_replies_come_in_the_order_of_the_requests_and_are_stripped(profile: Profile, is_simple: bool):
    asked = [VLMRequest(f"ask {number}", FRAMES[:count], 20) for number, count in enumerate((4, 2, 4, 2))]
    backbone, given = replies(profile, is_simple, *asked)
    assert [text.split(":")[0] for text in given] == ["ask 0", "ask 1", "ask 2", "ask 3"]
    assert [len(call.seen) for call in backbone.calls] == [2, 2]  # the same number of frames, the same call
    for call in backbone.calls:
        assert all(settings["max_new_tokens"] == 20 and settings["until"] for settings in call.generation)
