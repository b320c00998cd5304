"""Finds top-level folders of the repository that are shipped inside the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def shipped_folder(name: str) -> Path:
    """The folder ``tasks`` or ``deepspeed_configs``: inside the package, or beside it.

    It is beside the package if Python runs in the folder of a clone, whose source hides the installed package.
    """
    import lmms_videominer

    spec = importlib.util.find_spec(f"lmms_videominer.{name}")
    if spec is None or not spec.submodule_search_locations:
        return Path(lmms_videominer.__file__).resolve().parent.parent / name
    return Path(next(iter(spec.submodule_search_locations))).resolve()
