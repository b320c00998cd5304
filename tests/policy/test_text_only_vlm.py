from __future__ import annotations

from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.text_only_vlm import TextOnlyVLM
from lmms_videominer.vlm.vlm import VLMRequest


class Echo:
    identity = "echo"

    def __init__(self):
        self.calls = []

    def generate(self, requests):
        self.calls.append(list(requests))
        return [request.prompt.upper() for request in requests]


def test_the_video_llm_is_asked_once_without_frames():
    vlm = Echo()
    completions = TextOnlyVLM(vlm, max_new_tokens=33).complete(["a", "b"], temperature=0.5, seeds=[1, 2])
    assert completions == [Completion("A"), Completion("B")]
    assert vlm.calls == [[VLMRequest("a", None, 33, (), 0.5), VLMRequest("b", None, 33, (), 0.5)]]


def test_no_prompt_makes_no_call():
    vlm = Echo()
    assert TextOnlyVLM(vlm).complete([]) == [] and vlm.calls == []


def test_the_identity_follows_the_video_llm():
    vlm = Echo()
    before = TextOnlyVLM(vlm).identity
    vlm.identity = "another"
    assert TextOnlyVLM(vlm).identity != before
