from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lmms_videominer.search.key_frames import (
    frames_seen,
    kept_nodes,
    node_key_frames,
    spread_frames,
    with_uniform_frames,
)
from lmms_videominer.types import Action, Decision, Event, KeyFrame, Node, Reading, Span

TEN_FPS = np.arange(1000) / 10  # 100 s


def node(id: str, action: str | None = None, *spans: tuple[float, float], note: str = "") -> Node:
    decision = Decision(Action(action), "", Reading.STRICT) if action else None
    return Node(id, id.count("."), tuple(Event(Span(*span)) for span in spans or [(0, 100)]), decision, note)


def kept(*nodes: Node) -> tuple[list[str], str | None]:
    chosen, fallback = kept_nodes([node("0"), *nodes])
    return [n.id for n in chosen], fallback


def indices(spans, budget, timestamps=TEN_FPS, values=None):
    frames = spread_frames([Span(*s) for s in spans], timestamps, budget, values=values or {})
    return [f.frame_index for f in frames]


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


# preferred frames


def test_valued_frames_come_first_and_the_rest_fill_the_longest_stretches():
    assert indices([(0, 100)], 3, values={900: 1.0, 910: 1.0}) == [449, 900, 910]


def test_the_highest_values_come_first():
    assert indices([(0, 100)], 2, values={100: 0.1, 200: 0.9, 300: 0.5, 400: 0.2}) == [200, 300]


def test_equal_values_are_thinned_evenly():
    assert indices([(0, 100)], 2, values=dict.fromkeys([100, 200, 300, 400], 1.0)) == [200, 400]


def test_every_span_keeps_its_share_whatever_the_values_of_others():
    # by duration 4 frames are 2 and 2; three of the first span have a value, none of the second
    assert indices([(0, 10), (50, 60)], 4, values={10: 3.0, 20: 2.0, 30: 1.0}) == [10, 20, 525, 575]


def test_more_spans_than_budget_give_the_frames_of_the_highest_values():
    assert indices([(10, 12), (20, 22), (40, 42)], 2, values={105: 0.3, 205: 0.9, 405: 0.8}) == [205, 405]


def test_values_outside_the_spans_change_nothing():
    assert indices([(0, 30), (50, 51), (60, 69)], 6, values={400: 9.0}) == indices([(0, 30), (50, 51), (60, 69)], 6)


def test_the_frames_that_the_captioner_saw_of_a_long_part_are_taken():
    seen = (301.5, 310.0, 320.0, 524.9)  # of 225 s, whose 8 frames else lie 28 s apart
    part = Node("0.0", 1, (Event(Span(300, 525), "", seen),))
    timestamps = np.arange(9000) / 10
    frames = node_key_frames([part], timestamps, 8, frames_seen([part], timestamps))
    assert set(seen) < {f.time_s for f in frames} and len(frames) == 8
    assert {f.node_id for f in frames} == {"0.0"}


def test_uniform_frames_beside_those_of_a_part():
    part = spread_frames([Span(40, 42)], TEN_FPS, 2, ["0.3"])
    frames = with_uniform_frames(part, TEN_FPS, Span(0, 100), 2)
    assert [(f.frame_index, f.node_id) for f in frames] == [(250, None), (405, "0.3"), (415, "0.3"), (750, None)]


def test_a_uniform_frame_that_is_taken_already_gives_way_to_the_longest_stretch():
    frames = with_uniform_frames([KeyFrame(25.0, 250, "0.0")], TEN_FPS, Span(0, 100), 2)
    assert [(f.frame_index, f.node_id) for f in frames] == [(250, "0.0"), (500, None), (750, None)]


def test_no_uniform_frames_leave_the_frames_as_they_are():
    part = spread_frames([Span(40, 42)], TEN_FPS, 2, ["0.3"])
    assert with_uniform_frames(part, TEN_FPS, Span(0, 100), 0) == part


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


@st.composite
def valued_cases(draw):
    """A case, and values of some of its frames, often equal."""
    timestamps, spans, budget = draw(cases())
    frames = st.integers(0, len(timestamps) - 1)
    return timestamps, spans, budget, draw(st.dictionaries(frames, st.sampled_from([-0.5, 0.0, 0.1, 1.0])))


@settings(max_examples=300, deadline=None)
@given(valued_cases())
def test_valued_frames_keep_to_the_spans_and_the_budget_too(case):
    timestamps, spans, budget, values = case
    got = [f.frame_index for f in spread_frames(spans, timestamps, budget, values=values)]
    within = frames_within(spans, timestamps)
    assert got == sorted(set(got))
    assert set(got) <= within
    assert len(got) == min(budget, len(within))


@settings(max_examples=300, deadline=None)
@given(valued_cases())
def test_every_span_gives_as_many_frames_as_without_values_and_its_best(case):
    timestamps, spans, budget, values = case
    # spans that show one frame, and no other, count as one of them
    assume(sum(len(frames_within([span], timestamps)) for span in spans) == len(frames_within(spans, timestamps)))
    ids = [str(i) for i in range(len(spans))]
    plain, valued = (spread_frames(spans, timestamps, budget, ids, v) for v in ({}, values))
    for own in ids if len(spans) <= budget else [None]:
        before = [f.frame_index for f in plain if own in (None, f.node_id)]
        after = [f.frame_index for f in valued if own in (None, f.node_id)]
        assert len(before) == len(after)
        inside = frames_within(spans if own is None else [spans[int(own)]], timestamps) - {
            f.frame_index for f in valued if own not in (None, f.node_id)
        }
        left_out = [values[i] for i in inside & values.keys() if i not in after]
        assert not left_out or all(i in values and values[i] >= max(left_out) for i in after)


@settings(max_examples=300, deadline=None)
@given(cases(), st.integers(0, 20))
def test_uniform_frames_are_added_to_those_of_the_spans_and_to_nothing_else(case, count):
    timestamps, spans, budget = case
    whole = Span(0, float(timestamps[-1]) + 0.5)
    part = spread_frames(spans, timestamps, budget, ["0.0"] * len(spans))
    frames = with_uniform_frames(part, timestamps, whole, count)
    got = [f.frame_index for f in frames]
    assert got == sorted(set(got))
    assert len(got) == min(len(part) + count, len(timestamps))
    assert set(part) <= set(frames)
    assert {f.frame_index for f in spread_frames([whole], timestamps, count)} <= set(got)
