"""What a seed draws: scripts and questions."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lmms_videominer.types import Span
from lmms_videominer.world import language
from lmms_videominer.world.questions import write_questions
from lmms_videominer.world.script import ACTIONS, SPLITS, Actor, FrameState, write_script

ROUNDING_S = 1e-9
worlds = st.tuples(st.integers(0, 2_999_999), st.integers(0, 50), st.sampled_from([1, 5, 15, 60]))


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_scenes_tile_the_video_and_no_pair_of_place_and_actor_comes_twice(world):
    script = write_script(*world)
    edges = [scene.span for scene in script.scenes]
    assert edges[0].start_s == 0 and edges[-1].end_s == world[2] * 60
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(edges))
    pairs = [(scene.place, scene.actor) for scene in script.scenes]
    assert len(set(pairs)) == len(pairs)


@settings(max_examples=40, deadline=None)
@example((2999998, 31, 5))  # six seconds and a rounding error
@given(worlds)
def test_moments_lie_in_their_scene_apart_from_each_other_and_last_two_to_six_seconds(world):
    for scene in write_script(*world).scenes:
        assert all(2 - ROUNDING_S <= m.span.duration_s <= 6 + ROUNDING_S for m in scene.moments)
        assert all(scene.span.start_s < m.span.start_s and m.span.end_s < scene.span.end_s for m in scene.moments)
        assert all(a.span.end_s < b.span.start_s for a, b in itertools.pairwise(scene.moments))


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_frames_of_the_evidence_settle_every_question(world):
    script = write_script(*world)
    for question in write_questions(script, 10):
        times = [s.start_s + f * s.duration_s for s in question.evidence for f in (0.2, 0.8)]
        boards = language.boards_seen(question, [script.state_at(t) for t in times])
        assert language.is_answerable(question, boards)
        right = question.options["ABCD".index(question.answer)]
        expected = {"sign": boards[0], "count": str(len(boards)), "order": " then ".join(boards)}
        if question.kind == "action":
            assert ACTIONS[right] == tuple(boards)
        else:
            assert right == expected[question.kind]


def test_the_same_seed_gives_the_same_script_and_another_seed_another():
    assert write_script(5, 0, 15) == write_script(5, 0, 15)
    assert write_script(5, 0, 15) != write_script(6, 0, 15)
    assert write_script(5, 0, 15).scenes != write_script(5, 1, 15).scenes


def test_splits_share_no_seed():
    train, dev, test = (SPLITS[name] for name in ("train", "dev", "test"))
    assert train.stop <= dev.start and dev.stop <= test.start


@pytest.mark.parametrize("minutes", [15, 60])
def test_right_answers_are_placed_evenly_and_kinds_keep_their_shares(minutes):
    questions = [q for i in range(20) for q in write_questions(write_script(3, i, minutes), 10)]
    answers = Counter(q.answer for q in questions)
    assert max(answers.values()) - min(answers.values()) <= 1
    kinds = Counter(q.kind for q in questions)
    assert kinds["sign"] >= 75 and min(kinds.values()) >= 30
    assert all(len(set(q.options)) == 4 for q in questions)


def test_a_blind_guess_by_option_text_is_at_chance():
    questions = [q for i in range(150) for q in write_questions(write_script(4, i, 60), 10)]
    first_in_alphabet = [q.answer == "ABCD"[q.options.index(min(q.options))] for q in questions]
    most_repeated = []
    for q in questions:
        words = Counter(word for option in q.options for word in option.split())
        score = [sum(words[w] for w in option.split()) for option in q.options]
        most_repeated.append(q.answer == "ABCD"[score.index(max(score))])
    for guesses in (first_in_alphabet, most_repeated):
        assert 0.21 < sum(guesses) / len(guesses) < 0.29


def test_order_questions_ask_about_two_chapters():
    script = write_script(8, 0, 60)
    for question in write_questions(script, 10):
        if question.kind == "order":
            first, second = question.scenes
            assert script.chapter_at(first.span.start_s) is not script.chapter_at(second.span.start_s)
            assert first.span.start_s < second.span.start_s


@pytest.mark.parametrize("seed", range(20))
def test_two_hours_do_not_run_out_of_actors(seed):
    script = write_script(seed, 0, 120)
    assert script.chapters[-1].span.end_s == 7200
    for place in {chapter.place for chapter in script.chapters}:
        actors = [scene.actor for chapter in script.chapters if chapter.place == place for scene in chapter.scenes]
        assert len(set(actors)) == len(actors)


@pytest.mark.parametrize("minutes", [0.5, 121])
def test_a_length_out_of_range_is_refused_with_its_value(minutes):
    with pytest.raises(ValueError, match=str(minutes)):
        write_script(0, 0, minutes)


def test_an_unknown_nuisance_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"fog.*flashes"):
        write_script(0, 0, 5, ("fog",))


def test_a_caption_tells_equal_neighbours_once():
    red = FrameState("sea", Actor("red", "blue"), None)
    star = FrameState("sea", Actor("red", "blue"), "star")
    assert language.caption([red, red, star, red]) == (
        "sea: red robot with the blue hat; sea: red robot with the blue hat, star; sea: red robot with the blue hat"
    )


def test_rows_hold_what_the_file_format_promises():
    script = write_script(9, 2, 15)
    question = write_questions(script, 1)[0]
    row = question.row(script, 0, "a.mp4")
    assert set(row) == {"id", "video", "question", "options", "answer", "kind", "minutes", "evidence", "seed"}
    assert [Span(*window) for window in row["evidence"]] == list(question.evidence)
