from __future__ import annotations

import json

import pytest
from support.conversation import case_of, converse, frames_of
from support.read_prompts import read_policy_prompt

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.prompt import policy_completion
from lmms_videominer.selectors.settings import configured
from lmms_videominer.selectors.videoagent import VideoAgentSelector
from lmms_videominer.types import Action, Reading


def like_seven(text: str) -> list[float]:
    """``a dog`` is like second 7 above all, second 16 the next."""
    return {"a dog": [1.0, 0.0], "second 7": [1.0, 0.1], "second 16": [1.0, 0.2]}.get(text, [0.0, 1.0])


class Agent:
    """Grades itself by ``confidences`` in turn, and wants to see ``wishes`` (segment, description)."""

    def __init__(self, confidences: list[int], *wishes: tuple[int, str]):
        self.confidences, self.wishes = list(confidences), wishes

    def __call__(self, prompt: str) -> str:
        if '"confidence"' in prompt:
            return json.dumps({"confidence": self.confidences.pop(0)})
        if '"frames"' in prompt:
            return json.dumps({"frames": [{"segment": s, "description": d} for s, d in self.wishes]})
        return "It is A."


def talk(reply, frames: int = 4, seconds: int = 20, **settings):
    config = configured(selector="videoagent", frames=frames, **settings)
    return converse(VideoAgentSelector, case_of(seconds, config, "Where?", ("here", "there")), reply, like_seven)


def test_five_uniform_frames_from_the_first_to_the_last_do_for_a_sure_model():
    found, prompts = talk(Agent([3]), frames=5)
    assert frames_of(found) == [0, 4, 9, 14, 19] and len(prompts) == 2
    assert found.fallbacks == () and {frame.score for frame in found.key_frames} == {None}
    assert "\nat 4 s: second 4\nat 10 s: second 9\n" in prompts[0] and "A. here\nB. there" in prompts[0]
    assert prompts[0] in prompts[1] and "It is A." in prompts[1]


def test_the_frame_of_the_gap_that_is_most_like_the_description_is_added_and_comes_first():
    found, prompts = talk(Agent([2, 3], (2, "a dog")))  # segment 2: seconds 5 to 8
    assert frames_of(found) == [0, 7, 9, 19]  # second 7, and 3 of the first 5 thinned evenly
    assert len(prompts) == 5
    assert "\n2. 4 s to 10 s\n" in prompts[2] and "at 8 s: second 7" in prompts[3]
    added = found.key_frames[1]
    assert added.node_id == "0.1.0" and added.score == pytest.approx(1 / 1.01**0.5)
    wish = next(node for node in found.nodes if node.id == "0.1.0")
    assert (wish.decision.text, wish.caption) == ("a dog", "second 7")
    assert [node.decision.action for node in found.nodes if node.depth == 1] == [Action.CONTINUE, Action.ACCEPT]


def test_a_gap_gives_its_best_frame_even_where_another_gap_has_a_better_one():
    found, _ = talk(Agent([1, 3], (4, "a dog"), (2, "a dog")), frames=2)
    assert frames_of(found) == [7, 16]
    assert frames_of(talk(Agent([1, 3], (4, "a dog"), (2, "a dog")), frames=1)[0]) == [7]


def test_three_looks_are_the_most_and_nothing_is_asked_after_the_last():
    found, prompts = talk(Agent([1, 1], (1, "a dog"), (2, "a dog")), frames=8)
    assert len(prompts) == 6
    assert [node.note for node in found.nodes if node.depth == 1] == ["", "", "last_look"]


def test_a_segment_without_a_frame_inside_gives_none():
    found, prompts = talk(Agent([1, 1, 1], (1, "a dog")), seconds=5, frames=4)  # every candidate is seen at once
    assert len(prompts) == 2 and found.fallbacks == ()


def test_unreadable_replies_end_the_search_and_are_counted():
    found, prompts = talk(lambda prompt: "hm", frames=8)
    assert len(prompts) == 3
    assert found.fallbacks == ("unread_confidence", "unread_wishes", "filled")
    assert set(frames_of(found)) > {0, 4, 9, 14, 19}
    assert found.nodes[1].decision.reading is Reading.DEFAULT


def test_one_look_asks_nothing():
    found, prompts = talk(Agent([]), frames=5, videoagent_rounds=1)
    assert prompts == [] and frames_of(found) == [0, 4, 9, 14, 19]


def test_the_policy_may_judge_each_frame_and_the_question_is_then_what_is_wanted():
    def reply(prompt: str) -> str:
        caption = read_policy_prompt(prompt).caption
        actions = {"second 7": Action.ACCEPT, "second 4": Action.CONTINUE}
        return policy_completion("so", actions.get(caption, Action.DELETE))

    config = MinerConfig(frames=1, judge="policy")
    found, prompts = converse(VideoAgentSelector, case_of(20, config, "a dog"), reply, like_seven)
    assert frames_of(found) == [7]  # of the gaps beside second 4, the second holds it
    assert len(prompts) == 5 + 7  # seconds 7 and one of the first gap were added; then one is accepted
