"""Each equation of the rewards by hand, and what must hold for any setting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.errors import ConfigError
from lmms_videominer.training.rewards import (
    RewardConfig,
    action_reward,
    answer_reward,
    auxin,
    evidence_shown,
    format_reward,
    grounded_reward,
    length_reward,
    priced_reward,
    total_reward,
    tree_reward,
)
from lmms_videominer.types import Action, KeyFrame, Reading, Span

LAMBDAS = st.floats(0.05, 20.0)


def test_format_reward_by_reading():
    config = RewardConfig(format_full=0.8, format_partial=0.3)
    assert [format_reward(reading, config) for reading in (Reading.STRICT, Reading.LENIENT, Reading.DEFAULT)] == [
        0.8,
        0.3,
        0.0,
    ]


def test_length_reward_by_hand():
    config = RewardConfig(target_length=100, length_sigma=20, length_weight=0.6)
    assert length_reward(100, config) == 0.6
    assert length_reward(80, config) == pytest.approx(0.6 * 0.6065306597)  # one sigma: e^(-1/2)
    assert length_reward(140, config) == pytest.approx(0.6 * 0.1353352832)  # two sigma: e^-2


@pytest.mark.parametrize(
    ("lambda_auxin", "delete", "accept", "keep_going"),
    [
        (1.0, 1.1, 0.9, 1.0),
        (0.5, 0.825, 0.675, 1.5),
        (2.0, 1.32, 1.08, 0.6),
    ],
)
def test_action_rewards_by_hand(lambda_auxin, delete, accept, keep_going):
    config = RewardConfig(lambda_auxin=lambda_auxin)
    assert action_reward(Action.DELETE, config) == pytest.approx(delete)
    assert action_reward(Action.ACCEPT, config) == pytest.approx(accept)
    assert action_reward(Action.CONTINUE, config) == pytest.approx(keep_going)


def test_auxin_by_hand():
    assert auxin(1.2, 0.8, 0.5) == 2.0


@given(LAMBDAS)
def test_deltas_give_back_lambda_and_have_mean_one(lambda_auxin):
    deltas = RewardConfig(lambda_auxin=lambda_auxin).deltas
    assert auxin(deltas[Action.DELETE], deltas[Action.ACCEPT], deltas[Action.CONTINUE]) == pytest.approx(lambda_auxin)
    assert sum(deltas.values()) / 3 == pytest.approx(1.0)
    assert deltas[Action.DELETE] > deltas[Action.ACCEPT] > 0


@given(st.integers(0, 1000), st.floats(1, 500), st.floats(1, 200))
def test_length_reward_is_symmetric_and_at_most_rho(tokens, target, sigma):
    config = RewardConfig(target_length=target, length_sigma=sigma, length_weight=0.5)
    mirrored = RewardConfig(target_length=1000 - target, length_sigma=sigma, length_weight=0.5)
    assert 0 <= length_reward(tokens, config) <= 0.5
    assert length_reward(tokens, config) == pytest.approx(length_reward(1000 - tokens, mirrored), abs=1e-9)


def test_total_reward_by_hand():
    config = RewardConfig()
    assert total_reward(1.0, 0.5, 1.1, 1.0, config) == pytest.approx(2.6)
    assert total_reward(1.0, 0.5, 1.1, 0.0, config) == 1.0


def test_rf_leaves_the_tree_out():
    config = RewardConfig(reward="rf")
    assert total_reward(1.0, 0.5, 1.1, 0.0, config) == total_reward(1.0, 0.5, 1.1, 1.0, config) == pytest.approx(2.6)


def test_the_format_alone_pays_nothing_for_actions_or_answers():
    config = RewardConfig(reward="format")
    assert [total_reward(1.0, 0.5, 1.1, tree, config) for tree in (0.0, 1.0)] == [1.0, 1.0]
    assert total_reward(0.5, 0.5, 1.1, 1.0, config) == 0.5


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("B", 1, 1.0),
        ("B. a star", "B", 1.0),
        ("a star", "b", 1.0),
        ("A", 1, 0.0),
        ("no idea", 1, 0.0),
        (None, 1, 0.0),
    ],
)
def test_tree_reward_of_options(answer, right, expected):
    assert answer_reward(answer, ["a disc", "a star"], right) == expected


@pytest.mark.parametrize(
    ("answer", "expected"), [("  A red   disc.", 1.0), ("a red disc", 1.0), ("a disc", 0.0), (None, 0.0)]
)
def test_tree_reward_of_an_open_question(answer, expected):
    assert answer_reward(answer, [], "a red disc") == expected


def test_an_open_answer_is_compared_word_by_word_and_up_to_its_ends():
    assert answer_reward('"A  Red\tdisc"!', [], "a red disc") == 1.0
    assert answer_reward("a reddisc", [], "a red disc") == 0.0
    assert answer_reward("Xa red disc", [], "a red disc") == 0.0
    assert answer_reward("x axis", [], "axis") == 0.0 and answer_reward("XX", [], "") == 0.0


def at(*times_s: float) -> list[KeyFrame]:
    return [KeyFrame(time_s, round(10 * time_s)) for time_s in times_s]


@pytest.mark.parametrize(
    ("times_s", "expected"),
    [
        ((), 0.0),
        ((50.0,), 0.0),
        ((12.0,), 0.5),  # a second before and after, of four seconds
        ((11.0, 13.0), 1.0),
        ((12.0, 12.0, 12.5), 2.5 / 4),  # what frames show together counts once
        ((9.5,), 0.125),  # near it
    ],
)
def test_the_evidence_that_is_shown_by_hand(times_s, expected):
    assert evidence_shown(at(*times_s), [Span(10.0, 14.0)]) == pytest.approx(expected)


def test_every_window_of_the_evidence_counts_the_same_and_windows_that_overlap_are_one():
    two = [Span(10.0, 12.0), Span(30.0, 50.0)]
    assert evidence_shown(at(11.0), two) == pytest.approx(0.5)
    overlapping = [Span(10.0, 13.0), Span(11.0, 14.0), Span(11.0, 12.0)]
    assert evidence_shown(at(12.0), overlapping) == pytest.approx(0.5)
    assert [evidence_shown(at(time_s), [Span(10.0, 10.0)]) for time_s in (10.5, 12.0)] == [1.0, 0.0]


SPANS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), min_size=1, max_size=4)
TIMES = st.lists(st.floats(0, 120), max_size=8)


@given(SPANS, TIMES, st.floats(0, 120))
def test_evidence_shown_is_a_share_and_grows_with_frames(spans, times_s, more):
    evidence = [Span(start, start + length) for start, length in spans]
    before, after = evidence_shown(at(*times_s), evidence), evidence_shown(at(*times_s, more), evidence)
    assert -1e-9 <= before <= after + 1e-9 and after <= 1 + 1e-9


def test_the_price_of_captions_by_hand():
    assert priced_reward(1.0, 0.5, RewardConfig()) == 1.0
    assert priced_reward(1.0, 0.25, RewardConfig(call_price=0.4)) == pytest.approx(0.9)
    assert priced_reward(0.5, 1.0, RewardConfig(call_price=0.4)) == pytest.approx(0.3)
    assert priced_reward(1.0, 3.0, RewardConfig(call_price=1.0)) == 0.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_no_price_puts_a_right_tree_below_a_wrong_one(price, spent, cheap):
    config = RewardConfig(call_price=price)
    assert priced_reward(1.0, spent, config) >= priced_reward(0.0, cheap, config) == 0.0
    assert (priced_reward(1.0, cheap, config) >= priced_reward(1.0, spent, config)) or cheap >= spent


@pytest.mark.parametrize("price", [-0.1, 1.1])
def test_a_price_that_is_no_share_is_refused(price):
    with pytest.raises(ConfigError, match=f"call_price={price}"):
        RewardConfig(call_price=price)


def test_grounded_rewards_by_hand():
    config = RewardConfig(evidence_target=0.5, evidence_ungated=0.2)
    assert [grounded_reward(1.0, shown, config) for shown in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert [grounded_reward(0.0, shown, config) for shown in (0.0, 0.25, 1.0)] == pytest.approx([0.0, 0.1, 0.2])
    assert grounded_reward(0.5, 1.0, config) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("setting", "answer", "uniform", "expected"),
    [
        ("paper", 1.0, 1.0, 1.0),
        ("none", 1.0, 0.0, 0.0),
        ("above_uniform", 1.0, 0.0, 1.0),
        ("above_uniform", 1.0, 1.0, 0.0),
        ("above_uniform", 0.0, 1.0, 0.0),
        ("above_uniform", 0.75, 0.5, 0.25),
    ],
)
def test_r_tree_of_a_fallback_by_hand(setting, answer, uniform, expected):
    config = RewardConfig(fallback_reward=setting)
    assert tree_reward(answer, config, in_fallback=True, uniform=uniform) == expected
    assert tree_reward(answer, config) == answer


def test_what_is_just_within_range_is_allowed():
    config = RewardConfig(target_length=0, length_weight=0, format_full=0, format_partial=0)
    assert length_reward(3, config) == 0.0 and format_reward(Reading.STRICT, config) == 0.0
    assert RewardConfig(format_full=0.5, format_partial=0.5).format_partial == 0.5


def test_a_partial_format_that_earns_more_than_the_full_one_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match=r"format_partial=2.*format_full=1.*a partly correct completion would earn"):
        RewardConfig(format_partial=2.0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lambda_auxin", 0.0),
        ("lambda_auxin", -1.0),
        ("lambda_auxin", math.nan),
        ("lambda_auxin", math.inf),
        ("length_sigma", 0.0),
        ("target_length", math.nan),
        ("format_full", math.inf),
        ("length_weight", -0.1),
        ("reward", "grpo"),
        ("advantages", "roof"),
        ("fallback_reward", "half"),
        ("answer_reward", "likely"),
        ("evidence_target", 1.5),
        ("evidence_ungated", -0.1),
        ("format_partial", 2.0),
    ],
)
def test_a_setting_that_cannot_work_is_quoted(setting, value):
    with pytest.raises(ConfigError, match=rf"{setting}='?{value}"):
        RewardConfig(**{setting: value})
