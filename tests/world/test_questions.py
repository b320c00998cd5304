"""Kinds of questions: the default ones stay as they are; the text of those that are named gives nothing away."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.errors import ConfigError
from lmms_videominer.types import Span
from lmms_videominer.verdict import chosen_option
from lmms_videominer.world import language, render_world
from lmms_videominer.world.curriculum import named_lesson
from lmms_videominer.world.questions import ALL_KINDS, DRAWERS, LETTERS, WHOLE_VIDEO, where, write_questions
from lmms_videominer.world.script import PLACES, SPLITS, write_script

NAMED = (*WHOLE_VIDEO, "which")
worlds = st.tuples(st.integers(0, 2_999_999), st.integers(0, 50), st.sampled_from([1, 5, 15, 60]))


def many(minutes, count=8, videos=150, kinds=NAMED):
    return [q for i in range(videos) for q in write_questions(write_script(4, i, minutes), count, kinds)]


def test_questions_of_the_tasks_are_the_same_to_the_byte():
    digest = hashlib.sha256()
    for split in SPLITS.values():
        for minutes, i in itertools.product((1, 5, 15, 60), range(10)):
            script = write_script(split.start, i, minutes)
            rows = (q.row(script, n, "v") for n, q in enumerate(write_questions(script, 10)))
            digest.update("".join(map(json.dumps, rows)).encode())
    assert digest.hexdigest() == "a79561d0ebdac3deeaa1f00fce799baaa67b75176b49b443f388a28e6e747df9"


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_the_right_option_is_true_of_the_film_and_the_others_are_not(world):
    script = write_script(*world)
    shown = {chapter.place for chapter in script.chapters}
    for q in write_questions(script, 8, NAMED):
        if q.kind == "places":
            listed = q.text.rstrip("?").partition(": ")[2].split(", ")
            true = {str(len({f"the {place}" for place in shown} & set(listed)))}
        elif q.kind == "never":
            true = set(PLACES) - shown
        elif q.kind == "last":
            true = {script.chapters[-1 if "last" in q.text else 0].place}
        else:
            sign = q.text.split("does the ")[1].split()[0]
            true = {f"while {where(scene)}" for scene in script.scenes if sign in scene.signs}
        assert {option for option in q.options if option in true} == {q.right}
        assert len(set(q.options)) == 4


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_frames_of_the_evidence_suffice_for_the_answer_and_it_is_read_as_the_right_option(world):
    script = write_script(*world)
    for q in write_questions(script, 8, NAMED):
        assert q.evidence
        times = [s.start_s + f * s.duration_s for s in q.evidence for f in (0.2, 0.8)]
        reply = language.answer_from(q, [script.state_at(t) for t in times])
        assert chosen_option(reply, q.options) == LETTERS.index(q.answer)


@settings(max_examples=60, deadline=None)
@given(worlds)
def test_frames_that_miss_what_is_asked_do_not_suffice(world):
    script = write_script(*world)
    for q in write_questions(script, 8, NAMED):
        elsewhere = [
            t for t in np.arange(0.0, script.duration_s, 0.5) if not Span(t, t + 0.01).overlaps(q.evidence[-1])
        ]
        place = script.state_at(q.evidence[-1].start_s).place
        states = [s for s in (script.state_at(t) for t in elsewhere) if s.place != place]
        assert not states or language.answer_from(q, states) is None


def test_named_kinds_come_in_equal_shares_as_far_as_films_have_them():
    assert Counter(q.kind for q in many(15, videos=20)) == dict.fromkeys(NAMED, 40)
    assert {q.kind for q in many(60, videos=5)} == {"last", "which"}  # an hour shows every place
    assert {q.kind for q in many(15, videos=3, kinds=("sign", "which"))} == {"sign", "which"}
    assert not {"places", "never"} & {q.kind for q in many(1, videos=20)}


@pytest.mark.parametrize("kind", ["places", "never"])
def test_of_the_places_in_question_those_that_are_shown_are_read_frame_by_frame(kind):
    scripts = [s for s in (write_script(4, i, 15) for i in range(50)) if write_questions(s, 1, [kind])][:8]
    for script in scripts:
        [question] = write_questions(script, 1, [kind])
        shown = {chapter.place for chapter in script.chapters}
        asked = question.text.split(": ")[1] if kind == "places" else " ".join(question.options)
        states = [script.state_at(t) for t in np.linspace(0.1, script.duration_s - 0.1, 400)]
        places = ", ".join(state.place for state in states)
        said = ", ".join(name for name in PLACES if name in asked and name in shown) or "none"
        assert language.answer_from(question, states) == f"{places}; {said}: {question.right}"


def test_a_which_question_is_answered_from_the_frame_that_shows_its_sign():
    script = next(s for s in (write_script(4, i, 15) for i in range(50)) if write_questions(s, 1, ["which"]))
    [question] = write_questions(script, 1, ["which"])
    [scene] = question.scenes
    shown = script.state_at(scene.moments[0].span.start_s)
    elsewhere = script.state_at(next(s for s in script.scenes if s is not scene).span.start_s)
    described = f"{scene.place}: {scene.actor.body} robot with the {scene.actor.hat} hat, {scene.signs[0]}"
    assert language.answer_from(question, [elsewhere, shown]) == f"{described}: {question.right}"
    assert language.answer_from(question, [elsewhere]) is None
    other = next(s for s in script.scenes if s.signs and s is not scene)
    before = script.state_at(other.moments[0].span.start_s)
    reading = f"{language.describe(before)}; {described}: {question.right}"
    assert language.answer_from(question, [elsewhere, before, shown, before]) == reading


def test_no_question_comes_twice():
    for i in range(20):
        questions = write_questions(write_script(4, i, 15), 20, NAMED)
        assert len({(q.text, q.right) for q in questions}) == len(questions)


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_right_answers_are_placed_evenly_in_each_kind(minutes):
    for kind, group in itertools.groupby(sorted(many(minutes), key=lambda q: q.kind), lambda q: q.kind):
        answers = Counter(q.answer for q in group)
        total = sum(answers.values())
        assert all(0.19 < answers[letter] / total < 0.31 for letter in LETTERS), (kind, answers)


@pytest.mark.parametrize("minutes", [5, 15, 60])
@pytest.mark.parametrize("kind", NAMED)
def test_a_guess_by_text_is_at_chance(minutes, kind):
    """By the alphabet, by how common an option's words are in this question and in all, and by what is right mostly."""
    questions = [q for q in many(minutes, 4, 300, (kind,)) if q.kind == kind]
    if not questions:
        return
    words = Counter(word for q in questions for option in q.options for word in option.split())

    def scores(q, option):
        others = " ".join([q.text, *q.options]).split()
        return option, sum(words[w] for w in option.split()), sum(others.count(w) for w in option.split())

    rates = []
    for number in range(3):
        for best in (max, min):
            guesses = [best(q.options, key=lambda option, q=q: scores(q, option)[number]) for q in questions]
            rates.append(np.mean([guess == q.right for guess, q in zip(guesses, questions)]))
    half = len(questions) // 2
    usually = Counter(q.right for q in questions[:half])
    rates.append(np.mean([max(q.options, key=lambda option: usually[option]) == q.right for q in questions[half:]]))
    margin = 4 * (0.25 * 0.75 / half) ** 0.5
    assert all(abs(rate - 0.25) < margin for rate in rates), rates


def test_an_unknown_kind_is_refused_with_the_nearest_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'places'"):
        write_questions(write_script(4, 0, 15), 1, ("place",))
    with pytest.raises(ConfigError, match="did you mean 'never'"):
        render_world(tmp_path / "world", 1, 1, 3_000_000, kinds=["nevr"])
    assert not (tmp_path / "world").exists()


def test_ids_of_named_kinds_are_their_own(tmp_path):
    path = render_world(tmp_path, 1, 1, 3_000_000, workers=1, progress=False, questions=3, kinds=["last", "sign"])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"3000000-0-1min-{row['kind']}{n}" for n, row in enumerate(rows)]
    assert {row["kind"] for row in rows} == {"last", "sign"} <= set(ALL_KINDS)


def test_lessons_of_named_kinds_teach_what_is_read_as_the_right_option():
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        lesson = named_lesson(rng, 12, 8, 2)
        kinds.add(lesson.kind)
        assert lesson.frames.shape[0] == 8
        for prompt, reply in lesson.turns:
            options = [line[3:] for line in prompt.split("\n") if line[1:3] == ". "]
            assert chosen_option(reply, options) is not None
    assert kinds == set(DRAWERS)
