"""Cutting a span of video into events: one protocol, one implementation a file."""

from __future__ import annotations

from collections.abc import Callable

from lmms_videominer.config import check_names
from lmms_videominer.segmenters.histogram import HistogramSegmenter
from lmms_videominer.segmenters.kts import KTSSegmenter
from lmms_videominer.segmenters.segmenter import Segmenter

SEGMENTERS: dict[str, Callable[[], Segmenter]] = {
    HistogramSegmenter.name: HistogramSegmenter,
    KTSSegmenter.name: KTSSegmenter,
}


def get_segmenter(name: str) -> Segmenter:
    """The segmenter of that name.

    Raises:
        ConfigError: There is none; the message names the nearest.
    """
    check_names([name], SEGMENTERS, "segmenter")
    return SEGMENTERS[name]()


__all__ = ["SEGMENTERS", "Segmenter", "get_segmenter"]
