"""Tasks with and without subtitles: the prompts of lmms-eval's own tasks, and what a run makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.evaluation import SETTINGS, evaluate, note_of, row, watching, write_task
from support.public_tasks import VIDEOMME
from support.scripted import colour_video
from transformers import AutoTokenizer

from lmms_videominer.lmms.subtitles import NONE_SAID, messages_with_said, subtitles_of, with_said
from lmms_videominer.search.speech import near
from lmms_videominer.store.selection_json import load
from lmms_videominer.types import Cue, KeyFrame, Question, Selection, Span, VideoInfo
from lmms_videominer.video.subtitles import read_cues

SECONDS = 60


def srt(texts: list[str], every_s: int = 10, form: str = "{}") -> str:
    """Three seconds each, one every ``every_s`` seconds."""
    times = [f"00:00:{every_s * i:02d},000 --> 00:00:{every_s * i + 3:02d},000" for i in range(len(texts))]
    return "\n".join(f"{i}\n{time}\n{form.format(text)}\n" for i, (time, text) in enumerate(zip(times, texts), 1))


@pytest.fixture
def film(tmp_path) -> Path:
    """A film where Video-MME has its films, with subtitles where it has these, in its form."""
    for folder in ("data", "subtitle"):
        (tmp_path / "videomme" / folder).mkdir(parents=True)
    path = tmp_path / "videomme" / "data" / "clip.mp4"
    colour_video(path, [("red", SECONDS)], fps=2)
    lines = srt([f"line {i}" for i in range(6)], form='<font color="white" size=".72c">{}</font>')
    (tmp_path / "videomme" / "subtitle" / "clip.srt").write_text(lines, encoding="utf-8")
    return path


def selected(film: Path, *times_s: float, subtitles: str = "auto", fallbacks=()) -> Selection:
    cues = read_cues(str(film), subtitles, SECONDS)
    return Selection(
        Question(str(film), VIDEOMME["question"]),
        VideoInfo(str(film), SECONDS, 2 * SECONDS, 2.0, 32, 32, "pyav"),
        tuple(KeyFrame(time_s, round(2 * time_s)) for time_s in times_s),
        "videominer",
        fallbacks=fallbacks,
        config={"subtitles": subtitles},
        said=near(cues, times_s),
    )


def prompts(film: Path, monkeypatch, **settings) -> tuple[str, str]:
    """The prompts of Video-MME's own functions, with subtitles and without."""
    from lmms_eval.tasks.videomme import utils

    monkeypatch.setattr(utils, "base_cache_dir", str(film.parents[2]))
    settings = {"frame_num": 4, "pre_prompt": "", "post_prompt": "", **settings}
    return utils.videomme_doc_to_text_subtitle(VIDEOMME, settings), utils.videomme_doc_to_text(VIDEOMME, settings)


@pytest.mark.parametrize("settings", [{}, {"format": "qwen3_vl", "pre_prompt": "Question: ", "post_prompt": "Letter?"}])
def test_the_subtitles_in_a_prompt_of_videomme_become_those_of_the_key_frames(film, monkeypatch, settings):
    told, silent = prompts(film, monkeypatch, **settings)
    assert "line 0" in told and "line 2" not in told  # at four evenly spaced frames
    made = with_said(told, selected(film, 21.0, 22.0, 41.5), VIDEOMME["question"])
    head, tail = "This video's subtitles are listed below: \n", told[told.rindex("line") + len("line 0") :]
    assert made == f"{head}line 2\nline 4{tail}"
    assert with_said(told, selected(film, 26.0), VIDEOMME["question"]) == f"{head}{NONE_SAID}{tail}"
    assert subtitles_of("videomme_long", told) == "" and subtitles_of("videomme", silent) == "off"


def test_without_subtitles_of_the_film_or_with_off_the_prompt_stays(film, monkeypatch):
    told, _ = prompts(film, monkeypatch)
    unknown = selected(film, 21.0, fallbacks=("no_subtitles",))
    assert with_said(told, unknown, VIDEOMME["question"]) == told
    assert with_said(told, selected(film, 21.0, subtitles="off"), VIDEOMME["question"]) == told


