"""Who serves where nobody is named: the argument, then the settings, then the bundle, then nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ModelError
from lmms_videominer.models.bundle import CHECKPOINTS, is_shipped
from lmms_videominer.models.resolve import ModelNames, resolve


@pytest.fixture
def bundle(tmp_path) -> Path:
    for name in ("vlm", "policy", "embedder", "scorer", "start"):
        (tmp_path / name).mkdir()
    parts = {name: name for name in ("vlm", "policy", "embedder", "scorer", "start")}
    (tmp_path / "bundle.json").write_text(json.dumps({**parts, "vlm_args": {"max_pixels": 9}}))
    return tmp_path


def test_a_bundle_brings_what_is_not_named(bundle):
    names = resolve(bundle, MinerConfig())
    assert names == ModelNames(
        *(str(bundle / part) for part in ("vlm", "policy", "embedder", "scorer", "start")), {"max_pixels": 9}
    )


def test_the_argument_comes_before_the_setting_and_both_before_the_bundle(bundle):
    config = MinerConfig(policy="set", embedder="set")
    names = resolve(bundle, config, policy="given")
    assert (names.policy, names.embedder, names.scorer) == ("given", "set", str(bundle / "scorer"))
    assert names.start == str(bundle / "start")


def test_any_other_name_is_taken_as_it_is_and_brings_nothing():
    assert resolve("some/model", MinerConfig(scorer="set")) == ModelNames("some/model", scorer="set")
    assert resolve("", MinerConfig(), embedder="given") == ModelNames("", embedder="given")


def test_a_loaded_model_passes_through(bundle):
    policy = object()
    assert resolve(bundle, MinerConfig(policy="set"), policy=policy).policy is policy


def test_training_starts_from_the_policy_of_a_bundle_that_names_no_start(bundle):
    entries = json.loads((bundle / "bundle.json").read_text())
    del entries["start"]
    (bundle / "bundle.json").write_text(json.dumps(entries))
    assert resolve(bundle, MinerConfig()).start == str(bundle / "policy")


def test_the_shipped_bundle_goes_by_its_name_and_by_the_folder_of_its_video_llm():
    by_name, by_folder = (resolve(name, MinerConfig()) for name in ("videominer-world", CHECKPOINTS / "vlm"))
    assert by_name == by_folder and is_shipped(by_name.policy) and not is_shipped("some/policy")


def test_a_bundle_that_lacks_a_model_is_refused_by_its_path(bundle):
    (bundle / "embedder").rmdir()
    with pytest.raises(ModelError, match=r"embedder: the bundle's embedder is missing"):
        resolve(bundle, MinerConfig())
