from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.search.key_frames import kept_nodes, node_key_frames, spread_frames
from lmms_videominer.types import Action, Decision, Event, Node, Reading, Span

TEN_FPS = np.arange(1000) / 10  # 100 s


def node(id: str, action: str | None = None, *spans: tuple[float, float], note: str = "") -> Node:
    decision = Decision(Action(action), "", Reading.STRICT) if action else None
    return Node(id, id.count("."), tuple(Event(Span(*span)) for span in spans or [(0, 100)]), decision, note)


def kept(*nodes: Node) -> tuple[list[str], str | None]:
    chosen, fallback = kept_nodes([node("0"), *nodes])
    return [n.id for n in chosen], fallback


def indices(spans, budget, timestamps=TEN_FPS):
    return [f.frame_index for f in spread_frames([Span(*s) for s in spans], timestamps, budget)]


# kept nodes


def test_accepted_nodes_are_kept_at_any_depth_and_nothing_else():
    assert kept(node("0.0", "accept"), node("0.1", "continue"), node("0.1.0", "accept"), node("0.1.1", "continue")) == (
        ["0.0", "0.1.0"],
        None,
    )


def test_none_accepted_keeps_every_open_leaf_but_no_node_that_was_looked_into():
    assert kept(
        node("0.0", "continue", note="atomic"),
        node("0.1", "continue"),
        node("0.2", "delete"),
        node("0.1.0", "continue", note="max_vlm_calls"),
        node("0.1.1", "delete"),
    ) == (["0.0", "0.1.0"], "none_accepted")


def test_a_node_left_undecided_by_the_limit_is_not_taken_for_deleted():
    assert kept(node("0.0", "delete"), node("0.1", note="max_nodes")) == (["0.1"], "none_accepted")


def test_children_deleted_keeps_the_deepest_parents():
    assert kept(
        node("0.0", "continue"),
        node("0.1", "continue"),
        node("0.0.0", "delete"),
        node("0.1.0", "continue"),
        node("0.1.0.0", "delete"),
    ) == (["0.1.0"], "children_deleted")


def test_all_deleted_keeps_the_whole_video():
    assert kept(node("0.0", "delete"), node("0.1", "delete")) == (["0"], "all_deleted")


def test_tree_of_one_node_that_a_limit_left_whole_is_a_fallback_and_a_short_video_is_none():
    assert kept_nodes([node("0", note="max_vlm_calls")])[1] == "none_accepted"
    assert kept_nodes([node("0", note="short")])[1] is None


# frames


def test_one_span_gives_the_frames_at_the_midpoints_of_equal_shares():
    assert indices([(0, 100)], 4) == [125, 375, 625, 875]


def test_every_span_gets_a_frame_and_the_rest_goes_by_duration():
    # 6 frames, 3 spans of 30, 1 and 9 s: one each, then 3 * (30, 1, 9) / 40 = 2.25, 0.075, 0.675 -> 2, 0, 1
    assert indices([(0, 30), (50, 51), (60, 69)], 6) == [50, 150, 250, 505, 622, 667]


def test_the_earlier_of_equal_remainders_gets_the_frame():
    # 6 frames, spans of 50 and 30 s: one each, then 2.5 and 1.5 of 4 -> 3 and 1
    assert indices([(0, 50), (60, 90)], 6) == [62, 187, 312, 437, 675, 825]


def test_the_frames_of_a_full_span_are_divided_among_the_others_by_their_duration():
    # one frame each, and 4 more: 4 * (50, 30) / 80 = 2.5 and 1.5 -> 3 and 1; the second span has no more than one
    assert indices([(0, 50), (55, 55.1), (60, 90)], 7) == [62, 187, 312, 437, 550, 675, 825]


def test_as_many_spans_as_the_budget_give_their_middles():
    assert indices([(0, 30), (50, 52)], 2) == [150, 510]


def test_more_spans_than_budget_takes_evenly_spaced_frames_of_the_kept_time():
    # 8 s kept, two frames: at 2 and 6 s of it, which lie 0 s into the second span and into the fourth
    assert indices([(10, 12), (20, 22), (40, 42), (60, 62)], 2) == [200, 600]


def test_budget_above_the_frames_of_the_spans_takes_them_all():
    assert indices([(1, 1.3), (5, 5.2)], 8) == [10, 11, 12, 50, 51]


