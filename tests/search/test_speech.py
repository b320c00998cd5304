"""What is said: told of events, promising where it is what is sought, near key frames, and nothing at all when off."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from support.scripted import ColourEmbedder, ColourScorer, ColourVLM, JudgingVLM, RulePolicy, colour_video

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import SubtitleError
from lmms_videominer.models.bundle import CHECKPOINTS
from lmms_videominer.models.identity import model_identity
from lmms_videominer.search.answers import prompt_of
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.speech import MOST_NEAR, MOST_TOLD, Speech, near, passages_of, unsought
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.videominer import VideoMinerSettings
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.types import Action, Cue, Question, Selection, Span
from lmms_videominer.video.subtitles import read_cues

CONFIG = MinerConfig(
    frames=4, events=4, scan_frames=64, caption_frames=2, grain_s=1.0, clustering="none", cache_dir="off"
)
# no frame shows yellow
FILM = [("red", 9), ("green", 7), ("blue", 8), ("black", 8), ("red", 9), ("white", 7), ("green", 8), ("blue", 8)]
SAID = Span(27.0, 29.0)  # in black
SRT = """\
00:00:05,000 --> 00:00:07,000
nothing much so far

00:00:27,000 --> 00:00:29,000
and here comes the <b>yellow</b> one

00:00:50,000 --> 00:00:52,000
that was all
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("spoken") / "film.mp4"
    path.with_suffix(".en.srt").write_text(SRT, encoding="utf-8")
    return colour_video(path, FILM)


def policy() -> RulePolicy:
    """Seeks yellow, and accepts what is said to be yellow."""
    return RulePolicy(
        lambda told, depth: Action.ACCEPT if "yellow" in told else Action.DELETE if depth else Action.CONTINUE,
        sought="something yellow",
    )


def always_deletes() -> RulePolicy:
    return RulePolicy(lambda told, depth: Action.DELETE if depth else Action.CONTINUE, sought="yellow or white")


def mine(video: str, question: Question | None = None, vlm=None, cache=None, decides=None, **changed) -> Selection:
    config = dataclasses.replace(CONFIG, **changed)
    stages = build_stages(config, vlm or ColourVLM(), decides or policy(), ColourEmbedder(), scorer=ColourScorer())
    stages.cache = cache or stages.cache
    selector = get_selector(config.selector, stages, config)
    [selection] = run(selector, [Job(question or Question(video, "When is it yellow?"))])
    if not isinstance(selection, Selection):
        raise selection
    return selection


def accepted(selection):
    return [node for node in selection.nodes if node.has_action(Action.ACCEPT)]


@pytest.mark.parametrize("look", ["scorer", "none"])
def test_what_no_frame_shows_is_found_where_it_is_said(film, look):
    vlm = ColourVLM()
    selection = mine(film, vlm=vlm, look=look, subtitles="auto", wave=1)
    first = vlm.calls[0][0].frame_times_s
    assert Span(first[0] - 4.0, first[-1] + 4.0).overlaps(SAID)
    [node] = accepted(selection)
    assert node.spans[0].overlaps(SAID)
    assert node.caption.endswith('\nSaid: "and here comes the yellow one"') and node.caption in node.decision.prompt
    assert not accepted(mine(film, look=look, subtitles="off", wave=1))


def test_a_key_frame_shows_the_moment_when_it_is_said(film):
    selection = mine(film, subtitles="auto")
    assert 28.0 in [round(frame.time_s, 1) for frame in selection.key_frames if frame.node_id]  # amid the words


def test_where_nothing_is_accepted_the_best_words_and_the_best_frames_are_both_shown(film):
    question = Question(film, "When is the yellow one by the white one?")
    selection = mine(film, question, decides=always_deletes(), subtitles="auto")
    assert "unfound" in selection.fallbacks and not accepted(selection)
    assert 28.0 in [round(frame.time_s, 1) for frame in selection.key_frames]
    assert any(41.0 <= frame.time_s < 48.0 for frame in selection.key_frames)  # white, the best of its frames


