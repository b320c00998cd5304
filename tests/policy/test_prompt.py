"""The prompts of the policy: what they say, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompt import REPLY_SHOWN, again_prompt, policy_completion, policy_prompt
from lmms_videominer.types import Action, Reading


def test_the_prompt_about_a_part_by_hand():
    context = ("Accepted so far: none", "Captions left: 7 of 20", "Part: 0:00:41.0-0:00:48.0 of 0:01:04")
    assert policy_prompt("Where is the red disc?", "a red disc\na wall", 2, 3, context) == (
        "You search a long video for the moments that answer a question. Decide about one part of the video: "
        "accept = it shows what the question asks about; continue = it may hold it, look closer; "
        "delete = it has nothing to do with the question.\n"
        "Reply as <think>reasoning</think><action>accept, continue or delete</action>\n"
        "Question: Where is the red disc?\n"
        "Accepted so far: none\n"
        "Captions left: 7 of 20\n"
        "Part: 0:00:41.0-0:00:48.0 of 0:01:04\n"
        "Depth: 2 of 3\n"
        "Caption of this part:\n"
        "a red disc\n"
        "a wall"
    )


def test_prompts_of_one_question_differ_only_at_their_ends():
    first, second = (policy_prompt("Where is the red disc?", caption, 1, 3) for caption in ("a wall", "a red disc"))
    assert first.removesuffix("a wall") == second.removesuffix("a red disc")


def test_a_prompt_without_reasoning_asks_for_the_action_alone():
    prompt = policy_prompt("Where?", "a wall", 1, 3, reasoning=False)
    assert "\nReply as <action>accept, continue or delete</action>\nQuestion: Where?\n" in prompt


def test_the_prompt_about_several_parts_by_hand():
    parts = [
        Part("Where?", caption, depth, 3, ("Captions left: 7 of 20", f"Part: {place}"))
        for caption, depth, place in (("a wall\na disc", 1, "first"), ("", 2, "second"))
    ]
    prompt = replace(parts[0], beside=(parts[1],)).prompt
    head, _, rest = prompt.partition("\nQuestion: ")
    assert "Decide about each of several parts of the video: accept = " in head
    assert head.endswith(
        "Reply with one line for each part, in order: its number and a full stop, then "
        "<think>reasoning</think><action>accept, continue or delete</action>"
    )
    assert rest == (
        "Where?\nCaptions left: 7 of 20\n"
        "Part 1\nPart: first\nDepth: 1 of 3\nCaption of this part:\na wall\na disc\n"
        "Part 2\nPart: second\nDepth: 2 of 3\nCaption of this part:\n(none)"
    )


def test_the_prompt_about_the_whole_asks_what_to_look_for_and_holds_no_depth_and_no_caption():
    prompt = policy_prompt("Where is the red disc?", "", 0, 3, ("Length: 0:01:04",))
    assert prompt.endswith("\nQuestion: Where is the red disc?\nLength: 0:01:04")
    assert "one moment per line" in prompt and "Depth:" not in prompt and "Caption" not in prompt


def test_an_empty_caption_is_told():
    assert policy_prompt("Where?", "", 1, 3).endswith("\nCaption of this part:\n(none)")


def test_braces_of_questions_and_captions_stay_as_they_are():
    prompt = policy_prompt("Where is {caption}?", "{question} and {0}", 1, 3, ("{depth}",))
    assert "Question: Where is {caption}?\n{depth}\nDepth: 1 of 3\nCaption of this part:\n{question} and {0}" in prompt


def test_a_part_puts_itself_with_its_context():
    part = Part("Where?", "a wall", 1, 3, ("Captions left: 7 of 20",))
    assert part.prompt == policy_prompt("Where?", "a wall", 1, 3, ["Captions left: 7 of 20"])
    assert Part("Where?", "", 0, 3).prompt == policy_prompt("Where?", "", 0, 3)


def test_what_is_asked_again_shows_the_end_of_the_reply_after_the_whole_prompt():
    prompt = policy_prompt("Where?", "a wall", 1, 3)
    again = again_prompt(prompt, "x" * 9 + "y" * REPLY_SHOWN)
    assert again.startswith(prompt + "\nYou replied:\ny") and again.count("y" * REPLY_SHOWN) == 1
    assert again.endswith("Reply with one word: accept, continue or delete.")


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("reasoning", ["", "it shows a wall", "a red disc\na blue box"])
def test_what_the_cold_start_teaches_is_read_strictly(action, reasoning):
    assert parse_completion(policy_completion(reasoning, action), Action.CONTINUE) == (action, Reading.STRICT)


@pytest.mark.parametrize("depth", [0, 1])
def test_an_echo_of_the_instructions_names_no_action(depth):
    prompt = policy_prompt("Where?", "a wall" if depth else "", depth, 3)
    assert parse_completion(prompt, Action.DELETE) == (Action.DELETE, Reading.DEFAULT)