def test_a_span_that_lacks_the_frames_for_its_share_passes_the_rest_on():
    # by duration the first span gets 1 + 4 of 6, and it has two frames; the second then gets 4
    timestamps = np.concatenate([[0.0, 50.0], 100 + np.arange(10) / 10])
    assert indices([(0, 100), (100, 101)], 6, timestamps) == [0, 1, 3, 5, 8, 10]


def test_midpoints_that_show_one_frame_are_filled_up_with_its_neighbours():
    timestamps = np.array([0.0, 9.0, 9.1, 9.2, 9.3])  # a slide, then motion
    assert indices([(0, 9.4)], 4, timestamps) == [0, 1, 2, 3]


def test_a_span_between_two_frames_counts_as_the_frame_shown_in_it():
    assert indices([(3.2, 3.7)], 4, np.arange(10.0)) == [3]


def test_zero_length_span_gives_the_frame_shown_then():
    assert indices([(5.05, 5.05)], 3) == [50]


def test_two_spans_within_one_frame_give_it_once():
    assert indices([(3.1, 3.2), (3.6, 3.7)], 4, np.arange(10.0)) == [3]


def test_a_span_past_the_end_gives_the_last_frame():
    assert indices([(200, 210)], 2) == [999]


def test_a_boundary_off_by_rounding_does_not_let_the_neighbour_in():
    assert indices([(0.1 + 0.2, 0.1 * 7)], 9) == [3, 4, 5, 6]


def test_no_spans_no_frames():
    assert indices([], 4) == []


def test_each_key_frame_names_its_node_and_its_true_time():
    frames = node_key_frames([node("0.1", "accept", (50, 60)), node("0.0.1", "accept", (10, 20), (80, 90))], TEN_FPS, 3)
    assert [(f.time_s, f.frame_index, f.node_id) for f in frames] == [
        (15.0, 150, "0.0.1"),
        (55.0, 550, "0.1"),
        (85.0, 850, "0.0.1"),
    ]


def test_the_first_frame_of_a_node_is_its_own_and_not_that_of_the_node_before():
    frames = node_key_frames([node("0.0", "accept", (0, 0.1)), node("0.1", "accept", (20, 20.1))], TEN_FPS, 2)
    assert [(f.frame_index, f.node_id) for f in frames] == [(0, "0.0"), (200, "0.1")]


def test_a_span_without_a_node_among_those_that_have_one_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        spread_frames([Span(0, 1), Span(2, 3)], TEN_FPS, 2, ["0.0"])


@st.composite
def cases(draw):
    """Timestamps of a variable frame rate, disjoint spans in order, and a budget."""
    gaps = draw(st.lists(st.floats(0.01, 3), min_size=1, max_size=60))
    timestamps = np.concatenate([[0.0], np.cumsum(gaps)])
    end = float(timestamps[-1]) + 0.5
    cuts = sorted(draw(st.lists(st.floats(0, end), min_size=2, max_size=24, unique=True)))
    return timestamps, [Span(a, b) for a, b in zip(cuts[::2], cuts[1::2])], draw(st.integers(1, 30))


def frames_within(spans, timestamps):
    """By brute force: frames that begin in a span; for a span without one, the frame shown in it."""
    found = set()
    for span in spans:
        own = {i for i, t in enumerate(timestamps) if span.start_s - 1e-6 <= t < span.end_s - 1e-6}
        found |= own or {max((i for i, t in enumerate(timestamps) if t <= span.start_s), default=0)}
    return found


@settings(max_examples=300, deadline=None)
@given(cases())
def test_frames_are_ascending_unique_within_the_spans_and_exactly_the_budget_or_all(case):
    timestamps, spans, budget = case
    got = [f.frame_index for f in spread_frames(spans, timestamps, budget)]
    within = frames_within(spans, timestamps)
    assert got == sorted(set(got))
    assert set(got) <= within
    assert len(got) == min(budget, len(within))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_every_span_with_frames_of_its_own_is_seen_when_the_budget_allows(case):
    timestamps, spans, budget = case
    got = spread_frames(spans, timestamps, budget, [str(i) for i in range(len(spans))])
    if len(spans) <= budget:
        own = {str(i) for i, s in enumerate(spans) if any(s.start_s <= t < s.end_s - 1e-6 for t in timestamps)}
        assert own <= {frame.node_id for frame in got}


@pytest.mark.parametrize("budget", [1, 2, 7, 8, 64])
def test_uniform_frames_of_a_constant_rate_are_evenly_spaced(budget):
    steps = np.diff(indices([(0, 100)], budget))
    assert len(steps) == budget - 1 and (not len(steps) or steps.max() - steps.min() <= 1)
