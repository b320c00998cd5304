"""What the policy is told of the search, line by line."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from support.mined import node

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.context import accepted_line, budget_line, context_of, length_line, place_line
from lmms_videominer.search.trees import part_of
from lmms_videominer.search.wishes import Case
from lmms_videominer.types import Action, Question, Span, VideoInfo
from lmms_videominer.video.opening import OpenVideo


def case_of(policy_context: str, **changed) -> Case:
    info = VideoInfo("film.mp4", 3600.0, 36_000, 10.0, 32, 32, "none")
    config = MinerConfig(policy_context=policy_context, max_vlm_calls=20, **changed)
    return Case(Question("film.mp4", "Where?"), OpenVideo(SimpleNamespace(info=info), "film"), np.arange(1.0), config)


NODES = [
    node("0", Action.CONTINUE, (0, 3600)),
    node("0.0", Action.ACCEPT, (0, 60), caption="a red  disc\nin the sea"),
    node("0.1", Action.DELETE, (60, 120), caption="snow"),
    node("0.2", Action.ACCEPT, (600, 660), caption="a blue box"),
    node("0.3", None, (1800, 1805.5), caption="a forest"),
]


def test_lengths_and_places_by_hand():
    assert length_line(3725.04) == "Length: 1:02:05"
    assert place_line([Span(60.0, 150.0)], 3600.0) == "Part: 0:01:00-0:02:30 of 1:00:00"
    spans = [Span(float(i), i + 1.5) for i in range(0, 50, 10)]
    assert place_line(spans, 61.0) == (
        "Part: 0:00:00.0-0:00:01.5, 0:00:10.0-0:00:11.5, 0:00:20.0-0:00:21.5 and 2 more of 0:01:01"
    )


def test_what_was_accepted_is_told_a_line_each_the_latest_four_and_cut():
    assert accepted_line([]) == "Accepted so far: none"
    assert accepted_line(["a red  disc\nin the sea", "a blue box"]) == (
        "Accepted so far:\na red disc in the sea\na blue box"
    )
    assert accepted_line([str(i) for i in range(7)]) == "Accepted so far:\n3\n4\n5\n6"
    assert accepted_line(["x" * 161]) == "Accepted so far:\n" + "x" * 160


@pytest.mark.parametrize(("captioned", "left"), [(0, 20), (19, 1), (20, 0), (23, 0)])
def test_the_captions_left_are_never_below_none(captioned, left):
    assert budget_line(captioned, 20) == f"Captions left: {left} of 20"


ACCEPTED = "Accepted so far:\na red disc in the sea\na blue box"
BUDGET = "Captions left: 13 of 20"
PLACE = "Part: 0:30:00.0-0:30:05.5 of 1:00:00"


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        ("place", (PLACE,)),
        ("accepted", (ACCEPTED,)),
        ("budget", (BUDGET,)),
        ("place+budget", (BUDGET, PLACE)),  # what changes most comes last, whatever the order of the names
        ("place+accepted+budget", (ACCEPTED, BUDGET, PLACE)),
        ("", ()),
    ],
)
def test_a_part_is_told_what_the_setting_names(names, lines):
    case = case_of(names)
    part = part_of(case, NODES, 4, captioned=7)
    assert (part.question, part.caption, part.depth, part.max_depth, part.context) == (
        "Where?",
        "a forest",
        1,
        3,
        lines,
    )
    assert not names or context_of(case, NODES[4], NODES, 7) == lines


def test_a_part_that_cannot_be_opened_is_put_as_at_the_last_depth():
    assert part_of(case_of("", max_depth=5), NODES, 4, captioned=7, last=True).depth == 5
    assert part_of(case_of("", max_depth=5), NODES, 4, captioned=7).depth == 1


@pytest.mark.parametrize("names", ["places", "place+", "place,budget", "+"])
def test_context_of_another_name_is_refused(names):
    with pytest.raises(ConfigError, match="policy_context"):
        MinerConfig(policy_context=names)
