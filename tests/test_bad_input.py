"""Bad input from end to end: an error that names the thing, the reason and the way out, or a defined result."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from support.scripted import ColourVLM, RulePolicy, always
from support.tiny_models import tiny_qwen2_lm, tiny_qwen2_vl
from support.videos import VFR_TIMES_S

from lmms_videominer.cli import main
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CacheError, ConfigError, VideoError, VideoMinerError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models.loading import meant
from lmms_videominer.selectors.settings import configured, from_strings
from lmms_videominer.store import selection_json
from lmms_videominer.types import Action, Question, Reading
from lmms_videominer.vlm.transformers_vlm import TransformersVLM

SETTINGS = {
    "search": "plain",
    "frames": 4,
    "events": 4,
    "scan_frames": 64,
    "max_depth": 1,
    "clustering": "none",
    "grain_s": 0.0,
}
FAULTS = {
    "empty_file": (r"the file is empty \(0 bytes\)", "again"),
    "cut_off_video": ("the file is cut off", "again"),
    "cut_off_download": ("the file is cut off", "again"),
    "undecodable_video": (r"the file is damaged: the frame at \d\.\d+ s", "ffmpeg"),
    "sound_only": ("holds sound only", "Name a file"),
    "not_a_video": ("not a video", ""),
}


def miner(policy=None, **settings) -> VideoMiner:
    settings = SETTINGS | {"cache_dir": "off"} | settings
    return VideoMiner.from_pretrained(vlm=ColourVLM(), policy=policy or always(Action.ACCEPT), **settings)


# videos


@pytest.mark.parametrize("reader", ["decord", "pyav"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_video_that_cannot_be_used_is_named_with_its_reason_and_the_way_out(name, reader, request):
    path, (reason, remedy) = str(request.getfixturevalue(name)), FAULTS[name]
    with pytest.raises(VideoError, match=reason) as caught:
        miner(scan_frames=100, reader=reader).mine(path, "What is there?")
    assert str(caught.value).startswith(path) and remedy in caught.value.remedy and caught.value.remedy


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file\. \w+"):
        miner().mine(tmp_path / "absent.mp4", "What is there?")


def test_a_video_of_one_frame_is_answered_from_it(one_frame_video):
    selection = miner().mine(one_frame_video, "What is there?")
    assert [(frame.frame_index, frame.time_s) for frame in selection.key_frames] == [(0, 0.0)]
    assert selection.answer and selection.fallbacks == () and selection.usage.policy_calls == 0


def test_a_video_with_fewer_frames_than_the_budget_gives_them_all(plain_video):
    selection = miner(frames=128).mine(plain_video, "What is there?")
    assert [frame.frame_index for frame in selection.key_frames] == list(range(100))
    assert selection.fallbacks == () and selection.usage.answer_calls == 1


@pytest.mark.parametrize("selector", ["videominer", "uniform"])
def test_key_frames_of_a_variable_frame_rate_have_their_true_times(selector, vfr_video):
    selection = miner(selector=selector, frames=8).mine(vfr_video, "What is there?")
    times_s = [frame.time_s for frame in selection.key_frames]
    assert times_s == pytest.approx([VFR_TIMES_S[frame.frame_index] for frame in selection.key_frames], abs=1e-3)
    assert len(times_s) == 8


def test_uniform_frames_of_a_variable_frame_rate_are_even_in_time_not_in_number(vfr_video):
    selection = miner(selector="uniform", frames=4).mine(vfr_video, "What is there?")
    midpoints_s = [(VFR_TIMES_S[-1] + 0.04) * share / 8 for share in (1, 3, 5, 7)]
    shown = [max(i for i, time_s in enumerate(VFR_TIMES_S) if time_s <= midpoint_s) for midpoint_s in midpoints_s]
    assert [frame.frame_index for frame in selection.key_frames] == shown != [12, 37, 62, 87]


# questions


@pytest.mark.parametrize("question", ["", " \n"])
def test_an_empty_question_is_an_error_that_says_so(question, plain_video):
    [error] = miner().mine_batch([Question(str(plain_video), question)])
    assert str(error) == f"{plain_video}: the question is empty; say what to look for in the video"


@pytest.mark.parametrize(("options", "told"), [(("red",), "a single option, 'red'"), ("red", "expected a list")])
def test_options_that_leave_nothing_to_choose_are_refused(options, told, plain_video):
    with pytest.raises(ConfigError, match=told):
        miner().mine(plain_video, "What is there?", options)


# before a model is loaded


@pytest.fixture
def no_model(monkeypatch):
    """Loading a model fails the test."""
    for loader in (VideoMiner, TransformersVLM):
        monkeypatch.setattr(loader, "from_pretrained", lambda *_, **__: pytest.fail("a model is loaded"))


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["VIDEO", "--question", " "], "the question is empty"),
        (["VIDEO", "--question", "?", "--option", "red"], "a single option, 'red', leaves nothing to choose"),
        (["absent.mp4", "--question", "?"], "absent.mp4: no such file. Check the path"),
        ([".", "--question", "?"], ".: is a folder, not a file. Name the video files in it"),
        (["https://youtu.be/x?t=1", "--question", "?"], "yt-dlp -f mp4 -o film.mp4 'https://youtu.be/x?t=1'"),
        (["youtu.be/x", "--question", "?"], "yt-dlp -f mp4 -o film.mp4 youtu.be/x"),
        (["VIDEO", "--question", "?", "--device", "cuda:99"], "device='cuda:99': torch finds "),
        (["VIDEO", "--question", "?", "--device", "cudda"], "did you mean 'cuda'?"),
        (["VIDEO", "--question", "?", "--selector", "uniformly"], "did you mean 'uniform'?"),
        (["VIDEO", "--question", "?", "--set", "max_dept=2"], "did you mean 'max_depth'?"),
        (["VIDEO", "--question", "?", "--json", "."], ". is a folder: name the file to write"),
        (["VIDEO", "--question", "?", "--frames", "0"], "frames=0: must be at least 1"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_before_a_model_is_loaded(argv, told, plain_video, no_model, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["mine", *(str(plain_video) if word == "VIDEO" else word for word in argv)])
    [line] = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert line.startswith("videominer mine: error: ") and told in line and line.endswith("--help shows the options")


def test_a_file_that_is_no_video_is_told_before_a_model_is_loaded(not_a_video, no_model, capsys):
    assert main(["mine", str(not_a_video), "--question", "?"]) == 1
    assert "not a video" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"frames": "abc"}, "frames='abc': expected int, not str"),
        ({"frames": 2.5}, "frames=2.5: expected int, not float"),
        ({"frames": -1}, "frames=-1: must be at least 1"),
        ({"frames": True}, "frames=True: expected int, not bool"),
        ({"policy_reasoning": 1}, "policy_reasoning=1: expected bool, not int"),
        ({"cluster_eps": "near"}, "cluster_eps='near': expected float, not str"),
        ({"scorer": 7}, "scorer=7: expected str, not int"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_name(given, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        MinerConfig(**given)


@pytest.mark.parametrize("frames", ["abc", "2.5", 2.5, True, "-1"])
def test_model_arguments_are_no_less_strict_about_numbers(frames):
    with pytest.raises(ConfigError, match=r"^frames="):
        from_strings({"frames": frames})


def test_a_setting_of_a_selector_has_its_type_too():
    with pytest.raises(ConfigError, match="aks_depth='deep': expected int, not str"):
        configured(selector="aks", aks_depth="deep")


def test_numbers_of_numpy_and_paths_do_for_settings(tmp_path):
    config = MinerConfig(frames=np.int64(4), grain_s=np.float32(0.5), cache_dir=tmp_path)
    assert config == MinerConfig(frames=4, grain_s=0.5, cache_dir=str(tmp_path)) and type(config.frames) is int


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "videominer-wrld"}, "did you mean 'videominer-world'?"),
        ({"model": "/no/such/model"}, "video LLM '/no/such/model' cannot be loaded (no such folder)"),
        ({"policy": "./absent"}, "policy './absent' cannot be loaded (no such folder)"),
        ({"policy": "openai:model"}, "names no model of a server"),
        ({"device": "cuda:99"}, "device='cuda:99': torch finds "),
        ({"cache_dir": "FILE/cache"}, "the cache folder cannot be written"),
    ],
)
def test_models_that_cannot_be_are_told_before_the_first_is_loaded(given, told, tmp_path, monkeypatch):
    monkeypatch.setattr(TransformersVLM, "from_pretrained", lambda *_, **__: pytest.fail("a model is loaded"))
    (tmp_path / "FILE").touch()
    given = {name: value.replace("FILE", str(tmp_path / "FILE")) for name, value in given.items()}
    with pytest.raises(VideoMinerError, match=re.escape(told)):
        VideoMiner.from_pretrained(**({"model": "videominer-world"} | given))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Qwen2.5-VL-7B-Instruct", "; did you mean 'Qwen/Qwen2.5-VL-7B-Instruct'?"),
        ("Qwen/Qwen2.5-VL-7B-Instrukt", "; did you mean 'Qwen/Qwen2.5-VL-7B-Instruct'?"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", ""),  # another model, and not a slip
        ("Qwen/Qwen2.5-7B-Instruct", ""),
        ("gpt2", ""),
    ],
)
def test_only_a_slip_in_the_name_of_a_model_is_corrected(name, hint):
    assert meant(name) == hint


def test_a_question_of_ten_thousand_characters_is_mined_and_answered(plain_video, real_bundle, tmp_path):
    question = ("Where is the red disc? " * 500)[:10_000]
    assert mined(plain_video, question, real_bundle, "--json", str(tmp_path / "tree.json")) == 0
    selection = selection_json.load(tmp_path / "tree.json")
    assert selection.question.text == question
    assert selection.answer is not None and len(selection.key_frames) == 4


# caches


def test_an_unwritable_cache_that_was_asked_for_is_an_error_with_the_way_out(plain_video, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"file/cache: .*cache_dir"):
        miner(cache_dir=str(tmp_path / "file" / "cache")).mine(plain_video, "What is there?")


def test_a_corrupt_cache_is_started_anew_and_told_in_the_result(plain_video, tmp_path):
    sound = miner(cache_dir=str(tmp_path)).mine(plain_video, "What is there?")
    (tmp_path / "results" / "cache.db").write_bytes(b"this is not SQLite" * 1000)
    selection = miner(cache_dir=str(tmp_path)).mine(plain_video, "What is there?")
    assert (sound.fallbacks, selection.fallbacks) == ((), ("cache_corrupt",))
    assert selection.key_frames == sound.key_frames and selection.usage.vlm_calls == sound.usage.vlm_calls > 0


# models


@pytest.mark.parametrize(
    ("option", "role"), [("--model", "video LLM"), ("--policy", "policy"), ("--embedder", "embedder")]
)
def test_a_model_that_does_not_exist_is_named_with_the_way_out(
    option, role, plain_video, real_bundle, tmp_path, capsys
):
    absent = str(tmp_path / "no-such-model")
    clustering = "event" if option == "--embedder" else "none"  # an embedder is loaded where events are clustered
    assert mined(plain_video, "What is there?", real_bundle, option, absent, clustering=clustering) == 1
    told = capsys.readouterr().err
    assert role in told and absent in told and "Check the spelling" in told and "Traceback" not in told


def test_a_policy_that_answers_nonsense_takes_the_default_and_says_so(plain_video):
    babbler = RulePolicy(lambda caption, depth: "accept? delete? the weather is fine")
    selection = miner(babbler, default_action="accept").mine(plain_video, "What is there?")
    decisions = [node.decision for node in selection.nodes if node.decision]
    assert decisions and {(d.action, d.reading) for d in decisions} == {(Action.ACCEPT, Reading.DEFAULT)}
    assert all("the weather is fine" in decision.text for decision in decisions)
    assert selection.answer and len(selection.key_frames) == 4
    assert "unread_decisions" in selection.fallbacks and selection.usage.decisions_unread == len(decisions)


def test_a_policy_that_answers_nonsense_does_not_open_every_part(plain_video):
    """By default it is asked once more, then the part is deleted: no more captions than the first level has."""
    babbler = RulePolicy(lambda caption, depth: "the weather is fine")
    selection = miner(babbler).mine(plain_video, "What is there?")
    assert {node.depth for node in selection.nodes} == {0, 1} and "all_deleted" in selection.fallbacks
    assert selection.usage.decisions_unread == len(selection.nodes) - 1
    first, second = babbler.calls
    assert len(first) == len(second) and all(prompt.endswith("accept, continue or delete.") for prompt in second)


@pytest.mark.parametrize(
    ("answer", "told"), [("B", ()), ("**B**", ()), ("nothing to see", ("unread_answer",)), ("", ("answer_missing",))]
)
def test_an_answer_that_names_no_option_is_told(answer, told, plain_video):
    class Answering(ColourVLM):
        def generate(self, requests):
            made = super().generate(requests)
            return [answer if "Answer with" in r.prompt else text for r, text in zip(requests, made, strict=True)]

    options = ("a cat", "a dog")
    many = VideoMiner.from_pretrained(vlm=Answering(), policy=always(Action.ACCEPT), **SETTINGS, cache_dir="off")
    selection = many.mine(plain_video, "What is there?", options=options)
    assert selection.fallbacks == told


# helpers


@pytest.fixture(scope="module")
def real_bundle(tmp_path_factory) -> str:
    """Tiny random models on disk, loaded as any others."""
    folder = tmp_path_factory.mktemp("bundle")
    tiny_qwen2_vl(folder / "vlm")
    tiny_qwen2_lm(folder / "policy")
    (folder / "embedder").mkdir()
    (folder / "bundle.json").write_text(json.dumps({name: name for name in ("vlm", "policy", "embedder")}))
    return str(folder)


def mined(video, question: str, bundle: str, *more: str, **settings) -> int:
    """Exit code of ``videominer mine``; of an option given twice the last counts."""
    settings = SETTINGS | {"cache_dir": "off", "caption_tokens": 4, "policy_tokens": 4} | settings
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return main(["mine", str(video), "--question", question, "--model", bundle, "--quiet", *given, *more])
