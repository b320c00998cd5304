"""The test bed: long synthetic videos with known answers, and small models of real architectures trained on them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "render_world":
        from lmms_videominer.world.video import render_world

        return render_world
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
