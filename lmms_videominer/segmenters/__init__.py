"""Segmenters cut a span of video into events: one protocol, one implementation per file."""

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
    """The segmenter with that name.

    Raises:
        ConfigError: There is none; the message suggests the closest name.
    """
    check_names([name], SEGMENTERS, "segmenter")
    return SEGMENTERS[name]()


__all__ = ["SEGMENTERS", "Segmenter", "get_segmenter"]
