"""What the policy's cold start is taught, sound or flawed on purpose, and what the video LLM learns without frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lmms_videominer.policy.parser import parse_completion, split_completion
from lmms_videominer.types import Action, Reading
from lmms_videominer.world.curriculum import (
    SOUND,
    Flaws,
    draw_script,
    judge_lesson,
    policy_lesson,
    reading_lesson,
    several_lesson,
    sought_lesson,
)


def lessons(flaws: Flaws, count: int = 40) -> list[tuple[str, str, str]]:
    """Prompt, completion and the sound action of some lessons; the same prompts whatever the flaws."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        lesson = policy_lesson(rng, draw_script(rng, 7), 0.0, flaws, bare=0.0)
        made.append((*lesson.turns[0], lesson.kind))
    return made


def test_sound_lessons_follow_the_format_with_the_sound_action():
    for _, completion, action in lessons(SOUND):
        assert parse_completion(completion, Action.CONTINUE) == (Action(action), Reading.STRICT)


def test_a_slip_leaves_the_reasoning_and_no_action():
    for (prompt, completion, _), (same, whole, _) in zip(lessons(Flaws(slips=1.0)), lessons(SOUND)):
        assert prompt == same and completion and whole.startswith(completion)
        assert parse_completion(completion, Action.DELETE) == (Action.DELETE, Reading.DEFAULT)


def test_haste_drops_what_was_worth_a_closer_look_and_nothing_else():
    told = [
        (action, parse_completion(completion, Action.ACCEPT)[0].value)
        for _, completion, action in lessons(Flaws(haste=1.0))
    ]
    assert {"continue", "delete", "accept"} == {action for action, _ in told}
    assert all(said == ("delete" if action == "continue" else action) for action, said in told)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_shares_are_met(share):
    completions = [completion for _, completion, _ in lessons(Flaws(slips=share), 400)]
    assert np.mean(["<action>" not in completion for completion in completions]) == pytest.approx(share, abs=0.08)


def test_lessons_without_reasoning_are_an_action_alone():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        lesson = policy_lesson(rng, draw_script(rng, 7), 0.0, Flaws(slips=1.0), bare=1.0)
        prompt, completion = lesson.turns[0]
        assert "<think>" not in prompt
        assert parse_completion(completion, Action.CONTINUE, reasoning=False) == (Action(lesson.kind), Reading.STRICT)


def test_lessons_on_several_parts_decide_about_each_as_alone():
    numbers = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        prompt, completion = several_lesson(rng, draw_script(rng, 7)).turns[0]
        count = prompt.count("\nCaption of this part:\n")
        numbers.add(count)
        readings = [
            parse_completion(text, Action.CONTINUE, "<think>" in prompt)[1]
            for text in split_completion(completion, count)
        ]
        assert readings == [Reading.STRICT] * count
    assert numbers == {2, 3, 4}


def test_what_is_sought_names_scenes_of_the_question_or_its_options_and_the_whole_is_accepted():
    kinds = set()
    for seed in range(120):
        rng = np.random.default_rng(seed)
        lesson = sought_lesson(rng, draw_script(rng, 7))
        prompt, completion = lesson.turns[0]
        action, reading = parse_completion(completion, Action.DELETE)
        kinds.add(lesson.kind)
        assert reading is Reading.STRICT
        assert action is (Action.ACCEPT if lesson.kind == "whole" else Action.CONTINUE)
        lines = completion.partition("<think>")[2].partition("</think>")[0].split("\n")
        assert lesson.kind == "whole" or all(line.rstrip(".") in prompt for line in lines)
    assert kinds == {"sought", "whole"}


def test_judged_captions_tell_the_caption_and_then_the_action():
    actions = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        lesson = judge_lesson(rng, draw_script(rng, 7))
        caption, tag, end = lesson.turns[0][1].partition("<action>")
        actions.add(lesson.kind)
        assert "robot with the" in caption and f"{tag}{end}" == f"<action>{lesson.kind}</action>"
        assert lesson.frames.shape == (4, 168, 168, 3)
    assert actions == {"accept", "continue", "delete"}


def test_of_a_given_reading_only_what_follows_from_it_is_learnt():
    from lmms_videominer.models.bundle import BUNDLED, find_bundle
    from lmms_videominer.world.train_vlm import collate, load

    bundle = find_bundle(BUNDLED)
    assert bundle is not None
    _, processor = load(Path(bundle.vlm))
    rng = np.random.default_rng(0)
    kinds = set()
    for lesson in [reading_lesson(rng, 7, 8) for _ in range(24)]:
        kinds.add(lesson.kind)
        [(_, reply)] = lesson.turns
        assert "".join(lesson.pieces) == reply
        given, whole = collate([lesson], processor), collate([replace(lesson, pieces=())], processor)
        assert given["input_ids"].tolist() == whole["input_ids"].tolist()
        learnt = processor.tokenizer.decode([i for i in given["labels"][0].tolist() if i >= 0])
        assert learnt == "".join(lesson.pieces[1::2]) + "<|im_end|>"
    assert kinds == {"places", "never", "last", "which"}
