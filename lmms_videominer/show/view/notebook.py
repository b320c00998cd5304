"""A selection in a notebook: its page in a frame of its own, which reaches nothing of the notebook."""

from __future__ import annotations

from html import escape

from lmms_videominer.show.view.page import PageSettings, page_of
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.types import Selection

HEIGHT = 720  # pixels; a reader can drag its corner
MOST_PICTURES = 60  # a notebook keeps its outputs


def notebook_html(selection: Selection) -> str:
    """HTML that shows ``selection``. Pictures are read from the video, if it is still in its place."""
    settings = PageSettings("VideoMiner", pictures=MOST_PICTURES)
    return framed(page_of([Shown(selection, "")], settings))


def framed(page: str) -> str:
    """HTML that shows ``page``, the page of a result, in a frame that reaches nothing around it."""
    return (
        f'<iframe title="Key frames and their tree" sandbox="allow-scripts" srcdoc="{escape(page)}" '
        f'style="width: 100%; height: {HEIGHT}px; border: 0; resize: vertical; overflow: auto"></iframe>'
    )
