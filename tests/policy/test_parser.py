from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.policy.parser import parse_completion, parse_judged, split_completion
from lmms_videominer.policy.prompt import numbered_completion, policy_completion, policy_prompt
from lmms_videominer.types import Action, Reading

ACCEPT, CONTINUE, DELETE = Action.ACCEPT, Action.CONTINUE, Action.DELETE


@pytest.mark.parametrize(
    "text, action",
    [
        ("<think>a red disc</think><action>accept</action>", ACCEPT),
        ("\n <think>two\nlines</think>\n<action>continue</action> \n", CONTINUE),
        ("<think></think><action>delete</action>", DELETE),
        ("<think>first I would accept, then continue</think><action>delete</action>", DELETE),
        ("<think>is a < b? Action: accept</think><action>delete</action>", DELETE),
    ],
)
def test_the_full_format_is_read_strictly(text, action):
    assert parse_completion(text, CONTINUE) == (action, Reading.STRICT)


@pytest.mark.parametrize(
    "text, action",
    [
        ("<action>delete</action>", DELETE),
        ("<think>never closed <action>delete</action>", DELETE),
        ("<think>x</think><action>DELETE</action>", DELETE),
        ("<think>x</think><action> accept </action>", ACCEPT),
        ("<think>x</think><action>**accept**</action>", ACCEPT),
        ("<think>x</think><action>accept", ACCEPT),
        ("<think>x</think><action>accept</action> I hope that helps.", ACCEPT),
        ("Sure! <think>x</think><action>accept</action>", ACCEPT),
        ("<think>x</think><action>delete</action><action>delete</action>", DELETE),
        ("<action>accept this part</action>", ACCEPT),
        ("Action: delete", DELETE),
        ("**Action:** delete", DELETE),
        ("The caption shows a cat.\n**Action**: **Accept**.", ACCEPT),
        ('{"reasoning": "no cat, do not accept", "action": "delete"}', DELETE),
        ("{'action': 'accept'}", ACCEPT),
        ("action = continue", CONTINUE),
        ("<think>Action: accept</think> Action: delete", DELETE),
        ("It may hold it.\n\nContinue\n", CONTINUE),
        ("I would delete most parts.\n**ACCEPT**.", ACCEPT),
        ("<think>first delete, then accept</think> continue", CONTINUE),
        ("<think><action>accept</action></think>", ACCEPT),
        ("Decision: delete", DELETE),
        ("**Decision:** Continue.", CONTINUE),
        ("**Action:** accept", ACCEPT),
        ("**Action**: `accept`\nIt shows the cat.", ACCEPT),
        ("My decision is to delete this part.", DELETE),
        ("The action is **accept**.", ACCEPT),
        ('{"decision": "continue"}', CONTINUE),
        ("{'decision': 'continue', 'reason': 'I would not delete it'}", CONTINUE),
        ("Delete: the part shows a dog, not a cat.", DELETE),
        ("**Delete**: nothing about the cat.", DELETE),
        ("**Delete:** nothing about the cat.", DELETE),
        ("Accept - it shows the cat.", ACCEPT),
        ("Accept \u2014 it shows the cat.", ACCEPT),
        ("Continue\nThe cat may be in it.", CONTINUE),
        ("There is no cat in it. I would delete this part.", DELETE),
        ("I would delete this part, as there is no cat.", DELETE),
        ("I'd accept it.", ACCEPT),
        ("I will continue.", CONTINUE),
        ("I would not accept this. I would continue.", CONTINUE),
        ("<think>I would accept it</think>\nI would delete this part.", DELETE),
    ],
)
def test_a_partly_right_text_is_read_leniently(text, action):
    default = DELETE if action is not DELETE else ACCEPT
    assert parse_completion(text, default) == (action, Reading.LENIENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "The caption shows a cat.",
        "do not delete",
        "deleted",
        "<action></action>",
        "<action>zoom</action>",
        "<action>accept</action><action>delete</action>",
        "<action>accept, continue or delete</action>",
        "<action>do not delete</action>",
        "Action: accept\nAction: delete",
        "Action: accept, continue or delete",
        "Action: accept or delete",
        "accept / delete",
        "I might accept, continue or delete it",
        "<action>accept</action> on reflection <action>delete</action>\ndelete",
        "I would not delete this",
        "I would not delete this part.",
        "I do not think I would delete this part.",
        "I don't believe I'd delete this part.",
        "I would delete this part if there were no cat.",
        "I would delete most parts of such films",
        "Decision: not delete",
        "My decision is not to delete it",
        "Delete: no",
        "Delete: no, it shows a cat",
        "Do not delete: it shows a cat",
        "<think>I would delete this part",
        "<think>delete: nothing of it</think>",
        "<think>reasoning</think><action>accept, continue or delete</action>",
        "reasoning</think><action>accept, continue or delete</action>",
        "Reply as <think>reasoning</think><action>accept, continue or delete</action>",
        "accept: this part shows it\ncontinue: look closer\ndelete: nothing to do with it",
        "Actions: accept = this part shows what the question asks about; continue = it may hold it",
        "Decision: accept, continue or delete",
        '{"decision": "accept | continue | delete"}',
        "I would accept it. I would delete it.",
    ],
)
@pytest.mark.parametrize("default", list(Action))
def test_what_names_no_single_action_takes_the_default(text, default):
    assert parse_completion(text, default) == (default, Reading.DEFAULT)


