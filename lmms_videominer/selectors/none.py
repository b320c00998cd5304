"""Text only: the video LLM answers without seeing the video."""

from __future__ import annotations

from lmms_videominer.search.wishes import Case, Found, Search
from lmms_videominer.selectors.selector import Selector


class NoneSelector(Selector):
    """No frames."""

    name = "none"
    questions_at_once = 1

    def search(self, case: Case) -> Search:
        return Found(())
        yield  # never reached: makes this a generator
