from __future__ import annotations

import pytest
from support.conversation import case_of, converse, frames_of
from support.read_prompts import read_policy_prompt

from lmms_videominer.policy.prompt import policy_completion
from lmms_videominer.selectors.llovi import LLoViSelector
from lmms_videominer.selectors.settings import configured
from lmms_videominer.types import Action, Reading


def talk(reply, frames: int = 3, seconds: int = 20, **settings):
    config = configured(selector="llovi", frames=frames, **settings)
    return converse(LLoViSelector, case_of(seconds, config, "Where?", ("here", "there")), reply)


def test_the_frames_are_those_of_the_clips_that_the_reply_names():
    found, [prompt] = talk(lambda prompt: '{"answer": "A", "clips": [13, 14, 15]}')
    assert frames_of(found) == [12, 13, 14] and found.fallbacks == ()
    assert "\n1. 0-1 s: second 0\n" in prompt and "\n20. 19-20 s: second 19\n" in prompt
    assert "Where?\nA. here\nB. there\n" in prompt


def test_neighbouring_clips_are_one_node_and_every_frame_names_its_own():
    found, _ = talk(lambda prompt: '{"clips": [2, 13, 14]}')
    assert [(node.id, node.decision.text) for node in found.nodes if node.depth == 2] == [
        ("0.0.0", "clip 2"),
        ("0.0.1", "clips 13-14"),
    ]
    assert [(frame.frame_index, frame.node_id) for frame in found.key_frames] == [
        (1, "0.0.0"),
        (12, "0.0.1"),
        (13, "0.0.1"),
    ]


def test_what_the_clips_lack_is_filled_from_the_longest_stretches_without_a_frame():
    found, _ = talk(lambda prompt: '{"clips": [13, 14, 15]}', frames=5)
    assert frames_of(found) == [5, 8, 12, 13, 14]  # the middle of 0 to 11, then of 6 to 11
    assert found.fallbacks == ("filled",) and found.key_frames[0].node_id is None


def test_a_reply_that_names_no_clip_gives_uniform_frames_and_is_counted():
    found, _ = talk(lambda prompt: "Somewhere.", frames=4)
    assert frames_of(found) == [2, 7, 12, 17] and found.fallbacks == ("unread_clips",)
    assert found.nodes[1].decision.reading is Reading.DEFAULT


def test_a_summary_knows_the_question_and_not_the_options_and_stands_for_the_captions():
    replies = iter(["First a dog (clip 5), then nothing.", '{"clips": [5]}'])
    found, prompts = talk(lambda prompt: next(replies), frames=1, llovi_summary_words=500)
    assert "at most 500 words" in prompts[0] and "Where?" in prompts[0] and "A. here" not in prompts[0]
    assert "First a dog" in prompts[1] and "second 4" not in prompts[1] and "A. here" in prompts[1]
    assert frames_of(found) == [4]
    assert [node.id for node in found.nodes] == ["0", "0.0", "0.0.0", "0.0.0.0"]


@pytest.mark.parametrize(("settings", "clips"), [({"llovi_clip_s": 4.0}, 5), ({"max_vlm_calls": 8}, 8)])
def test_clips_are_as_long_as_asked_for_or_as_the_allowance_needs(settings, clips):
    _, [prompt] = talk(lambda prompt: "", **settings)
    assert prompt.count(": second ") == clips


@pytest.mark.parametrize(
    ("accepted", "continued", "expected", "fallbacks"),
    [
        ({12, 13}, {3, 4}, [12, 13], ()),
        (set(), {3, 4}, [3, 4], ()),
        (set(), set(), [5, 15], ("all_deleted",)),
    ],
)
def test_the_policy_may_judge_each_clip(accepted, continued, expected, fallbacks):
    def reply(prompt: str) -> str:
        second = int(read_policy_prompt(prompt).caption.split()[1])
        action = Action.ACCEPT if second in accepted else Action.CONTINUE if second in continued else Action.DELETE
        return policy_completion("so", action)

    found, prompts = talk(reply, frames=2, judge="policy")
    assert len(prompts) == 20 and frames_of(found) == expected and found.fallbacks == fallbacks
    assert all("Depth: 3 of 3" in prompt for prompt in prompts)  # nothing is looked at more closely afterwards
