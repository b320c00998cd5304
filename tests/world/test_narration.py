"""What is said in a world: questions about it, its track and its file, and the lessons that would teach it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmms_videominer.policy.parser import parse_completion
from lmms_videominer.types import Action, Event, Reading, Span
from lmms_videominer.video.subtitles import read_cues
from lmms_videominer.world import language, render_world
from lmms_videominer.world.curriculum import draw_script, policy_lesson, spoken_lesson
from lmms_videominer.world.narration import narrate, words_said
from lmms_videominer.world.questions import write_questions
from lmms_videominer.world.script import write_script


@pytest.mark.parametrize("minutes", [1, 5, 60])
def test_each_word_is_said_once_and_within_one_scene(minutes):
    for index in range(20):
        script = write_script(5, index, minutes)
        cues, said = narrate(script), words_said(script)
        assert list(cues) == sorted(cues, key=lambda cue: cue.span) and len({*said.values()}) == len(said)
        assert sum(cue.text.startswith("the word is") for cue in cues) == len(said) == min(8, len(script.scenes))
        scenes = [script.scene_at(cue.span.start_s) for cue in cues]
        assert len({id(scene) for scene in scenes}) == len(cues)
        assert all(s.span.start_s < c.span.start_s < c.span.end_s < s.span.end_s for s, c in zip(scenes, cues))


def test_a_spoken_question_is_answered_by_the_place_where_its_word_is_said():
    for index in range(30):
        script = write_script(5, index, 15)
        for question in write_questions(script, 4, ["spoken"]):
            [evidence] = question.evidence
            assert script.state_at(evidence.start_s).place == question.right
            word = next(word for word, cue in words_said(script).items() if cue.span == evidence)
            assert question.text == f"Where is the robot when the word {word} is said?"
            assert len(set(question.options)) == 4


def test_a_world_with_words_has_them_in_the_film_and_beside_it(tmp_path):
    render_world(tmp_path, 1, 1, 17, workers=1, progress=False, questions=2, kinds=["spoken", "sign"])
    [film] = tmp_path.glob("*.mp4")
    cues = narrate(write_script(17, 0, 1))
    assert read_cues(str(film), str(film.with_suffix(".srt")), 60.0) == cues
    film.with_suffix(".srt").unlink()
    assert read_cues(str(film), "auto", 60.0) == cues
    rows = [json.loads(line) for line in (tmp_path / "qa.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["spoken", "sign"] and film.name == rows[0]["video"]
    assert [*rows[0]["evidence"][0]] in [[cue.span.start_s, cue.span.end_s] for cue in cues]


def test_the_teacher_holds_the_words_against_what_is_said():
    script = write_script(5, 3, 15)
    [question] = write_questions(script, 1, ["spoken"])
    word = question.text.split()[-3]
    own, other = f"the word is {word}", "nothing new here"
    assert language.sought(question) == [f"the word {word} is said."]
    cases = {
        (own,): (Action.ACCEPT, Action.ACCEPT),
        (other,): (Action.DELETE, Action.DELETE),
        ("",): (Action.DELETE, Action.DELETE),
        (f"{other} {own}",): (Action.CONTINUE, Action.ACCEPT),
        (own, other): (Action.CONTINUE, Action.ACCEPT),
    }
    for said, actions in cases.items():
        assert tuple(language.decide_by_words(question, said, depth, 3)[0] for depth in (1, 3)) == actions
    _, reasoning = language.decide_by_words(question, ("", own), 1, 3)
    assert reasoning == f"Sought: the word {word}. nothing said {word}: no. {own} {word}: heard. Heard, among others."


def test_lessons_about_words_follow_the_format_and_read_what_a_search_would_show():
    kinds = set()
    for seed in range(80):
        rng = np.random.default_rng(seed)
        lesson = spoken_lesson(rng, draw_script(rng, 7))
        [(prompt, completion)] = lesson.turns
        kinds.add(lesson.kind)
        reading = parse_completion(completion, Action.DELETE, "<think>" in prompt)[1]
        assert reading is Reading.STRICT and " is said?" in prompt
        word = prompt.split(" the word ")[1].split()[0]
        if lesson.kind in ("accept", "continue"):
            assert f"the word is {word}" in prompt.split("Caption of this part:\n")[1]
    assert kinds == {"accept", "continue", "delete", "sought"}
    assert Event(Span(0, 1), "a caption", said="some words").told == 'a caption\nSaid: "some words"'


def test_other_lessons_do_not_know_of_it():
    rng = np.random.default_rng(0)
    assert not any("aid:" in policy_lesson(rng, draw_script(rng, 7)).turns[0][0] for _ in range(40))
