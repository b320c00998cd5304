"""The films of ``benchmarks/alike_films.py`` are alike throughout, but for the needle, which each question is about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmms_videominer.types import KeyFrame, Question, Selection, Span, VideoInfo
from lmms_videominer.world import language
from lmms_videominer.world.render import render_times

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EVERY_S = np.arange(0, 3600, 0.5)


@pytest.fixture(autouse=True)
def alike_films(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import alike_films

    return alike_films


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("kind", ["alike", "same", "scenes"])
def test_one_question_has_one_needle_and_frames_of_it_answer(alike_films, kind, index):
    draw, each = alike_films.FILMS[kind]
    script, questions = draw(index)
    assert script.duration_s == 3600 and len(questions) == each
    for q in questions:
        (needle,) = q.evidence
        assert 4 <= needle.duration_s <= 6
        states = [script.state_at(needle.start_s + f * needle.duration_s) for f in (0.2, 0.8)]
        assert language.answer_from(q, states) is not None
        shown = {(scene.place, scene.actor) for scene in q.scenes}
        rest = [t for t in EVERY_S if not needle.start_s - 1 < t < needle.end_s + 1]
        boards = {s.board for s in map(script.state_at, rest) if (s.place, s.actor) in shown and s.board}
        signs = boards & {state.board for state in states}
        assert not signs, "what answers is shown elsewhere"


def test_an_hour_that_reads_alike_has_one_caption_outside_of_its_moments(alike_films):
    script, questions = alike_films.same(0)
    assert len({(s.place, s.actor) for s in map(script.state_at, EVERY_S)}) == 1
    bare = [t for t in EVERY_S if script.state_at(t).board is None]
    assert len(bare) > 0.99 * len(EVERY_S)
    assert len(script.scenes) > 80 and len({scene.seed for scene in script.scenes}) > 80  # though it looks varied
    assert len(questions) == 2


@pytest.mark.parametrize("kind", ["alike", "scenes"])
def test_an_hour_that_looks_alike_stands_still(alike_films, kind):
    script, questions = alike_films.FILMS[kind][0](0)
    needles = [span for q in questions for span in (*q.evidence, *(s.span for s in q.scenes if kind == "scenes"))]
    still = [t for t in EVERY_S[::40] if not any(span.start_s <= t < span.end_s for span in needles)]
    frames = render_times(script, np.array(still))
    assert len(still) > 150 and (frames == frames[0]).all()


def test_a_needle_counts_as_found_by_a_frame_in_the_evidence_alone(alike_films):
    question = Question("f.mp4", "Which sign?", ("star", "moon"), (Span(10, 14),))
    asked = alike_films.Asked("same-0-0", "same", question, "B")
    info = VideoInfo("f.mp4", 3600.0, 28800, 8.0, 168, 168, "pyav")
    rows = [
        alike_films.line(asked, Selection(question, info, (KeyFrame(t, int(8 * t)),), "uniform", answer=answer), 1.0)
        for t, answer in ((9.0, "moon"), (12.0, "star"), (13.0, "B"))
    ]
    assert [(row["found"], row["correct"]) for row in rows] == [(0, 1), (1, 0), (1, 1)]
    (told,) = alike_films.table(rows)
    assert "3 questions, needle found 67 %, right 67 %" in told