def test_an_echo_of_the_prompt_chooses_nothing():
    prompt = policy_prompt("Where is the cat?", "a cat", 1, 3)
    assert parse_completion(prompt, DELETE) == (DELETE, Reading.DEFAULT)


@given(st.text(), st.sampled_from(Action))
def test_any_text_is_read_without_an_error(text, default):
    action, reading = parse_completion(text, default)
    assert reading is not Reading.STRICT
    assert action is default or reading is Reading.LENIENT


_PIECES = ["<think>", "</think>", "<action>", "</action>", "accept", "delete", "Action:", "\n", " ", "**", "or", "no"]


@given(st.lists(st.sampled_from(_PIECES)).map("".join))
def test_any_jumble_of_format_pieces_is_read_without_an_error(text):
    action, reading = parse_completion(text, CONTINUE)
    assert (action is CONTINUE) == (reading is Reading.DEFAULT)  # continue is not among the pieces


_untagged = st.text().filter(lambda text: not re.search("</?(think|action)>", text))


@given(_untagged, st.sampled_from(Action))
def test_every_completion_of_the_format_is_strict_whatever_the_reasoning(reasoning, action):
    default = next(other for other in Action if other is not action)
    assert parse_completion(policy_completion(reasoning, action), default) == (action, Reading.STRICT)


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 20000,
        "action:" * 20000,
        "<action>" + "*" * 100000,
        "I would accept not " * 20000,
        "decision " * 30000,
        " " * 100000 + "x",
    ],
)
def test_long_degenerate_texts_are_read_in_linear_time(text):
    assert parse_completion(text, CONTINUE) == (CONTINUE, Reading.DEFAULT)  # quadratic readings would hang here


_reasons = st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs", "Cc"])).map(
    lambda text: re.sub("accept|continue|delete", "", text, flags=re.IGNORECASE)
)


@given(_reasons, st.sampled_from(Action))
def test_a_decision_before_any_reason_is_read_and_its_negation_is_not(reason, action):
    word, default = action.value, next(other for other in Action if other is not action)
    assert parse_completion(f"{word.title()}: the part, {reason}", default) == (action, Reading.LENIENT)
    assert parse_completion(f"I would not {word} it, {reason}", default) == (default, Reading.DEFAULT)


def test_one_reply_about_several_parts_is_read_part_by_part():
    replies = [policy_completion("a wall", Action.DELETE), policy_completion("a disc", Action.ACCEPT)]
    assert split_completion(numbered_completion(replies), 2) == replies
    said = "Part 1: delete\n**2.** Accept: it shows the disc. 3. is no line\n  3) I would continue\n3. again"
    assert split_completion(said, 3) == [
        "delete",
        "Accept: it shows the disc. 3. is no line",
        "I would continue\n3. again",
    ]
    assert split_completion("2. <action>delete</action>", 2) == ["", ""]  # which part is first remains unknown
    assert split_completion("1. <action>delete</action>", 3) == ["<action>delete</action>", "", ""]