def test_captioner_and_answer_are_told_what_is_said(film):
    vlm = ColourVLM()
    selection = mine(film, vlm=vlm, subtitles="auto")
    prompts = [request.prompt for call in vlm.calls for request in call]
    line = '\nMeanwhile is said: "and here comes the yellow one"'
    assert any(prompt.endswith(line) for prompt in prompts)
    assert any("Meanwhile" not in prompt for prompt in prompts)  # where nothing is said
    assert Cue(SAID, "and here comes the yellow one") in selection.said
    told = prompt_of(selection).splitlines()
    assert told[0] == "What is said near these frames:" and told[-1] == "When is it yellow?"
    assert '0:00:27 "and here comes the yellow one"' in told


def test_the_bundles_captioner_is_not_told_since_it_is_not_taught_to_read_it(film):
    for judge, kind in (("policy", ColourVLM), ("caption", JudgingVLM)):
        vlm = kind(identity=f"lmms-eval:simple:{model_identity(str(CHECKPOINTS / 'vlm'))}")
        selection = mine(film, vlm=vlm, subtitles="auto", own=VideoMinerSettings(judge=judge))
        assert not any("yellow one" in request.prompt for call in vlm.calls for request in call)
        assert any(event.said for node in selection.nodes for event in node.events)


def test_a_captioner_that_judges_is_told_too(film):
    vlm = JudgingVLM(rule=lambda caption, depth: Action.DELETE)
    selection = mine(film, vlm=vlm, subtitles="auto", own=VideoMinerSettings(judge="caption"))
    assert any("yellow" in request.prompt.splitlines()[-1] for request in vlm.judged)
    assert any(event.said for node in selection.nodes for event in node.events)


def test_the_published_search_is_told_too(film):
    selection = mine(film, subtitles="auto", search="plain")
    assert [node.spans[0].overlaps(SAID) for node in accepted(selection)] == [True]


@pytest.mark.parametrize("selector", ["uniform", "topk"])
def test_every_selector_tells_the_answer_what_is_said_near_its_frames(film, selector):
    selection = mine(film, subtitles="auto", selector=selector)
    cues = read_cues(film, "auto", 64.0)
    assert selection.said == near(cues, [frame.time_s for frame in selection.key_frames])
    assert bool(selection.said) == (selector == "uniform")  # topk takes the frames of one colour


@pytest.mark.parametrize("search", ["best-first", "plain"])
def test_off_asks_and_keeps_what_it_would_without_subtitles(film, search, tmp_path):
    silent = shutil.copy(film, tmp_path / "silent.mp4")
    runs = []
    for video in (film, silent):
        vlm, cache = ColourVLM(), Recording()
        selection = mine(str(video), Question(str(video), "When is it blue?"), vlm, cache, search=search)
        prompts = [request.prompt for call in vlm.calls for request in call]
        decided = [node.decision.prompt for node in selection.nodes if node.decision]
        runs.append((selection.nodes, selection.key_frames, selection.fallbacks, prompts, decided, cache.keys))
    assert runs[0][:4] == runs[1][:4] and runs[0][4] == runs[1][4]
    assert runs[0][5] == runs[1][5] and runs[0][5]
    assert not any("aid" in prompt for prompt in (*runs[0][3], *runs[0][4]))


class Recording(MemoryCache):
    """Remembers the keys that were asked for."""

    def __init__(self):
        super().__init__()
        self.keys: list[tuple[str, str]] = []

    def get_many(self, kind, keys):
        self.keys += [(kind, key) for key in keys]
        return super().get_many(kind, keys)


def test_a_film_without_subtitles_says_so(film, tmp_path):
    silent = str(shutil.copy(film, tmp_path / "silent.mp4"))
    assert "no_subtitles" in mine(silent, subtitles="auto").fallbacks
    assert "no_subtitles" not in mine(silent).fallbacks + mine(film, subtitles="auto").fallbacks


