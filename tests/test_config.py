"""Settings: what is refused, and that the README tells of all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmms_videominer.config import NAMES, MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.clustering import CLUSTERERS
from lmms_videominer.segmenters import SEGMENTERS
from lmms_videominer.types import Action


def test_values_from_a_shell_are_read_by_the_type_of_their_setting():
    config = MinerConfig.from_strings({"frames": "16", "cluster_eps": "0.2", "selector": "uniform"})
    assert (config.frames, config.cluster_eps, config.selector) == (16, 0.2, "uniform")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frame": "8"}, "did you mean 'frames'"),
        ({"frames": "eight"}, "frames='eight': expected int"),
        ({"frames": 0}, "frames=0"),
        ({"events": 1}, "events=1"),
        ({"events": 32, "scan_frames": 16}, "scan_frames=16"),
        ({"cluster_eps": 0}, "cluster_eps=0"),
        ({"temperature": -1}, "temperature=-1"),
        ({"grain_s": "-0.5"}, "grain_s=-0.5"),
        ({"default_action": "keep"}, "unknown default_action 'keep'"),
        ({"segmenter": "histgram"}, "unknown segmenter 'histgram'; did you mean 'histogram'"),
        ({"clustering": "events"}, "unknown clustering 'events'; did you mean 'event'"),
        ({"reader": "decrod"}, "unknown reader 'decrod'; did you mean 'decord'"),
        ({"judge": "model"}, "unknown judge 'model'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_value(given, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        MinerConfig.from_strings(given)


def test_the_names_that_settings_take_are_those_that_there_are():
    assert set(NAMES["segmenter"]) == set(SEGMENTERS)
    assert set(NAMES["clustering"]) == set(CLUSTERERS)
    assert set(NAMES["default_action"]) == {action.value for action in Action}


def test_the_readme_lists_every_setting_with_its_default():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for setting in dataclasses.fields(MinerConfig):
        default = setting.default if setting.default != "" else "(empty)"
        assert f"| `{setting.name}` | {default} | {setting.metadata['help']} |" in readme
