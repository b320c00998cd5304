"""The timeline of the contact sheet: a row for each level of the tree, ticks for the key frames, the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.canvas import Canvas, text_width
from lmms_videominer.timecode import clock
from lmms_videominer.types import Action, KeyFrame, Node, Selection, Span

INK, SOFT, TRACK, TICK, EVIDENCE = "#1c2128", "#68717d", "#eceef1", "#1f4fd8", "#7b3fc4"
COLOURS: dict[Action | None, str] = {
    Action.DELETE: "#ecc4c0",
    None: "#c3c9d1",
    Action.CONTINUE: "#f0b440",
    Action.ACCEPT: "#22945a",
}
NAMES: dict[Action | None, str] = {**{action: action.value for action in Action}, None: "undecided"}
MARKER_LANE, ROW, GAP, AXIS, LABELS, DISC = 60, 30, 8, 34, 110, 13
LEAST_WIDTH = 2.5  # an event of a second in an hour must still be seen
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)


def levels(nodes: Sequence[Node]) -> list[list[Node]]:
    """The nodes below the root, a list for each depth."""
    deepest = max((node.depth for node in nodes), default=0)
    return [[node for node in nodes if node.depth == depth] for depth in range(1, deepest + 1)]


def timeline_height(selection: Selection) -> int:
    """Pixels that ``draw_timeline`` needs."""
    rows = max(1, len(levels(selection.nodes))) + bool(selection.question.evidence)
    return MARKER_LANE + rows * (ROW + GAP) + AXIS


def draw_timeline(canvas: Canvas, selection: Selection, left: float, top: float, right: float) -> None:
    """Draw everything between ``left`` and ``right``, from ``top`` down."""
    scale = _TimeScale(left + LABELS, right, selection.video.duration_s)
    rows = [(f"level {depth}", nodes) for depth, nodes in enumerate(levels(selection.nodes), 1)] or [("video", [])]
    y = top + MARKER_LANE
    for label, nodes in rows:
        _row(canvas, scale, left, y, label)
        # the weighty decisions last: a wide deleted node must not hide a narrow accepted one
        for node in sorted(nodes, key=lambda node: list(COLOURS).index(_action(node))):
            _draw_node(canvas, scale, node, y)
        y += ROW + GAP
    if selection.question.evidence:
        _row(canvas, scale, left, y, "evidence")
        _draw_spans(canvas, scale, selection.question.evidence, y, EVIDENCE)
        y += ROW + GAP
    _draw_ticks(canvas, scale, selection.key_frames, top, y - GAP)
    _draw_axis(canvas, scale, y)


def draw_legend(canvas: Canvas, selection: Selection, right: float, y: float) -> None:
    """The colours that occur, right-aligned, centred on ``y``."""
    present = {_action(node) for node in selection.nodes if node.depth}
    entries = [(NAMES[action], colour) for action, colour in reversed(COLOURS.items()) if action in present]
    entries += [("evidence", EVIDENCE)] * bool(selection.question.evidence)
    for name, colour in reversed([*entries, ("key frame", TICK)]):
        right -= text_width(name, 17)
        canvas.text(right, y, name, 17, SOFT, "lm")
        canvas.rectangle((right - 22, y - 7, right - 8, y + 7), colour, radius=3)
        right -= 46


def spread(positions: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Ascending ``positions`` moved apart to at least ``distance``, within [low, high] where there is room."""
    distance = min(distance, (high - low) / max(1, len(positions) - 1))
    moved: list[float] = []
    for position in positions:
        moved.append(max(position, moved[-1] + distance) if moved else max(position, low))
    for index in range(len(moved) - 1, -1, -1):
        limit = high if index == len(moved) - 1 else moved[index + 1] - distance
        moved[index] = min(moved[index], limit)
    # what was pushed right only by its neighbours goes back halfway, so that a cluster is centred on its frames
    shift = sum(new - old for new, old in zip(moved, positions)) / max(1, len(moved))
    return [position - min(shift, moved[0] - low) for position in moved] if shift > 0 else moved


class _TimeScale:
    """Seconds to horizontal pixels."""

    def __init__(self, left: float, right: float, duration_s: float):
        self.left, self.right, self.duration_s = left, right, duration_s or 1.0

    def __call__(self, time_s: float) -> float:
        return self.left + (self.right - self.left) * min(1.0, time_s / self.duration_s)


def _action(node: Node) -> Action | None:
    return node.decision.action if node.decision else None


def _row(canvas: Canvas, scale: _TimeScale, left: float, y: float, label: str) -> None:
    canvas.text(left, y + ROW / 2, label, 18, SOFT, "lm")
    canvas.rectangle((scale.left, y, scale.right, y + ROW), TRACK, radius=4)


def _draw_node(canvas: Canvas, scale: _TimeScale, node: Node, y: float) -> None:
    _draw_spans(canvas, scale, node.spans, y, COLOURS[_action(node)])
    for span in node.spans:
        room = scale(span.end_s) - scale(span.start_s)
        if text_width(node.id, 14) + 10 <= room:
            ink = "#ffffff" if _action(node) is Action.ACCEPT else INK
            canvas.text(scale(span.start_s) + room / 2, y + ROW / 2, node.id, 14, ink, "mm")


def _draw_spans(canvas: Canvas, scale: _TimeScale, spans: Sequence[Span], y: float, colour: str) -> None:
    for span in spans:
        start, end = scale(span.start_s), scale(span.end_s)
        if end - start < LEAST_WIDTH:
            middle = (start + end) / 2
            start, end = middle - LEAST_WIDTH / 2, middle + LEAST_WIDTH / 2
        seam = 0.5 if end - start > 6 else 0  # a hairline between neighbours of one colour
        canvas.rectangle((start + seam, y, end - seam, y + ROW), colour, radius=3 if end - start > 8 else 0)


def _draw_ticks(canvas: Canvas, scale: _TimeScale, frames: Sequence[KeyFrame], top: float, bottom: float) -> None:
    """Numbered discs, as on the pictures, with a leader line down to the moment of each."""
    places = [scale(frame.time_s) for frame in frames]
    discs = spread(places, 2 * DISC + 3, scale.left + DISC, scale.right - DISC)
    for number, (place, x) in enumerate(zip(places, discs), 1):
        canvas.line([(x, top + DISC), (x, top + 2 * DISC + 4), (place, top + MARKER_LANE - 4), (place, bottom)], TICK, 1.5)
        draw_number(canvas, x, top + DISC, number)


def draw_number(canvas: Canvas, x: float, y: float, number: int) -> None:
    """The disc that stands for one key frame, on its picture and on the timeline."""
    canvas.disc(x, y, DISC, TICK)
    canvas.text(x, y, str(number), 15, "#ffffff", "mm", bold=True)


def _draw_axis(canvas: Canvas, scale: _TimeScale, y: float) -> None:
    step = next((step for step in STEPS_S if scale.duration_s / step <= 12), scale.duration_s / 10)
    time_s = 0.0
    while time_s <= scale.duration_s:
        x = scale(time_s)
        canvas.line([(x, y - 2), (x, y + 4)], SOFT)
        anchor = "la" if not time_s else "ra" if scale.right - x < 25 else "ma"
        canvas.text(x, y + 8, clock(time_s), 16, SOFT, anchor)
        time_s += step
