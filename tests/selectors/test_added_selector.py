"""A selector of another package: the example of docs/selectors.md, installed as anyone would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.scripted import colour_video

from lmms_videominer.config import option
from lmms_videominer.errors import ConfigError
from lmms_videominer.selectors import settings
from lmms_videominer.selectors.aks import AKSSelector

DOCS = Path(__file__).parents[2] / "docs" / "selectors.md"


def code_block(language: str, holding: str) -> str:
    """The code block of the docs in ``language`` that holds the text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if holding in block]
    return block


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the package, installed by pip."""
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "installed"))
    (source / "diverse_frames.py").write_text(code_block("python", "class DiverseSelector"))
    (source / "pyproject.toml").write_text(code_block("toml", "videominer.selectors"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True)
    return target


def videominer(installed: Path, *arguments: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "lmms_videominer", *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


@pytest.mark.launches
def test_the_example_of_the_docs_mines_with_its_setting(installed, tmp_path):
    film = colour_video(tmp_path / "film.mp4", [("red", 3), ("green", 2), ("blue", 4), ("yellow", 2)])
    mine = ("mine", film, "--question", "What is there?", "--selector", "diverse", "--frames", "4")
    done = videominer(
        installed, *mine, "--set", "diverse_every_s=0.5", "--json", str(tmp_path / "tree.json"), "--quiet"
    )
    assert done.returncode == 0, done.stderr

    from lmms_videominer.store.selection_json import load

    selection = load(tmp_path / "tree.json")
    assert selection.selector == "diverse" and selection.config["diverse_every_s"] == 0.5
    scenes = [sum(frame.time_s >= cut_s for cut_s in (3, 5, 9)) for frame in selection.key_frames]
    assert scenes == [0, 1, 2, 3]  # one frame of each colour


@pytest.mark.launches
def test_its_settings_are_listed_and_refused_like_any(installed, tmp_path):
    listed = videominer(installed, "mine", "--list-settings").stdout
    assert "diverse_every_s" in listed and "diverse" in listed.splitlines()[0]
    refused = videominer(installed, "mine", "film.mp4", "--question", "?", "--set", "diverse_every_s=2")
    assert refused.returncode == 2 and "a setting of selector=diverse" in refused.stderr


def test_the_example_has_at_most_forty_lines():
    assert len(code_block("python", "class DiverseSelector").splitlines()) <= 40


def test_the_docs_have_a_row_for_every_selector():
    from lmms_videominer.selectors import SELECTORS

    docs = DOCS.read_text(encoding="utf-8")
    assert all(f"\n| `{name}` |" in docs for name in SELECTORS)


UNDECLARED = """
from dataclasses import dataclass
from lmms_videominer.config import option
from lmms_videominer.selectors import selector

@dataclass(frozen=True)
class Settings:
    size: int = 3

class Selector(selector.Selector):
    name = "undeclared"
    Settings = Settings
"""


@pytest.fixture
def broken(tmp_path) -> Path:
    """A folder with packages whose selectors cannot be used."""
    for name, source in (
        ("unimportable", "import nosuchmodule"),
        ("misnamed", "from lmms_videominer.selectors.aks import AKSSelector as Selector"),
        ("no_class", "Selector = 3"),
        ("undeclared", UNDECLARED),
        ("max", UNDECLARED.replace("undeclared", "max").replace("size: int = 3", "depth: int = option(3, '')")),
    ):
        (tmp_path / f"{name}.py").write_text(source)
        metadata = tmp_path / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[videominer.selectors]\n{name} = {name}:Selector\n")
    return tmp_path


@pytest.mark.launches
def test_a_broken_selector_of_another_package_stops_no_other_and_is_named(broken, film):
    done = videominer(broken, "mine", film, "--question", "What is there?", "--selector", "uniform")
    assert done.returncode == 0 and "nosuchmodule" in done.stderr and "Key frames" in done.stdout
    for name, reason in (
        ("unimportable", "No module named 'nosuchmodule'"),
        ("misnamed", "a subclass of Selector whose name is 'misnamed'"),
        ("no_class", "AttributeError"),
        ("undeclared", "'size' must be declared with config.option"),
        ("max", "max_depth is a setting of every selector"),
    ):
        refused = videominer(broken, "mine", film, "--question", "What is there?", "--selector", name)
        assert refused.returncode == 2 and reason in refused.stderr and f"pip uninstall {name}" in refused.stderr
    checks = videominer(broken, "doctor").stdout
    assert all(f"selector {name}" in checks for name in ("unimportable", "misnamed", "no_class", "undeclared", "max"))


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("0", False)])
def test_a_setting_that_is_a_truth_value_is_read_as_one(text, value, monkeypatch):
    @dataclass(frozen=True)
    class Switched:
        on: bool = option(not value, "")

    monkeypatch.setattr(AKSSelector, "Settings", Switched)
    settings.own_names.cache_clear()
    try:
        assert settings.from_strings({"selector": "aks", "aks_on": text}).own.on is value
        with pytest.raises(ConfigError, match="aks_on='maybe': expected true or false"):
            settings.from_strings({"selector": "aks", "aks_on": "maybe"})
    finally:
        monkeypatch.undo()
        settings.own_names.cache_clear()
