from __future__ import annotations

import json

import numpy as np
import pytest
from support.conversation import case_of, converse, frames_of
from support.read_prompts import read_policy_prompt

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.prompt import policy_completion
from lmms_videominer.selectors.settings import configured
from lmms_videominer.selectors.videotree import VideoTreeSelector
from lmms_videominer.types import Action, Reading

# Seconds 0 to 3 look alike, and seconds 4 to 19 are four alike fours; the angles tell them apart, in degrees. In each
# four, the third lies nearest to the mean, 0.85; of all sixteen, with the mean 90 + 15.5 + 0.85, it is 90 + 20 + 0.
WITHIN = (0.0, 0.5, 0.9, 2.0)
ANGLES = [*WITHIN, *(90 + four + angle for four in (0, 10, 20, 32) for angle in WITHIN)]


def by_angle(caption: str) -> list[float]:
    angle = np.deg2rad(ANGLES[int(caption.split()[1])])
    return [float(np.cos(angle)), float(np.sin(angle))]


def spread(named: str) -> list[float]:
    angle = np.deg2rad(5.0 * int(named.split()[1]))
    return [float(np.cos(angle)), float(np.sin(angle))]


def rated(*relevance: int) -> str:
    return json.dumps({"answer": "A", "confidence": 2, "relevance": list(relevance)})


def tree(reply: str, frames: int, **settings):
    settings = {"videotree_first": 2, "videotree_most": 2, "frames": frames, **settings}
    return converse(
        VideoTreeSelector, case_of(20, configured(selector="videotree", **settings)), lambda prompt: reply, by_angle
    )


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (1, [12]),  # the representative of the relevant cluster
        (4, [6, 12, 14, 18]),  # and, thinned evenly, those of its four parts: 6, 10, 14, 18
        (5, [6, 10, 12, 14, 18]),
        (8, [5, 6, 10, 11, 12, 14, 17, 18]),  # and 3 of the 11 that are left of their parts
        (17, [2, *range(4, 20)]),  # all of them before the representative of the irrelevant cluster
        (18, [0, 2, *range(4, 20)]),  # then the longest stretch without a frame
    ],
)
def test_a_cluster_of_relevance_3_is_split_into_4_and_each_again_and_comes_first(frames, expected):
    found, _ = tree(rated(1, 3), frames)
    assert frames_of(found) == expected


@pytest.mark.parametrize(("frames", "expected"), [(2, [12, 14]), (5, [6, 10, 12, 14, 18]), (6, [2, 6, 10, 12, 14, 18])])
def test_a_cluster_of_relevance_2_is_split_once(frames, expected):
    found, _ = tree(rated(1, 2), frames)
    assert frames_of(found) == expected


def test_clusters_of_relevance_1_keep_their_representatives():
    assert frames_of(tree(rated(1, 1), 2)[0]) == [2, 12]


def test_a_frame_tells_its_cluster_and_its_relevance_and_a_filler_tells_none():
    found, _ = tree(rated(1, 3), 18)
    by_index = {frame.frame_index: frame for frame in found.key_frames}
    assert (by_index[2].node_id, by_index[2].score) == ("0.0.0", 1.0)
    assert (by_index[12].node_id, by_index[12].score) == ("0.0.1", 3.0)
    assert (by_index[6].node_id, by_index[6].score) == ("0.0.1.0", 3.0)
    assert (by_index[0].node_id, by_index[0].score) == (None, None)
    assert found.fallbacks == ("filled",)
    assert {node.id: node.decision.action for node in found.nodes if node.depth == 2} == {
        "0.0.0": Action.DELETE,
        "0.0.1": Action.ACCEPT,
    }
    assert {frame.node_id for frame in found.key_frames} - {None} <= {node.id for node in found.nodes}


def test_the_prompt_shows_the_representatives_in_order_with_the_question_and_its_options():
    config = configured(selector="videotree", videotree_first=2, videotree_most=2, frames=4)
    case = case_of(20, config, "Which one?", ("this", "that"))
    _, [prompt] = converse(VideoTreeSelector, case, lambda prompt: rated(1, 3), by_angle)
    assert "\n1. at 2 s: second 2\n2. at 12 s: second 12\n" in prompt
    assert "Which one?\nA. this\nB. that\n" in prompt and "one rating for each of the 2 frames" in prompt


@pytest.mark.parametrize(("threes", "rounds"), [(0, [8, 16, 32]), (3, [8, 16, 32]), (4, [8])])
def test_rounds_widen_8_16_32_until_4_clusters_are_highly_relevant(threes, rounds):
    widths = []

    def reply(prompt: str) -> str:
        widths.append(prompt.count(": second "))
        return rated(*([3] * threes + [1] * (widths[-1] - threes)))

    found, _ = converse(VideoTreeSelector, case_of(64, MinerConfig(frames=8)), reply, spread)
    assert widths == rounds and found.fallbacks == ()
    assert [node.id for node in found.nodes if node.depth == 1] == [f"0.{i}" for i in range(len(rounds))]


@pytest.mark.parametrize(
    ("most", "rounds", "told"), [(23, 1, ("max_vlm_calls",)), (24, 2, ("max_vlm_calls",)), (64, 3, ())]
)
def test_with_image_features_a_round_that_might_exceed_the_allowance_is_not_begun_and_that_is_told(most, rounds, told):
    """8 captions in the first round; the second may ask for 16 more, the third for 32."""

    case = case_of(64, MinerConfig(frames=8, max_vlm_calls=most), features="scorer")
    found, prompts = converse(VideoTreeSelector, case, lambda prompt: rated(*[1] * prompt.count(": second ")), spread)
    assert len(prompts) == rounds and len(case.captioned) <= most and found.fallbacks == told


def test_no_more_clusters_than_there_are_different_frames_end_the_rounds():
    found, prompts = converse(
        VideoTreeSelector, case_of(64, MinerConfig(frames=8)), lambda prompt: rated(1, 1), lambda c: [1.0, 0.0]
    )
    assert len(prompts) == 1 and len(found.key_frames) == 8


def test_an_unreadable_reply_keeps_the_representatives_and_is_counted():
    found, _ = tree("I cannot tell.", 2)
    assert frames_of(found) == [2, 12] and found.fallbacks == ("unread_relevance",)
    assert {node.decision.reading for node in found.nodes if node.decision} == {Reading.DEFAULT}


def test_the_policy_may_judge_each_representative_in_its_own_format():
    config = configured(selector="videotree", videotree_first=2, videotree_most=2, frames=5, judge="policy")

    def reply(prompt: str) -> str:
        asked = read_policy_prompt(prompt)
        return policy_completion("so", Action.ACCEPT if asked.caption == "second 12" else Action.DELETE)

    found, prompts = converse(VideoTreeSelector, case_of(20, config), reply, by_angle)
    assert len(prompts) == 2 and frames_of(found) == [6, 10, 12, 14, 18]