@given(st.lists(st.sampled_from(list(Action)), min_size=2, max_size=6), st.text(alphabet="ab .,:\n1", max_size=30))
def test_numbered_replies_come_back_in_order_whatever_the_reasoning(actions, reasoning):
    replies = [policy_completion(f"x{reasoning}", action) for action in actions]
    found = split_completion(numbered_completion(replies), len(actions))
    if not re.search(r"^[ \t]*\d+[.:]", reasoning, re.MULTILINE):
        assert [parse_completion(text, Action.CONTINUE)[0] for text in found] == actions
    assert len(found) == len(actions)


def test_without_reasoning_the_action_alone_follows_the_format():
    assert parse_completion("<action>accept</action>", Action.DELETE, reasoning=False) == (
        Action.ACCEPT,
        Reading.STRICT,
    )
    assert parse_completion("<action>accept</action>", Action.DELETE) == (Action.ACCEPT, Reading.LENIENT)
    reasoned = policy_completion("a disc", Action.ACCEPT)
    assert parse_completion(reasoned, Action.DELETE, reasoning=False) == (Action.ACCEPT, Reading.LENIENT)


@pytest.mark.parametrize(
    ("text", "caption", "action"),
    [
        ("a red disc<action>accept</action>", "a red disc", ACCEPT),
        (" two\nlines \n<action>continue</action>\n", "two\nlines", CONTINUE),
        ('a sign says "Action: delete"<action>accept</action>', 'a sign says "Action: delete"', ACCEPT),
        ("is a < b?<action>delete</action>", "is a < b?", DELETE),
    ],
)
def test_a_caption_with_its_verdict_is_read_strictly(text, caption, action):
    assert parse_judged(text, CONTINUE if action is not CONTINUE else DELETE) == (caption, action, Reading.STRICT)


@pytest.mark.parametrize(
    ("text", "caption", "action"),
    [
        ("<action>delete</action>", "", DELETE),
        ("a red disc <action>Accept", "a red disc", ACCEPT),
        ("a red disc<action>accept</action> I hope that helps.", "a red disc", ACCEPT),
        ("<think>a red disc</think><action>accept</action>", "a red disc", ACCEPT),
        ("<think>Is it red?</think>a red disc<action>accept</action>", "a red disc", ACCEPT),
        ("<think>Action: delete</think>A red disc.\n**Action:** accept", "A red disc.", ACCEPT),
        ("A red disc.\n\n### Decision: continue", "A red disc.", CONTINUE),
        ("A red disc.\nIt rolls.\nDelete", "A red disc.\nIt rolls.", DELETE),
        ("A red disc. I would delete this part.", "A red disc. I would delete this part.", DELETE),
    ],
)
def test_what_other_models_write_is_divided_leniently(text, caption, action):
    assert parse_judged(text, CONTINUE if action is not CONTINUE else DELETE) == (caption, action, Reading.LENIENT)


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("", ""),
        ("a red disc that rolls over the", "a red disc that rolls over the"),
        ("a red disc<action>accept, continue or delete</action>", "a red disc"),
        ("a red disc<action>accept</action><action>delete</action>", "a red disc"),
        ("a red disc<action>", "a red disc"),
    ],
)
@pytest.mark.parametrize("default", list(Action))
def test_a_caption_that_names_no_single_action_takes_the_default(text, caption, default):
    assert parse_judged(text, default) == (caption, default, Reading.DEFAULT)


@given(
    st.lists(st.sampled_from([*"<>/ac \n:*", "<action>", "</action>", "</think>", "accept", "Action: "])).map("".join)
)
def test_any_reply_gives_a_caption_without_its_tag(text):
    caption, action, reading = parse_judged(text, DELETE)
    assert "<action>" not in caption and caption in (caption.strip(), "") and isinstance(action, Action)
    assert reading is not Reading.STRICT or text.strip().startswith(caption)
