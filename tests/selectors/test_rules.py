"""The rules of the selectors that go by scores: worked by hand, and what holds whatever the scores are."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.families import SCORING

from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import within_budget
from lmms_videominer.selectors import aks, bolt, focus, qframe, topk
from lmms_videominer.selectors.scored import Choice, ScoredCase, ScoredSelector
from lmms_videominer.selectors.settings import configured
from lmms_videominer.types import KeyFrame, Question, Span, VideoInfo
from lmms_videominer.video.opening import OpenVideo

SELECTORS: dict[str, type[ScoredSelector]] = {
    "topk": topk.TopKSelector,
    "aks": aks.AKSSelector,
    "bolt": bolt.BOLTSelector,
    "focus": focus.FOCUSSelector,
    "qframe": qframe.QFrameSelector,
}


def search(
    name: str, scores, text: str = "What is it?", fps: float = 1.0, **given_settings
) -> tuple[Choice, tuple[KeyFrame, ...], ScoredCase]:
    """A video whose scores are given; of one frame a second: second, frame and candidate are one number."""
    config = configured(selector=name, **given_settings)
    info = VideoInfo("film.mp4", len(scores) / fps, len(scores), fps, 32, 32, "none")
    scorer = SimpleNamespace(identity="given", logits=lambda values: 100 * np.asarray(values, np.float64))
    times_s = np.arange(len(scores), dtype=np.float64) / fps
    video = OpenVideo(SimpleNamespace(info=info), "film")
    case = ScoredCase(Question("film.mp4", text), video, times_s, config, scorer=scorer)
    generator, answer = SELECTORS[name](None, config).rule(case), None
    while True:
        try:
            wanted = generator.send(answer)
        except StopIteration as end:
            return end.value, within_budget([end.value.picks], times_s, config.frames), case
        assert (np.diff(wanted) > 0).all()
        answer = np.asarray(scores, np.float32)[wanted]
        case.scores.update(zip(wanted.tolist(), answer.tolist()))


def frames(name: str, scores, **given_settings) -> list[int]:
    return [frame.frame_index for frame in search(name, scores, **given_settings)[1]]


def test_every_selector_by_scores_is_tested_here():
    assert set(SELECTORS) == set(SCORING)


# top-k


def test_topk_takes_the_highest_in_temporal_order_and_of_equal_ones_the_earlier():
    assert frames("topk", [0.1, 0.9, 0.5, 0.5, 0.8], frames=3) == [1, 2, 4]


def test_a_video_of_fewer_seconds_than_the_budget_has_as_many_candidates_as_the_budget():
    # 3 s of 8 frames a second in 12 shares of two frames, of which the later is the middle one
    assert sorted(search("topk", [0.5] * 24, fps=8.0, frames=12)[2].scores) == list(range(1, 24, 2))


# AKS


def judged(scores, budget: int, threshold: float = 0.8, spread: float = -100.0, depth: int = 5) -> list[int]:
    scores = np.array(scores, np.float64)
    kept = [stretch for stretch in aks.judge_and_split(scores, budget, threshold, spread, depth) if stretch.kept]
    return np.concatenate([stretch.frames(scores) for stretch in kept]).tolist()


def test_aks_takes_the_top_of_a_video_where_it_clearly_beats_the_mean():
    # both best: mean 1; all: mean 2 / 16; the lead of 0.875 is above 0.8
    assert judged([0] * 5 + [1, 1] + [0] * 9, 2) == [5, 6]


def test_aks_halves_where_it_does_not():
    # best 4: (1 + 0.9 + 0.85 + 0.8) / 4 = 0.8875; all: 4.15 / 8 = 0.51875; lead 0.36875
    scores = [0.9, 0.85, 0.8, 0.0, 0.3, 1.0, 0.2, 0.1]
    assert judged(scores, 4, threshold=0.36) == [0, 1, 2, 5]
    # halves give 2 each, quarters 1: [.9 .85] [.8 0] [.3 1] [.2 .1]
    assert judged(scores, 4, threshold=0.37) == [0, 2, 5, 6]
    # one halving only: the two best of each half
    assert judged(scores, 4, depth=1) == [0, 1, 4, 5]
    assert judged(scores, 4, depth=0) == [0, 1, 2, 5]


MIXED = [1, 1, 0, 0, 0, 0, 0, 0, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5, 0.4]


def test_aks_judges_each_half_by_itself():
    # whole: 0.75 - 0.35 = 0.4; left: 1 - 0.25 = 0.75, kept; right: 0.5 - 0.45 = 0.05, halved
    assert judged(MIXED, 4, threshold=0.6) == [0, 1, 8, 12]


def test_aks_keeps_no_stretch_whose_spread_is_below_its_bar():
    # the left half's standard deviation: sqrt(0.25 * 0.75) = 0.433
    assert judged(MIXED, 4, threshold=0.6, spread=0.43) == [0, 1, 8, 12]
    assert judged(MIXED, 4, threshold=0.6, spread=0.44) == [0, 4, 8, 12]


def test_aks_keeps_only_what_exceeds_its_bars():
    assert judged([1, 0, 0, 0], 2, threshold=0.24) == [0, 1]  # lead: 0.5 - 0.25
    assert judged([1, 0, 0, 0], 2, threshold=0.25) == [0, 2]
    assert judged([1, 1, 0, 0], 2, threshold=0.4, spread=0.49) == [0, 1]  # standard deviation: 0.5
    assert judged([1, 1, 0, 0], 2, threshold=0.4, spread=0.5) == [0, 2]
    assert frames("aks", MIXED, frames=4, aks_threshold=0.6, aks_spread=0.44) == [0, 4, 8, 12]
    assert frames("aks", MIXED, frames=4, aks_depth=0) == [0, 1, 8, 10]


def test_aks_gives_the_odd_frame_to_the_half_with_the_best_score():
    assert judged([0, 0, 0, 0.5, 1, 0, 0, 0], 3) == [3, 4, 6]
    assert judged([0, 0, 0, 1, 0.5, 0, 0, 0], 3) == [0, 3, 4]
    assert judged([0, 0, 1, 0, 0, 0, 1, 0], 3) == [0, 2, 6]  # equal ones: to the first half
    assert judged([0, 0, 0, 0, 1], 5) == [0, 1, 2, 3, 4]  # no more than it has


def test_aks_brings_scores_to_0_and_1_first_and_its_nodes_say_what_was_judged():
    choice, key_frames, _ = search("aks", [0.2 + 0.1 * s for s in MIXED], frames=4, aks_threshold=0.6)
    assert [frame.frame_index for frame in key_frames] == [0, 1, 8, 12]
    assert [frame.node_id for frame in key_frames] == ["0.0", "0.0", "0.1.0", "0.1.1"]
    assert [frame.score for frame in key_frames] == [0.3, 0.3, 0.25, 0.25]
    assert [choice.weights[i] for i in (0, 2, 8)] == pytest.approx([1.0, 0.0, 0.5], abs=1e-6)
    told = {node.id: node for node in choice.nodes}
    assert [(id, node.depth) for id, node in told.items()] == [
        ("0", 0),
        ("0.0", 1),
        ("0.1", 1),
        ("0.1.0", 2),
        ("0.1.1", 2),
    ]
    assert told["0.0"].spans == (Span(0.0, 8.0),)
    assert told["0.0"].note == "best 2 lead by 0.750, spread 0.433: gives 2"
    assert told["0.1"].note == "best 2 lead by 0.050, spread 0.050: halved"


def test_aks_takes_equal_scores_for_0():
    assert aks.scaled(np.array([0.3, 0.3])).tolist() == [0.0, 0.0]


# BOLT


def test_bolts_density_is_the_power_of_the_scaled_scores():
    assert bolt.density(np.array([2.0, 3.0, 4.0, 3.0]), 1.0) == pytest.approx([0, 0.25, 0.5, 0.25])
    assert bolt.density(np.array([0.2, 0.3, 0.4, 0.3]), 1.0) == pytest.approx([0, 0.25, 0.5, 0.25])
    # (0, 1/8, 1, 1/8) / 1.25
    assert bolt.density(np.array([2.0, 3.0, 4.0, 3.0]), 3.0) == pytest.approx([0, 0.1, 0.8, 0.1])


def test_bolt_inverts_the_cumulative_density_at_even_levels():
    # cumulative 1/8, 2/8, ...; levels 0.25, 0.4167, 0.5833, 0.75
    assert bolt.inverse_transform(np.full(8, 1 / 8), 4).tolist() == [1, 3, 4, 5]
    # cumulative 0.05 0.1 0.4 0.7 0.8 0.9 0.95 1
    weights = np.array([0.05, 0.05, 0.3, 0.3, 0.1, 0.1, 0.05, 0.05])
    # levels 1/3 -> 2; 1/2 and 2/3 -> 3; the densest left: 4
    assert bolt.inverse_transform(weights, 3).tolist() == [2, 3, 4]
    assert bolt.inverse_transform(weights, 1).tolist() == [3]  # the median
    # cumulative sums that rounding leaves below a level, 0.7999999999999999 and 0.3
    assert bolt.inverse_transform(np.full(10, 0.1), 5).tolist() == [1, 3, 4, 6, 7]
    assert bolt.inverse_transform(np.full(3, 0.1), 2).tolist() == [0, 2]


def test_bolt_takes_a_frame_once_and_then_the_densest_left():
    # cumulative 0 1/3 1/3 1 1; both levels, 1/2, are reached at 3
    assert frames("bolt", [1, 2, 1, 3, 1], frames=2, bolt_power=1.0) == [1, 3]


def test_bolt_tells_the_density_of_every_candidate():
    choice, _, _ = search("bolt", [2, 3, 4, 3], frames=2, bolt_power=3.0)
    assert choice.weights == pytest.approx({0: 0.0, 1: 0.1, 2: 0.8, 3: 0.1})


def test_bolt_goes_evenly_where_all_scores_are_equal():
    assert frames("bolt", [0.3] * 8, frames=4) == [1, 3, 4, 5]


# Q-Frame


def test_qframe_adds_noise_to_the_log_softmax():
    # (2 0 1) / 0.5 = (4 0 2); ln(e^4 + 1 + e^2) = 4.142932
    weights = qframe.perturbed(np.array([2.0, 0.0, 1.0]), 0.5, np.array([0.0, 5.0, 0.25]))
    assert weights == pytest.approx([-0.142932, 0.857068, -1.892932], abs=1e-6)
    assert topk.top(weights, 2).tolist() == [0, 1]
    assert qframe.perturbed(np.array([2000.0, 0.0]), 0.5, np.zeros(2)).tolist() == [0.0, -4000.0]


def test_qframes_first_rank_is_a_draw_from_the_softmax():
    rng, logits = np.random.default_rng(0), np.log(np.array([0.5, 0.3, 0.2])) * 0.8
    first = [qframe.perturbed(logits, 0.8, rng.gumbel(size=3)).argmax() for _ in range(4000)]
    # three standard deviations of a share of 4000 draws: 0.024
    assert np.bincount(first) / 4000 == pytest.approx([0.5, 0.3, 0.2], abs=0.024)


def test_qframe_chooses_from_128_candidates_spread_over_the_video():
    _, _, case = search("qframe", np.zeros(1280), frames=8)
    assert sorted(case.scores) == list(range(5, 1280, 10))


def test_qframe_tells_the_weights_by_which_it_ranked():
    choice, key_frames, _ = search("qframe", [0.5, 0.0, 0.25, 0.0], frames=2, qframe_tau=100.0)
    # the scorer's logits are 100 times the scores: (0.5 0 0.25 0), less ln(e^0.5 + e^0.25 + 2), and the noise
    _, _, other = search("qframe", [0.0] * 4, frames=2, qframe_tau=1e9)
    noise = other.rng("qframe", "What is it?").gumbel(size=4)
    log_sum = math.log(math.exp(0.5) + math.exp(0.25) + 2)
    assert choice.weights == pytest.approx(dict(enumerate(np.array([0.5, 0.0, 0.25, 0.0]) - log_sum + noise)))
    assert [f.frame_index for f in key_frames] == sorted(sorted(choice.weights, key=choice.weights.get)[2:])


def test_qframe_follows_logits_far_apart_and_draws_anew_for_another_question():
    scores = np.zeros(100)
    scores[[7, 40, 41]] = 0.5
    assert frames("qframe", scores, frames=3) == [7, 40, 41]
    drawn = {text: [f.frame_index for f in search("qframe", np.zeros(100), text)[1]] for text in ("a", "b", "a ", "c")}
    assert len({tuple(chosen) for chosen in drawn.values()}) == 4


# FOCUS


def test_focus_cuts_clips_of_16_seconds_and_no_fewer_than_8():
    hour = focus.cut(Span(0.0, 3600.0), np.arange(3600.0), 16.0)
    assert len(hour) == 225 and hour[1] == focus.Arm(Span(16.0, 32.0), 16, 32)
    assert [arm.span.duration_s for arm in focus.cut(Span(0.0, 40.0), np.arange(40.0), 16.0)] == [5.0] * 8
    # two frames begin in the 2nd and in the 7th eighth alone
    assert [arm.first for arm in focus.cut(Span(0.0, 8.0), np.array([1.5, 6.0]), 16.0)] == [0, 1]


def test_focus_bounds_are_bernsteins_upper_ones():
    bounds = focus.upper_bounds([np.array([0.2, 0.4, 0.6]), np.array([0.5, 0.5, 0.5])])
    log_n = math.log(6)
    # variance 0.08 / 3; the even clip has the least one, 1e-6
    first = 0.4 + math.sqrt(2 * log_n * (0.08 / 3) / 3) + log_n
    second = 0.5 + math.sqrt(2 * log_n * 1e-6 / 3) + log_n
    assert bounds == pytest.approx([first, second]) and first == pytest.approx(2.370235, abs=1e-6)
    assert focus.best_arms(bounds, 0.5, 1, 8).tolist() == [0]  # the doubt outweighs the lower mean


def test_focus_looks_at_a_quarter_of_the_clips_within_limits():
    bounds = np.array([1.0, 3.0, 2.0, 3.0, 0.0])
    assert focus.best_arms(bounds, 0.25, 1, 9).tolist() == [1, 3]
    assert focus.best_arms(bounds, 0.25, 4, 9).tolist() == [1, 3, 2, 0]
    assert focus.best_arms(bounds, 1.0, 1, 3).tolist() == [1, 3, 2]


def test_focus_samples_the_middle_and_two_others_and_closely_half_evenly_half_at_random():
    arm, rng = focus.Arm(Span(16.0, 32.0), 16, 32), np.random.default_rng(0)
    [first] = focus.coarse([arm], rng)
    assert len(first) == 3 and 23 in first and set(first) <= set(range(16, 32))
    close = focus.close_look(arm, 16, first, rng)
    assert close.tolist() == sorted(set(range(16, 32)) - set(first.tolist()))
    assert focus.coarse([focus.Arm(Span(0, 3), 4, 7), focus.Arm(Span(3, 4), 7, 8)], rng)[0].tolist() == [4, 5, 6]
    assert len(focus.close_look(arm, 1, np.array([], int), rng)) == 1
    # eight of 15 evenly: at 0.9, 2.8, 4.7, ..., of which frame 4 is known
    uneven = focus.close_look(focus.Arm(Span(0, 15), 0, 15), 15, np.array([4]), rng)
    assert uneven.tolist() == [0, 1, 2, 3, *range(5, 15)]
    half = focus.close_look(arm, 8, np.array([20]), rng)
    assert {18, 22, 26, 30} <= set(half.tolist()) and 20 not in half and len(half) == 8


def test_focus_gives_a_frame_the_score_of_the_nearest_scored_one():
    assert focus.nearest_scores(np.arange(6), {1: 0.2, 4: 0.9}).tolist() == [0.2, 0.2, 0.2, 0.9, 0.9, 0.9]
    assert focus.nearest_scores(np.array([2]), {1: 0.2, 3: 0.9}).tolist() == [0.2]


def test_focus_draws_by_the_softmax_of_scaled_scores():
    rng, scores = np.random.default_rng(1), np.array([0.1, 0.2, 0.15])  # scaled: 0 1 0.5
    first = [focus.draw(scores, 1, 0.5, rng)[0] for _ in range(4000)]
    chances = np.exp([0.0, 2.0, 1.0])
    assert np.bincount(first) / 4000 == pytest.approx(chances / chances.sum(), abs=0.024)
    assert focus.draw(scores, 2, 1e-6, rng).tolist() == [1, 2]


def test_focus_keeps_a_second_from_what_it_has_where_it_can():
    times = np.arange(40) / 8
    free = focus.apart(np.array([8, 15, 16, 23, 24, 25]), np.array([16]), times, 1.0)
    assert free.tolist() == [8, 24, 25]
    assert focus.apart(np.array([15, 16, 17]), np.array([16]), times, 1.0).tolist() == [15, 16, 17]  # else from all


def test_focus_draws_keep_a_second_from_the_best_frames_and_from_other_clips():
    scores = np.random.default_rng(0).random(8 * 64)  # 8 clips of 8 s, 8 frames a second; 3 of 16 go to the best
    choice, key_frames, _ = search("focus", scores, fps=8.0, frames=16, focus_clip_s=8.0, focus_share=1.0)
    best, drawn = choice.picks[:3], choice.picks[3:]
    assert len(key_frames) == 16 and len({pick.node_id for pick in drawn}) == 8
    for pick in drawn:
        others = [*best, *(other for other in drawn if other.node_id != pick.node_id)]
        assert min(abs(pick.frame_index - other.frame_index) for other in others) >= 8


def test_focus_tells_a_drawn_frame_the_score_of_its_own_clip():
    scores = np.repeat(np.arange(8) / 8, 64)  # 8 clips of 8 s, 8 frames a second, each of one score
    for seed in range(5):
        choice, _, _ = search("focus", scores, fps=8.0, frames=64, focus_clip_s=8.0, focus_share=1.0, seed=seed)
        assert [pick.score for pick in choice.picks] == [int(pick.node_id[2:]) / 8 for pick in choice.picks]


def test_focus_looks_once_a_second_closely_and_once_at_a_clip_of_less():
    def scored(clip_s: float) -> int:  # 8 s of 8 frames a second, all clips looked at closely
        _, _, case = search("focus", np.zeros(64), fps=8.0, frames=4, focus_clip_s=clip_s, focus_share=1.0)
        return len(case.scores)

    assert scored(1.0) == 8 * (3 + 1)
    assert scored(0.5) == 16 * (3 + 1)


def test_focus_draws_nearer_to_what_it_has_where_the_budget_is_dense():
    scores = np.random.default_rng(0).random(8 * 64)  # 64 frames of 64 s: a quarter of a second is enough
    choice, _, _ = search("focus", scores, fps=8.0, frames=64, focus_clip_s=8.0, focus_share=1.0)
    best, drawn = choice.picks[:13], choice.picks[13:]
    assert len(drawn) == 51
    assert 2 <= min(abs(pick.frame_index - other.frame_index) for pick in drawn for other in best) < 8


def test_focus_passes_over_a_clip_without_a_frame_left():
    choice, _, _ = search("focus", np.arange(8), frames=7, focus_share=1.0)  # 8 clips of a frame: one is the best
    assert [pick.frame_index for pick in choice.picks] == [7, 6, 5, 4, 3, 2]


def test_focus_scores_the_same_coarse_frames_for_every_question_and_others_with_another_seed():
    def coarse_and_chosen(text: str, seed: int = 0) -> tuple[list[int], list[int]]:
        _, key_frames, case = search("focus", np.zeros(320), text, frames=8, seed=seed)
        # of equal clips the first five are looked at closely
        return sorted(i for i in case.scores if i >= 80), [frame.frame_index for frame in key_frames]

    first, second, third = coarse_and_chosen("a"), coarse_and_chosen("b"), coarse_and_chosen("a", seed=1)
    assert first[0] == second[0] != third[0]
    assert first[1] != second[1]


def test_focus_finds_the_clip_that_stands_out_and_spends_its_budget_on_it_and_its_runners_up():
    scores = np.zeros(320)  # 20 clips of 16 s: 5 are looked at closely, 2 of 8 frames go to the best
    scores[64:80] = 0.9  # clip 4
    scores[160:176] = 0.5  # clip 10
    choice, key_frames, case = search("focus", scores, frames=8)
    owners = [frame.node_id for frame in key_frames]
    # 6 frames left for 5 clips: 2 for the first of them, 1 for each other, beside the two best
    assert owners.count("0.4") == 4 and owners.count("0.10") == 1 and len(set(owners)) == 5
    assert [frame.score for frame in key_frames if frame.node_id == "0.4"] == [0.9] * 4
    assert len(case.scores) == 20 * 3 + 5 * (16 - 3)
    notes = {node.id: node.note for node in choice.nodes}
    # 60 coarse scores: 0.9 + sqrt(2 ln(60) 1e-6 / 3) + ln(60)
    assert notes["0.4"] == "mean 0.900 of 16 scores, coarse bound 4.996, looked at closely"
    assert notes["0.3"] == notes["0.19"] == "mean 0.000 of 3 scores, coarse bound 4.096"
    assert [(node.id, node.depth, node.spans) for node in choice.nodes[:2]] == [
        ("0", 0, (Span(0, 320),)),
        ("0.0", 1, (Span(0, 16),)),
    ]


# settings


@pytest.mark.parametrize(
    ("name", "wrong", "bound"),
    [
        ("aks_depth", -1, 0),
        ("bolt_power", -0.5, 0.0),
        ("focus_clip_s", 0.0, 0.5),
        ("focus_temperature", 0.0, 0.5),
        ("focus_share", 1.5, 1.0),
        ("focus_share", -0.5, 0.0),
        ("focus_top", 1.5, 1.0),
        ("qframe_candidates", 0, 1),
        ("qframe_tau", 0.0, 0.5),
    ],
)
def test_a_setting_out_of_range_is_named(name, wrong, bound):
    selector = name.partition("_")[0]
    with pytest.raises(ConfigError, match=f"^{name}={wrong}: "):
        frames(selector, [0.5] * 20, frames=4, **{name: wrong})
    assert len(frames(selector, [0.5] * 20, frames=4, **{name: bound})) == 4


# whatever the scores are

values = st.sampled_from([-1.0, 0.0, 0.25, 1.0]) | st.floats(-1, 1, width=32)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SELECTORS)), st.lists(values, min_size=1, max_size=150), st.integers(1, 40))
def test_frames_are_sorted_unique_in_range_and_exactly_the_budget_or_all(name, scores, budget):
    choice, key_frames, _ = search(name, scores, frames=budget)
    indices = [frame.frame_index for frame in key_frames]
    assert indices == sorted(set(indices)) and len(indices) == min(budget, len(scores))
    assert indices[0] >= 0 and indices[-1] < len(scores)
    assert len({pick.frame_index for pick in choice.picks}) == len(choice.picks)
    if name != "focus":  # a clip may lack frames
        assert sorted(pick.frame_index for pick in choice.picks) == indices


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SELECTORS)), st.lists(values, min_size=1, max_size=80), st.integers(1, 12))
def test_the_same_again_gives_the_same(name, scores, budget):
    assert search(name, scores, frames=budget)[1] == search(name, scores, frames=budget)[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=80), st.integers(1, 20))
def test_topk_leaves_nothing_better_out(scores, budget):
    chosen = frames("topk", scores, frames=budget)
    left = set(range(len(scores))) - set(chosen)
    assert not left or min(np.float32(scores)[chosen]) >= max(np.float32(scores)[sorted(left)])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["topk", "aks", "bolt"]), st.lists(st.integers(0, 8), min_size=1, max_size=80), st.integers(1, 20)
)
def test_scores_on_another_scale_choose_the_same(name, scores, budget):
    scaled = [4.0 * score - 16.0 for score in scores]  # exact in binary
    assert frames(name, scaled, frames=budget) == frames(name, scores, frames=budget)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=150), st.integers(1, 40), st.integers(0, 6), st.floats(0, 1))
def test_aks_stretches_cut_the_video_without_gap_and_give_the_budget(scores, budget, depth, threshold):
    scores, budget = aks.scaled(np.array(scores)), min(budget, len(scores))
    kept = [s for s in aks.judge_and_split(scores, budget, threshold, -100.0, depth) if s.kept]
    assert sum(stretch.quota for stretch in kept) == budget
    edges = [kept[0].first, *(stretch.stop for stretch in kept)]
    assert edges[0] == 0 and edges[-1] == len(scores) and [s.first for s in kept] == edges[:-1]
    assert all(stretch.id.count(".") <= depth and stretch.quota <= stretch.stop - stretch.first for stretch in kept)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=80), st.floats(0, 6))
def test_bolts_density_is_one_and_rises_with_the_score(scores, power):
    weights = bolt.density(np.array(scores), power)
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
    order = np.argsort(scores, kind="stable")
    assert (np.diff(weights[order]) >= -1e-12).all()
