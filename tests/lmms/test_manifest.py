"""What lmms-eval knows after installation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmms_videominer.lmms.manifest import manifests
from lmms_videominer.lmms.profiles import PROFILES, backbone_of


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

    listed = {line.split()[0] for line in printed.splitlines() if line.startswith("videominer")}
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert {"videominer_qwen2_vl", "videominer_internvl_hf", *re.findall(r"--model (videominer\w*)", readme)} <= listed
