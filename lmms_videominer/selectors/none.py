"""Text only: what the video LLM answers without seeing anything."""

from __future__ import annotations

from lmms_videominer.selectors.per_video import PerVideoSelector
from lmms_videominer.types import Question, Span, VideoInfo


class NoneSelector(PerVideoSelector):
    """No frames."""

    name = "none"

    def spans(self, question: Question, video: VideoInfo) -> tuple[Span, ...]:
        return ()
