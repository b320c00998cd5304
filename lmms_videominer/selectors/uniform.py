"""The baseline: evenly spaced frames of the whole video."""

from __future__ import annotations

from lmms_videominer.search.key_frames import spread_frames
from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.selectors.selector import Selector


class UniformSelector(Selector):
    """N frames, each at the midpoint of an equal share of the video."""

    name = "uniform"
    questions_at_once = 1

    def search(self, case: Case) -> Search:
        return Found(spread_frames([case.whole], case.timestamps_s, case.config.frames))
        yield  # never reached: makes this a generator
