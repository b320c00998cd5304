"""Model arguments: the plugin's, the backbone's, and wrong ones."""

from __future__ import annotations

import os

import pytest

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms.arguments import SECRETS, check_passed, secrets_given, split


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


def test_secrets_come_from_the_environment_once_and_are_read_as_on_a_command_line(monkeypatch):
    monkeypatch.setenv(SECRETS, '{"api_key": "a,b=c", "token": "true", "base_url": "https://me:pw@host"}')
    assert secrets_given() == {"api_key": "a,b=c", "token": True, "base_url": "https://me:pw@host"}
    assert SECRETS not in os.environ and secrets_given() == {}


@pytest.mark.parametrize("value", ["hello", "[]", "null", '{"api_key": 1}', "[" * 100_000])
def test_an_environment_without_secrets_in_their_form_is_an_error_that_says_so(value, monkeypatch):
    monkeypatch.setenv(SECRETS, value)
    with pytest.raises(ConfigError, match=f"{SECRETS} must be a JSON object of texts"):
        secrets_given()
