"""What the policy's cold start is taught, sound or flawed on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.types import Action, Reading
from lmms_videominer.world.curriculum import SOUND, Flaws, draw_script, policy_lesson


def lessons(flaws: Flaws, count: int = 40) -> list[tuple[str, str, str]]:
    """Prompt, completion and the sound action of some lessons; the same prompts whatever the flaws."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        lesson = policy_lesson(rng, draw_script(rng, 7), 0.0, flaws)
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
