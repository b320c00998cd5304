from __future__ import annotations

import math

from lmms_videominer.segmenters.cuts import FLAT_DISTANCE, Candidate, choose_cuts, split
from lmms_videominer.types import Span


def candidates(distances: dict[float, float], span: Span) -> list[Candidate]:
    return [Candidate(time_s, distance, span) for time_s, distance in distances.items()]


def test_the_largest_distances_win_in_temporal_order():
    found = candidates({1: 0.2, 2: 0.9, 3: 0.1, 4: 0.5, 5: math.inf}, Span(0, 6))
    assert choose_cuts(found, 3, 0) == [2, 4, 5]


def test_a_cut_too_near_to_a_larger_one_is_passed_over():
    found = candidates({2.0: 0.5, 2.2: 0.9, 4.0: 0.1}, Span(0, 6))
    assert choose_cuts(found, 2, 0.5) == [2.2, 4.0]


def test_a_cut_too_near_to_the_border_of_its_span_is_passed_over():
    found = candidates({10.3: 0.9, 12.0: 0.5, 13.8: 0.8}, Span(10, 14))
    assert choose_cuts(found, 3, 0.5) == [12.0]


def test_an_event_of_exactly_the_shortest_length_is_allowed():
    assert choose_cuts(candidates({0.5: 0.9}, Span(0, 1)), 1, 0.5) == [0.5]


def test_a_flat_stretch_is_halved_again_and_again():
    found = candidates({t: 0.0 for t in range(1, 16)}, Span(0, 16))
    assert choose_cuts(found, 3, 0) == [4, 8, 12]
    assert choose_cuts(found, 7, 0) == [2, 4, 6, 8, 10, 12, 14]


def test_the_noise_of_compression_is_flat_and_a_real_change_comes_first():
    noisy = {1: FLAT_DISTANCE * 0.9, 4: 0.0, 6: FLAT_DISTANCE * 1.1}
    assert choose_cuts(candidates(noisy, Span(0, 8)), 1, 0) == [6]
    assert choose_cuts(candidates(noisy, Span(0, 8)), 2, 0) == [4, 6]
    assert choose_cuts(candidates({1: FLAT_DISTANCE * 0.9, 4: 0.0}, Span(0, 8)), 1, 0) == [4]


def test_a_distance_at_the_limit_is_a_change():
    assert choose_cuts(candidates({1: FLAT_DISTANCE, 4: 0.0}, Span(0, 8)), 1, 0) == [1]


def test_full_ties_go_to_the_earliest_whatever_a_clock_rounds():
    assert choose_cuts(candidates({2: 0.5, 6: 0.5}, Span(0, 8)), 1, 0) == [2]
    assert choose_cuts(candidates({1.9999997: 0.5, 6: 0.5}, Span(0, 8)), 1, 0) == [1.9999997]


def test_no_candidate_no_cut():
    assert choose_cuts([], 5, 0.5) == []
    assert choose_cuts(candidates({1: 0.5}, Span(0, 2)), 0, 0.5) == []


def test_split_keeps_the_union_and_ignores_times_on_borders():
    parts = split([Span(0, 4), Span(6, 7)], [0, 2, 4, 6, 6.5, 5])
    assert parts == (Span(0, 2), Span(2, 4), Span(6, 6.5), Span(6.5, 7))
