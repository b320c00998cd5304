"""The test bed: long videos whose answers are known, and small models of the real architectures trained on them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "render_world":
        from lmms_videominer.world.video import render_world

        return render_world
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
