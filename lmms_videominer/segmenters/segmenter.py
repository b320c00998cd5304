"""The segmenter protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lmms_videominer.types import Span
from lmms_videominer.video.reader import VideoReader


class Segmenter(Protocol):
    """Cuts the spans of one node into events."""

    name: str

    def segment(
        self, reader: VideoReader, spans: Sequence[Span], events: int, scan_frames: int, min_event_s: float
    ) -> tuple[Span, ...]:
        """Cut ``spans`` (disjoint, in order) at up to ``events - 1`` places into contiguous events.

        Gaps between spans are boundaries already and do not count, so at most
        ``len(spans) + events - 1`` spans come back. They are in temporal order, disjoint, and their
        union is exactly the union of ``spans``.

        Args:
            reader: The video.
            spans: The spans to cut, inside the video.
            events: K.
            scan_frames: Frames to compare, over all spans together; fewer if the spans have fewer.
            min_event_s: No cut leaves an event shorter than this, in seconds.

        Raises:
            VideoError: A frame of the scan cannot be decoded.
        """
        ...
