"""What lmms-eval knows after installation, and what it says of a wrong argument."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms.arguments import check_passed, split
from lmms_videominer.lmms.manifest import manifests
from lmms_videominer.lmms.profiles import PROFILES, backbone_of
from lmms_videominer.lmms.requests import question_of, shown_video, with_video
from lmms_videominer.types import Span


def test_every_profile_is_a_model_of_lmms_eval_with_the_classes_that_it_names():
    from lmms_eval.models import AVAILABLE_CHAT_TEMPLATE_MODELS, AVAILABLE_SIMPLE_MODELS

    for profile in PROFILES.values():
        assert profile.simple == AVAILABLE_SIMPLE_MODELS.get(profile.backbone, "") or not profile.simple
        assert profile.chat == AVAILABLE_CHAT_TEMPLATE_MODELS.get(profile.backbone, "") or not profile.chat
        assert profile.simple or profile.chat


@pytest.mark.parametrize(
    "name",
    [
        "videominer_qwen2vl",
        "videominer_qwen2_vl",
        "videominer_qwen2_5_vl",
        "videominer_qwen25vl",
        "videominer_qwen3_vl",
        "videominer_llava_hf",
        "videominer_internvl_hf",
        "videominer_vllm",
        "videominer_openai",
        "videominer",
        "videominer-world",
    ],
)
def test_lmms_eval_finds_the_models(name):
    from lmms_eval.models import MODEL_REGISTRY_V2

    resolved = MODEL_REGISTRY_V2.resolve(name)

    assert resolved.class_path.startswith("lmms_videominer.lmms.wrapper.")


@pytest.mark.parametrize(
    ("name", "simple"),
    [
        ("videominer_qwen2vl", True),
        ("videominer_qwen2_5_vl", False),
        ("videominer_internvl_hf", False),
        ("videominer", False),
    ],
)
def test_the_class_takes_the_form_of_request_that_it_is_registered_for(name, simple):
    from lmms_eval.models import get_model

    assert get_model(name).is_simple is simple
    assert name == "videominer" or get_model(name).backbone_id == backbone_of(name)


@pytest.mark.launches
def test_the_manifest_imports_nothing_heavy():
    code = (
        "import sys, lmms_videominer.lmms.manifest as m; "
        "print([n for n in ('torch', 'transformers', 'datasets', 'decord') if n in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


@pytest.mark.launches
def test_mlvu_looks_for_its_videos_where_lmms_eval_puts_them(tmp_path):
    code = (
        "from lmms_videominer.lmms import hooks; hooks.install(); "
        "from lmms_eval.tasks.mlvu import utils; print(utils.cache_dir_dev)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_HOME", "XDG_CACHE_HOME")}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"HOME": str(tmp_path)},
    ).stdout

    assert printed.splitlines()[-1] == str(tmp_path / ".cache" / "huggingface" / "mlvu")


def test_a_fault_at_the_entry_point_is_logged_and_takes_no_other_plugin_down(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "lmms_eval.models.registry_v2", None)

    assert manifests() == []
    assert "videominer doctor" in caplog.text


@pytest.mark.launches
def test_lmms_eval_lists_the_models():
    command = [sys.executable, "-m", "lmms_eval", "models"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "videominer_qwen2_vl" in printed and "videominer_internvl_hf" in printed


def test_arguments_are_split_between_plugin_and_backbone():
    taken = split({"pretrained": "x", "frames": 4, "max_pixels": 9, "trees_dir": "t", "temperature": "0.5"})

    assert taken.passed == {"pretrained": "x", "max_pixels": 9}
    assert (taken.config, taken.trees_dir) == (MinerConfig(frames=4, temperature=0.5), "t")


class Strict:
    def __init__(self, pretrained: str = "", max_frames: int = 8, **kwargs: object):
        assert not kwargs


@pytest.mark.parametrize(
    ("typo", "meant"), [("frame", "frames"), ("max_dept", "max_depth"), ("polcy", "policy"), ("tree_dir", "trees_dir")]
)
def test_a_typo_names_the_nearest_argument(typo, meant):
    with pytest.raises(ConfigError, match=f"{typo!r}; did you mean {meant!r}"):
        check_passed({typo: 1}, Strict, "strict")


def test_the_backbones_own_arguments_pass_even_where_they_resemble_the_plugins():
    check_passed({"pretrained": "x", "max_frames": 8, "something_of_its_own": 1}, Strict, "strict")


def test_a_question_is_the_documents_own_without_letters_and_instructions():
    document = {"question": "What is it?", "options": ["A. red", "(B) blue", "C) red"], "evidence": [[1, 2.5]]}
    asked = question_of(document, "ignored", "v.mp4")

    assert (asked.text, asked.options, asked.evidence) == ("What is it?", ("red", "blue", "red"), (Span(1.0, 2.5),))


def test_a_document_without_a_question_gives_the_prompt_up_to_its_options():
    assert question_of({}, "What is it?\nA. red\nB. blue\nAnswer!", "v.mp4").text == "What is it?"
    assert question_of({"question": " "}, "A. red", "v.mp4").text == "A. red"


def test_only_a_single_video_is_mined():
    video, image = {"type": "video", "url": "v.mp4"}, {"type": "image", "url": "i.png"}
    turn = [{"role": "user", "content": [video, {"type": "text", "text": "?"}]}]

    assert shown_video(["a.MP4"], True) == "a.MP4" and shown_video([["a.mkv"]], True) == "a.mkv"
    assert shown_video(turn, False) == "v.mp4"
    assert shown_video(["a.mp4", "b.mp4"], True) is None and shown_video(["a.png"], True) is None
    assert shown_video([{"role": "user", "content": [video, image]}], False) is None
    assert shown_video([{"role": "user", "content": "words"}], False) is None
    assert with_video(turn, None, False) == [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    assert with_video(turn, "k.mp4", False)[0]["content"][0] == {"type": "video", "url": "k.mp4"}
    assert turn[0]["content"][0]["url"] == "v.mp4"  # the task's own messages stay as they are
