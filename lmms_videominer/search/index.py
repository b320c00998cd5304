"""The index of a video: what a search makes before it looks at the question, made without one.

That is the scan and the cut of the first ``config.index`` levels, the image features of the frames that are compared,
and plain captions of the events. All of it goes into the cache under the keys that a search on the video asks for.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from lmms_videominer.config import PLAIN
from lmms_videominer.search.best_first import cut
from lmms_videominer.search.candidates import evenly
from lmms_videominer.search.plain import covers, frames_shown, units_of
from lmms_videominer.search.speech import unsought
from lmms_videominer.search.trees import describe
from lmms_videominer.search.wishes import Case, Encode, Found, Search
from lmms_videominer.segmenters.scan import scan
from lmms_videominer.types import Event, Node, Span


def index(case: Case, encodes: bool) -> Search:
    """The events of the first levels as nodes below the root, and no key frames.

    ``search=plain`` cuts clusters, which depend on the question: of it there is the first level alone.

    Args:
        encodes: Also encode the frames that are compared.
    """
    events = yield from _first_level(case) if case.config.search == PLAIN else _levels(case, encodes)
    root = Node("0", 0, (Event(case.whole),))
    children = [Node(f"0.{i}", depth, (event,)) for i, (depth, event) in enumerate(events)]
    return Found((), (root, *children))


Made = list[tuple[int, Event]]  # events with their level, 1 for the first


def _first_level(case: Case) -> Generator[Any, Any, Made]:
    """The events of ``search=plain``, captioned if ``index`` says so and ``max_vlm_calls`` allows it."""
    if covers(case.config, case.whole.duration_s):
        return []  # not searched
    [units] = yield from units_of(case, [Node("0", 0, (Event(case.whole),))], [0])
    if not case.config.index or len(units) > case.config.max_vlm_calls:
        return [(1, Event(unit)) for unit in units]
    depths, speech = [1] * len(units), unsought(case.cues)
    events, _ = yield from describe(case, units, frames_shown(case.config), depths, speech=speech)
    return [(1, event) for event in events]


def _levels(case: Case, encodes: bool) -> Generator[Any, Any, Made]:
    """The events of ``search=best-first``; beyond ``max_vlm_calls`` captions, those spread evenly over the video."""
    config, spans, speech = case.config, [case.whole], unsought(case.cues)
    made: Made = []
    for depth in range(1, min(max(config.index, 1), config.max_depth) + 1):
        if not spans or len(made) >= config.max_vlm_calls:
            break
        cuts = yield from cut(spans, config, first=depth == 1)
        divided = [(span, done) for span, done in zip(spans, cuts, strict=True) if len(done.events) > 1]
        if encodes and divided:
            yield Encode(_compared(case, [(span, done.compared) for span, done in divided]))
        spans = [event for _, done in divided for event in done.events]
        if not config.index:
            return [(1, Event(span)) for span in spans]
        spans = [spans[i] for i in evenly(len(spans), config.max_vlm_calls - len(made))]
        events, _ = yield from describe(case, spans, config.caption_frames, [depth] * len(spans), speech=speech)
        made += [(depth, event) for event in events]
        spans = [span for span in spans if span.duration_s > config.grain_s]  # the others get no closer look
    return made


def _compared(case: Case, scans: Sequence[tuple[Span, int]]) -> tuple[int, ...]:
    """The frames of these scans, ascending: spans and the number of frames of each."""
    indices = [scan(case.video.reader, (span,), frames)[0] for span, frames in scans]
    return tuple(np.unique(np.concatenate(indices)).tolist())
