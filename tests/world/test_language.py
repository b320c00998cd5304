"""What the small models are taught to say."""

import re

import numpy as np
import pytest
from support.read_prompts import read_policy_prompt

from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.policy.prompt import policy_completion
from lmms_videominer.types import Action, Reading, Span
from lmms_videominer.world import language
from lmms_videominer.world.curriculum import draw_script, policy_lesson
from lmms_videominer.world.questions import WorldQuestion
from lmms_videominer.world.script import Actor, FrameState, Moment, Scene

RED_BLUE, RED_GREEN, BLUE_RED = Actor("red", "blue"), Actor("red", "green"), Actor("blue", "red")
STAR = Moment(Span(10, 14), "star")
SEA = Scene(Span(0, 30), "sea", RED_BLUE, (STAR,), 0)
CAVE = Scene(Span(90, 120), "cave", BLUE_RED, (Moment(Span(100, 104), "leaf"),), 0)
ONE = WorldQuestion(
    "sign",
    "Which sign appears while the red robot with the blue hat is in the sea?",
    ("star", "leaf", "moon", "ring"),
    "A",
    (SEA,),
    (STAR.span,),
)
TWO = WorldQuestion(
    "order",
    "Which two signs appear, in order of time, while the blue robot with the red hat is in "
    "the cave and while the red robot with the blue hat is in the sea?",
    (),
    "A",
    (SEA, CAVE),
    (),
)
HIT, BARE = FrameState("sea", RED_BLUE, "star"), FrameState("sea", RED_BLUE, None)
OTHER_HAT, OTHER_PLACE = FrameState("sea", RED_GREEN, "moon"), FrameState("cave", RED_BLUE, "ring")


@pytest.mark.parametrize(
    ("lines", "depth", "action", "reasoning"),
    [
        ([HIT], 2, Action.ACCEPT, "sea sea, red red, blue blue: seen, star. Seen, and nothing else."),
        (
            [HIT, BARE],
            2,
            Action.CONTINUE,
            "sea sea, red red, blue blue: seen, star. sea sea, red red, blue blue: seen, nothing up. "
            "Seen, among others.",
        ),
        (
            [HIT, OTHER_HAT],
            3,
            Action.ACCEPT,
            "sea sea, red red, blue blue: seen, star. sea sea, red red, green blue: place. Seen, among others.",
        ),
        ([BARE], 1, Action.CONTINUE, "sea sea, red red, blue blue: seen, nothing up. Seen, with nothing up."),
        ([OTHER_HAT], 1, Action.CONTINUE, "sea sea, red red, green blue: place. The place is seen."),
        ([OTHER_HAT], 2, Action.DELETE, "sea sea, red red, green blue: place. Not seen."),
        ([OTHER_PLACE], 1, Action.DELETE, "cave sea: no. Not seen."),
    ],
)
def test_a_decision_holds_every_line_against_what_is_sought(lines, depth, action, reasoning):
    start = "Sought: the red robot with the blue hat is in the sea. "
    assert language.decide(ONE, [lines], depth, 3) == (action, start + reasoning)


def test_each_of_two_asked_scenes_is_held_against_every_line_in_the_questions_order():
    action, reasoning = language.decide(TWO, [[HIT], [OTHER_PLACE]], 2, 3)
    assert action is Action.CONTINUE
    assert reasoning == (
        "Sought: the blue robot with the red hat is in the cave. sea cave: no. cave cave, red blue: place. "
        "Sought: the red robot with the blue hat is in the sea. sea sea, red red, blue blue: seen, star. cave sea: no. "
        "Seen, among others."
    )


def test_a_caption_tells_a_frame_that_looks_like_the_one_before_it_once():
    assert language.caption([BARE, BARE, HIT, BARE]) == (
        "sea: red robot with the blue hat; sea: red robot with the blue hat, star; sea: red robot with the blue hat"
    )


def test_a_count_is_told_by_ordinals():
    many = WorldQuestion("count", "", ("1", "2", "3", "4"), "C", (), (Span(0, 1),) * 3)
    assert language.answer_text(many, ["star", "leaf", "moon"]) == "1 star, 2 leaf, 3 moon: 3"


def test_lessons_of_the_policy_follow_the_format_and_tell_what_their_captions_hold():
    rng = np.random.default_rng(0)
    for _ in range(50):
        lesson = policy_lesson(rng, draw_script(rng, 12), bare=0.0)
        prompt, reply = lesson.turns[0]
        action, reading = parse_completion(reply, Action.CONTINUE)
        assert (action.value, reading) == (lesson.kind, Reading.STRICT)
        captions = read_policy_prompt(prompt).caption
        lines = [line for caption in captions.split("\n") for line in caption.split("; ")]
        if " of the following " in prompt:  # the signs are compared, not the scenes
            continue
        compared = [step for step in reply.split(". ") if re.search(": (no|place|seen, )", f"{step} ")]
        scenes = reply.count("Sought: ")
        assert [step.split()[0] for step in compared] == [line.split(":")[0] for line in lines] * scenes


def test_a_completion_of_a_lesson_is_what_the_parser_reads_strictly():
    assert parse_completion(policy_completion("Not seen.", Action.DELETE), Action.CONTINUE)[1] is Reading.STRICT