def test_a_question_may_leave_subtitles_out_or_name_its_own(film, tmp_path):
    off = mine(film, Question(film, "When is it yellow?", subtitles="off"), subtitles="auto")
    assert not off.said and not accepted(off) and "no_subtitles" not in off.fallbacks
    (tmp_path / "other.srt").write_text(SRT.replace("00:27", "00:02").replace("00:29", "00:04"), encoding="utf-8")
    own = mine(film, Question(film, "When is it yellow?", subtitles=str(tmp_path / "other.srt")), clustering="event")
    assert accepted(own)[0].spans[0].overlaps(Span(2.0, 4.0))


def test_in_a_part_what_is_said_is_found_and_told_at_its_time_in_the_whole_film(film):
    part = Question(film, "When is it yellow?", start_s=10.0, end_s=45.0)
    selection = mine(film, part, subtitles="auto")
    [node] = accepted(selection)
    assert node.spans[0].overlaps(SAID) and "and here comes the yellow one" in node.events[0].said
    assert 28.0 in [round(frame.time_s, 1) for frame in selection.key_frames if frame.node_id]
    assert selection.said == (Cue(SAID, "and here comes the yellow one"),)
    assert '0:00:27 "and here comes the yellow one"' in prompt_of(selection)


def test_of_what_is_said_across_the_border_of_a_part_that_within_it_counts(film):
    [cue] = mine(film, Question(film, "a?", start_s=5.5, end_s=6.5), subtitles="auto", selector="uniform").said
    assert cue == Cue(Span(5.5, 6.5), "nothing much so far")
    silent = mine(film, Question(film, "When is it yellow?", start_s=8.0, end_s=26.0), subtitles="auto")
    assert not silent.said and not accepted(silent) and "no_subtitles" not in silent.fallbacks


def test_subtitles_that_cannot_be_used_cost_the_question_and_name_the_file(film, tmp_path):
    with pytest.raises(SubtitleError, match=r"none\.srt"):
        mine(film, subtitles=str(tmp_path / "none.srt"))


def speech_of(*texts: str, fits=()) -> Speech:
    """Three seconds each, without a pause."""
    cues = tuple(Cue(Span(3.0 * i, 3.0 * i + 3.0), text) for i, text in enumerate(texts))
    return dataclasses.replace(unsought(cues), fits=np.array(fits, float)) if len(fits) else unsought(cues)


def test_of_too_many_words_those_are_told_that_fit_or_the_ends():
    lines = [f"w{i} " + "word " * 19 for i in range(12)]
    speech = speech_of(*lines, fits=[[0.0]] * 5 + [[0.9]] + [[0.1]] * 6)
    whole = Span(0.0, 36.0)
    told, shared = speech.said(whole), speech.said(whole, shared=True)
    assert len(passages_of(speech.cues)) == 12 and "w5" in told and told.startswith("…")
    assert shared.startswith("w0") and "w11" in shared and "…" in shared and "w5" not in shared
    for text in (told, shared):
        assert len([word for word in text.split() if word != "…"]) <= MOST_TOLD
    assert speech.said(Span(15.0, 18.0)).split()[0] == "w5" and speech.said(Span(40.0, 50.0)) == ""


def test_one_cue_of_many_words_loses_its_middle():
    told = speech_of("first " + "word " * 500 + "last").said(Span(0.0, 3.0))
    assert told.startswith("first") and told.endswith("last") and "…" in told and len(told.split()) <= MOST_TOLD + 1


def test_a_cue_belongs_to_the_event_in_which_most_of_it_is_said():
    speech = speech_of("a", "b")
    assert [speech.said(Span(0.0, end)) for end in (2.0, 4.0, 5.0, 6.0)] == ["a", "a", "a b", "a b"]


def test_near_key_frames_the_nearest_are_kept_within_the_limit():
    cues = tuple(Cue(Span(10.0 * i, 10.0 * i + 2.0), f"c{i} " + "word " * 99) for i in range(12))
    assert [cue.text.split()[0] for cue in near(cues, [15.0, 41.0])] == ["c1", "c4"]
    assert sum(len(cue.text.split()) for cue in near(cues, [10.0 * i for i in range(12)])) <= MOST_NEAR
    assert near(cues, []) == ()
