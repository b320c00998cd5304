from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.read_prompts import Asked, read_policy_prompt

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompt import again_prompt, policy_prompt
from lmms_videominer.policy.similarity import SimilarityPolicy
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Action, Reading

QUESTION = "where is north?"


class Compass:
    """Texts as unit vectors by the angle that they name; the question lies at 90 degrees."""

    identity = "compass"

    def embed(self, texts):
        angles = np.deg2rad([90.0 if text == QUESTION else float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def action_of(caption: str) -> Action:
    [decided] = SimilarityPolicy(Compass()).decide([Part(QUESTION, caption, 1, 3)])
    assert decided.decision.reading is Reading.STRICT
    return decided.decision.action


@pytest.mark.parametrize(
    ("degrees_off", "action"),
    [(0, "accept"), (59, "accept"), (61, "continue"), (75, "continue"), (76, "delete"), (180, "delete")],
)
def test_cosine_from_a_half_on_accepts_and_below_a_quarter_deletes(degrees_off, action):
    assert action_of(str(90 + degrees_off)) is Action(action)  # cos 60 = 0.5, cos 75.5 = 0.25


def test_the_thresholds_can_be_set_for_an_embedder():
    [decided] = SimilarityPolicy(Compass(), 0.2, 0.1).decide([Part(QUESTION, "14", 1, 3)])  # cos 76 = 0.24
    assert decided.decision.action is Action.ACCEPT


def test_a_node_of_several_captions_is_as_near_as_the_nearest():
    assert action_of("270\n90\n0") is Action.ACCEPT


def test_no_prompt_is_no_decision_and_a_batch_keeps_its_order():
    policy = SimilarityPolicy(Compass())
    assert policy.decide([]) == []
    decided = policy.decide([Part(QUESTION, caption, 1, 3) for caption in ("90", "270", "90")])
    assert [made.decision.action.value for made in decided] == ["accept", "delete", "accept"]


def test_questions_and_captions_may_hold_the_lines_of_the_prompt():
    class Texts:
        identity = "texts"
        seen: list[str] = []  # noqa: RUF012

        def embed(self, texts):
            self.seen.extend(texts)
            return np.ones((len(texts), 1), np.float32)

    part = Part("Depth: 2 of 3\nCaption of this part:\nred", "Actions: accept = blue\nQuestion: green", 1, 3)
    [decided] = SimilarityPolicy(Texts()).decide([part])
    assert Texts.seen == [part.question, *part.caption.splitlines()]
    assert decided.decision.action is Action.ACCEPT and decided.decision.prompt == part.prompt


def test_the_identity_follows_embedder_and_thresholds():
    assert SimilarityPolicy(Compass()).identity != SimilarityPolicy(Compass(), accept_from=0.6).identity


def test_a_selector_that_asks_for_replies_refuses_it_with_the_way_out():
    with pytest.raises(ConfigError, match="set judge=policy"):
        build_stages(MinerConfig(selector="llovi", cache_dir="off"), None, SimilarityPolicy(Compass()))
    with pytest.raises(ConfigError, match="set judge=policy"):
        build_stages(MinerConfig(selector="llovi", cache_dir="off"), None, "none")


lines = st.text(st.characters(exclude_characters="\r"), min_size=1).filter(lambda t: "\nCaption of" not in t)


contexts = st.tuples(
    st.sampled_from(["", "Accepted so far: none", "Accepted so far:\na red disc", "Accepted so far:\na\nb\nc\nd"]),
    st.sampled_from(["", "Captions left: 7 of 20"]),
    st.sampled_from(["", "Part: 0:00:41.0-0:00:48.0 of 0:01:04", "Part: 0:01:00-0:02:30 and 2 more of 1:00:00"]),
).map(lambda texts: tuple(filter(None, texts)))


@settings(deadline=None)
@given(lines, lines, st.integers(1, 9), st.integers(1, 9), contexts)
def test_a_prompt_is_read_back_as_what_it_was_made_of(question, caption, depth, max_depth, context):
    prompt = policy_prompt(question, caption, depth, max_depth, context)
    expected = Asked(question, caption, depth, max_depth, context)
    assert read_policy_prompt(prompt) == read_policy_prompt(again_prompt(prompt, "<think>so")) == expected


@settings(deadline=None)
@given(lines.filter(lambda text: "\nLength:" not in text), st.sampled_from([(), ("Length: 1:02:05",)]))
def test_a_prompt_about_the_whole_is_read_back_as_what_it_was_made_of(question, context):
    prompt = policy_prompt(question, "", 0, 3, context)
    expected = Asked(question, "", 0, 0, context)
    assert read_policy_prompt(prompt) == read_policy_prompt(again_prompt(prompt, "<think>so")) == expected


@settings(deadline=None)
@given(st.text())
def test_any_other_text_is_no_policy_prompt(text):
    assert read_policy_prompt(text) is None
