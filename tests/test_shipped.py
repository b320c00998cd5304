"""The top-level folders, shipped inside the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.launches
@pytest.mark.parametrize("name", ["tasks", "deepspeed_configs"])
def test_a_clone_that_hides_the_installed_package_still_has_its_folders(name):
    root = Path(__file__).parents[1]
    code = f"from lmms_videominer.shipped import shipped_folder; print(shipped_folder('{name}'))"
    said = subprocess.run([sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=True)

    assert Path(said.stdout.strip()) == root / name
