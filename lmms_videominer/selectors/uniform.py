"""The baseline: frames at equal distances over the whole video."""

from __future__ import annotations

from lmms_videominer.selectors.per_video import PerVideoSelector
from lmms_videominer.types import Question, Span, VideoInfo


class UniformSelector(PerVideoSelector):
    """N frames, each at the midpoint of an equal share of the video."""

    name = "uniform"

    def spans(self, question: Question, video: VideoInfo) -> tuple[Span, ...]:
        return (Span(0.0, video.duration_s),)
