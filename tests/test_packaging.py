"""What is installed is what is there."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "lmms_videominer").rglob("__init__.py")}
    mapped = {"lmms_videominer.tasks", "lmms_videominer.deepspeed_configs"}  # folders at the top level
    assert set(setup["options"]["packages"].split()) == found | mapped
