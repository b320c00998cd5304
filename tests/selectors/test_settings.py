"""Settings: what is refused, and that the README tells of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmms_videominer.config import NAMES, MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.clustering import CLUSTERERS
from lmms_videominer.segmenters import SEGMENTERS
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.settings import arguments_page, common_settings, configured, flat, from_strings
from lmms_videominer.types import Action

ROOT = Path(__file__).parents[2]


def test_values_from_a_shell_are_read_by_the_type_of_their_setting():
    config = from_strings({"frames": "16", "cluster_eps": "0.2", "selector": "uniform"})
    assert (config.frames, config.cluster_eps, config.selector) == (16, 0.2, "uniform")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frame": "8"}, "did you mean 'frames'"),
        ({"frames": "eight"}, "frames='eight': expected int"),
        ({"frames": 0}, "frames=0"),
        ({"events": 1}, "events=1"),
        ({"events": 32, "scan_frames": 16}, "scan_frames=16"),
        ({"cluster_eps": -0.1}, "cluster_eps=-0.1"),
        ({"similarity_delete": -2}, "similarity_delete=-2"),
        ({"temperature": -1}, "temperature=-1"),
        ({"grain_s": "-0.5"}, "grain_s=-0.5"),
        ({"grain_s": "nan"}, "grain_s=nan: must be a finite number"),
        ({"stop_margin": "nan"}, "stop_margin=nan"),
        ({"min_event_s": "inf"}, "min_event_s=inf"),
        ({"default_action": "keep"}, "unknown default_action 'keep'"),
        ({"videominer_judge": "captions"}, "unknown videominer_judge 'captions'; did you mean 'caption'"),
        ({"segmenter": "histgram"}, "unknown segmenter 'histgram'; did you mean 'histogram'"),
        ({"clustering": "events"}, "unknown clustering 'events'; did you mean 'event'"),
        ({"reader": "decrod"}, "unknown reader 'decrod'; did you mean 'decord'"),
        ({"judge": "model"}, "unknown judge 'model'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_value(given, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        from_strings(given)


def test_the_names_that_settings_take_are_those_that_there_are():
    assert set(NAMES["segmenter"]) == set(SEGMENTERS)
    assert set(NAMES["clustering"]) == set(CLUSTERERS)
    assert set(NAMES["default_action"]) == {"ask", *(action.value for action in Action)}


def test_the_page_of_arguments_is_that_of_this_version():
    page = (ROOT / "docs" / "arguments.md").read_text(encoding="utf-8")
    assert page == arguments_page(), "python -m lmms_videominer.selectors.settings > docs/arguments.md"


def test_the_readme_says_of_ten_arguments_what_they_are():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [
        f"| `{name}` | {default if default != '' else '(empty)'} | {text} |"
        for name, default, text in common_settings()
    ]
    assert sum(row in readme for row in rows) == readme.count("\n| `") == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"selector": "bolt", "aks_threshold": 0.3}, "aks_threshold=0.3: a setting of selector=aks.*selector=bolt"),
        ({"llovi_clip_s": "2"}, "llovi_clip_s=2.0: a setting of selector=llovi.*selector=videominer"),
        ({"selector": "aks", "aks_treshold": 0.3}, "unknown setting 'aks_treshold'; did you mean 'aks_threshold'"),
        ({"selector": "focus", "focus_share": "1.5"}, r"focus_share=1.5: must be in \[0, 1\]"),
    ],
)
def test_a_setting_of_another_selector_is_refused_by_name(given, message):
    with pytest.raises(ConfigError, match=message):
        from_strings(given)


def test_settings_of_a_selector_are_written_flat_and_leave_with_it():
    config = configured(selector="aks", aks_threshold=0.3, frames=4)
    assert (config.own.threshold, config.own.depth, flat(config)["aks_threshold"]) == (0.3, 5, 0.3)
    assert configured(config, aks_depth=2).own.threshold == 0.3
    assert "aks_threshold" not in flat(configured(config, selector="bolt")) and config.frames == 4


def test_a_selector_given_the_settings_of_another_refuses_them():
    config = MinerConfig(selector="aks", own=configured(selector="bolt", bolt_power=2.0).own)
    for use in (flat, lambda config: configured(config, frames=4)):
        with pytest.raises(ConfigError, match="selector=aks got the settings of another selector"):
            use(config)
    with pytest.raises(ConfigError, match="selector=aks got the settings of another selector"):
        build_stages(config, None, scorer=object())
