"""Which readers of videos can run here."""

from __future__ import annotations

import pytest


def needs(backend: str) -> None:
    """Skip the test if the library of ``backend`` is absent, or finds no FFmpeg."""
    if backend == "decord":
        pytest.importorskip("decord")
    if backend == "torchcodec" and pytest.importorskip("torchcodec").ffmpeg_major_version is None:
        pytest.skip("torchcodec finds no FFmpeg")
