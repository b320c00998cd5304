"""Which tokens are control tokens, and how a text loses them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_families import FAMILIES

from lmms_videominer.lmms.plain_prompts import control_tokens as of_backbone
from lmms_videominer.models.plain_text import ControlTokens
from lmms_videominer.policy.prompt import policy_prompt
from lmms_videominer.vlm.transformers_vlm import control_tokens as of_processor


@pytest.fixture(scope="module", params=FAMILIES)
def tokenizer(request):
    return FAMILIES[request.param].tokenizer()


def test_the_prompts_of_the_policy_stay_whole_for_a_video_llm(tokenizer):
    prompt = policy_prompt("Where is the red disc?", "a disc", 1, 3)
    processor = SimpleNamespace(tokenizer=tokenizer, chat_template=tokenizer.chat_template, image_token="<image>")
    for tokens in (of_processor(processor), of_backbone(SimpleNamespace(processor=processor), of_task=False)):
        assert tokens.spaced(prompt) == prompt
        end = tokenizer.eos_token
        assert tokens.spaced(f"say {end} and <image>") == f"say {end[0]} {end[1:]} and < image>"


@given(st.lists(st.sampled_from(["<|a|>", "<|ab|>", "|a|>", "<", "<|", "x", " ", "[S]", "[", "<<|a|>"])).map("".join))
def test_no_control_token_is_left_however_tokens_overlap(text):
    tokens = ControlTokens.matching([r"<\|a\|>", r"<\|ab\|>", r"\[S\]", r"<<\|a\|>"])
    spaced = tokens.spaced(text)
    assert not any(token in spaced for token in ("<|a|>", "<|ab|>", "[S]", "<<|a|>"))
    assert spaced.replace(" ", "") == text.replace(" ", "") and tokens.spaced(spaced) == spaced
