"""The upper bound: frames of the evidence that is given with the question."""

from __future__ import annotations

from lmms_videominer.errors import ConfigError
from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.selectors.selector import Selector
from lmms_videominer.types import Question, Span, VideoInfo, merge_spans


class OracleSelector(Selector):
    """The budget spread over ``Question.evidence``."""

    name = "oracle"
    questions_at_once = 1

    def search(self, case: Case) -> Search:
        spans = _evidence(case.question, case.video.info)
        return Found(spread_frames(spans, case.timestamps_s, case.config.frames))
        yield  # never reached: makes this a generator


def _evidence(question: Question, video: VideoInfo) -> tuple[Span, ...]:
    """The spans of the evidence, with overlapping spans merged.

    Raises:
        ConfigError: The question has no evidence, or it begins after the video's end.
    """
    if not question.evidence:
        raise ConfigError(
            f"{question.video}: selector=oracle reads the evidence of a question, but this one has none; "
            "use selector=uniform or videominer, or a videominer_world task"
        )
    if max(question.evidence).start_s >= video.duration_s:
        raise ConfigError(
            f"{question.video}: evidence at {max(question.evidence).start_s:g} s in a video of "
            f"{video.duration_s:g} s; give spans in seconds from the first frame"
        )
    return merge_spans(question.evidence)