def test_the_listed_subtitles_of_worldsense_keep_their_quotes(film):
    from lmms_eval.tasks.worldsense import utils

    told = utils.FRAMES_TMPL_SUB.format("line 0\nline 5") + VIDEOMME["question"] + "\n"
    made = with_said(told, selected(film, 31.0), VIDEOMME["question"])
    assert made == utils.FRAMES_TMPL_SUB.format("line 3") + VIDEOMME["question"] + "\n"


@pytest.mark.parametrize("task", ["longvideobench_val_v", "videomathqa_mcq", "cgbench", "worldsense", "videomme_v2"])
def test_tasks_that_come_in_both_forms_are_asked_without_where_they_list_none(task):
    assert subtitles_of(task, "What is seen?\nA. a\nB. b") == "off"


def test_any_other_task_takes_the_setting_and_is_told_before_its_prompt(film):
    selection = selected(film, 21.0, 42.0)
    asked = VIDEOMME["question"]
    assert subtitles_of("mlvu_dev", asked) == ""
    lines = 'What is said near these frames:\n0:00:20 "line 2"\n0:00:40 "line 4"\n'
    assert with_said(f"{asked}\nA. a", selection, asked) == f"{lines}{asked}\nA. a"
    video, system = {"type": "video", "url": "x.mp4"}, {"role": "system", "content": "You answer."}
    user = {"role": "user", "content": [video, {"type": "text", "text": f"{asked}\nA. a"}]}
    made = messages_with_said([system, user], selection, asked)
    assert made == [system, {"role": "user", "content": [video, {"type": "text", "text": f"{lines}{asked}\nA. a"}]}]
    assert messages_with_said(["x.mp4"], selection, asked) == ["x.mp4"]


def test_placeholders_that_somebody_says_are_text_in_the_prompt_of_a_task(film):
    asked = VIDEOMME["question"]
    cue = Cue(Span(20.0, 23.0), "an <image> of it")
    made = with_said(asked, replace(selected(film, 21.0), said=(cue,)), asked)
    assert made.splitlines()[1] == '0:00:20 "an < image> of it"'


@pytest.mark.evaluates
@pytest.mark.parametrize("form", ["--force_simple", ""], ids=["simple", "chat"])
def test_a_run_tells_subtitles_where_the_task_does_not_ask_without(form, tiny, videos, tmp_path):
    model = tiny("qwen2_5_vl")
    text = "zebra crossing ahead"
    for video in videos:
        (tmp_path / "said").mkdir(exist_ok=True)
        (tmp_path / "said" / f"{video.stem}.srt").write_text(srt([text] * 4, 4), encoding="utf-8")
    told = {}
    for name in ("tiny_other", "videomme_tiny"):
        write_task(tmp_path / name, name, [row(number, videos[number % 2]) for number in range(2)])
        with watching() as seen:
            samples = evaluate(
                tmp_path / f"{name}-out",
                "videominer_qwen2_5_vl",
                f"pretrained={model},cache_dir=off,subtitles={tmp_path / 'said'},{SETTINGS}",
                name,
                tmp_path / name,
                *filter(None, [form]),
            )
        assert [note_of(sample)["how"] for sample in samples] == ["mined", "mined"]
        tokenizer = AutoTokenizer.from_pretrained(model)
        texts = [tokenizer.decode(ids) for ids in seen.prompts]
        trees = [load(note_of(sample)["tree"]) for sample in samples]
        told[name] = (
            sum("zebra" in text and "What is seen in part" in text and "Depth" not in text for text in texts),
            sum('Said: "zebra' in text for text in texts),
            [bool(tree.said) for tree in trees],
        )
    captions_and_answers, decisions, said = told["tiny_other"]
    assert captions_and_answers > 2 and decisions and said == [True, True]
    assert told["videomme_tiny"] == (0, 0, [False, False])
