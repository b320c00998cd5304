"""The timeline of the contact sheet: a row per level of the tree, ticks for the key frames, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.show.canvas import Canvas, text_width
from lmms_videominer.types import Action, KeyFrame, Node, Selection, Span
from lmms_videominer.video.time_codes import clock

INK, SOFT, TRACK, TICK, EVIDENCE = "#1c2128", "#68717d", "#eceef1", "#1f4fd8", "#7b3fc4"
GUIDE = "#b9c8f0"
COLOURS: dict[Action | None, str] = {
    Action.DELETE: "#ecc4c0",
    None: "#c3c9d1",
    Action.CONTINUE: "#f0b440",
    Action.ACCEPT: "#22945a",
}
MARKER_LANE, ROW, GAP, AXIS, LABELS, DISC = 60, 30, 8, 34, 110, 13
LEAST_WIDTH = 5  # pixels: a one-second event in an hour must stay visible
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)


def levels(nodes: Sequence[Node]) -> list[list[Node]]:
    """The nodes below the root, one list per depth."""
    deepest = max((node.depth for node in nodes), default=0)
    return [[node for node in nodes if node.depth == depth] for depth in range(1, deepest + 1)]


def timeline_height(selection: Selection) -> int:
    """Height in pixels that ``draw_timeline`` needs."""
    rows = max(1, len(levels(selection.nodes))) + bool(selection.question.evidence)
    return MARKER_LANE + rows * (ROW + GAP) + AXIS


def draw_timeline(canvas: Canvas, selection: Selection, left: float, top: float, right: float) -> None:
    """Draw the timeline between ``left`` and ``right``, from ``top`` down."""
    scale = TimeScale(left + LABELS, right, selection.video.duration_s)
    levels_of_nodes = levels(selection.nodes)
    rows = [(f"level {depth}", nodes) for depth, nodes in enumerate(levels_of_nodes, 1)] or [("video", [])]
    tops = [top + MARKER_LANE + row * (ROW + GAP) for row in range(len(rows) + bool(selection.question.evidence))]
    for row_top, label in zip(tops, [*(label for label, _ in rows), "evidence"]):
        canvas.text(left, row_top + ROW / 2, label, 18, SOFT, "lm")
        canvas.rectangle((scale.left, row_top, scale.right, row_top + ROW), TRACK, radius=4)
    _draw_ticks(canvas, scale, selection.key_frames, top, tops[-1] + ROW)
    for row_top, (_, nodes) in zip(tops, rows):
        # the important decisions last: a wide deleted node must not hide a narrow accepted one
        for node in sorted(nodes, key=lambda node: list(COLOURS).index(_action(node))):
            _draw_node(canvas, scale, node, row_top)
    _draw_spans(canvas, scale, selection.question.evidence, tops[-1], EVIDENCE, LEAST_WIDTH)
    _draw_axis(canvas, scale, tops[-1] + ROW + GAP)


def draw_legend(canvas: Canvas, selection: Selection, right: float, y: float) -> None:
    """Draw a legend of the colours in use, right-aligned at ``right`` and centred on ``y``."""
    present = {_action(node) for node in selection.nodes if node.depth}
    limited = any(node.undecided for node in selection.nodes)
    names: dict[Action | None, str] = {action: action.value for action in Action}
    names[None] = "undecided" if limited else "part of the video"
    entries = [(names[action], colour) for action, colour in reversed(COLOURS.items()) if action in present]
    entries += [("evidence", EVIDENCE)] * bool(selection.question.evidence)
    for name, colour in reversed([*entries, ("key frame", TICK)]):
        right -= text_width(name, 17)
        canvas.text(right, y, name, 17, SOFT, "lm")
        canvas.rectangle((right - 22, y - 7, right - 8, y + 7), colour, radius=3)
        right -= 46


def spread(positions: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Move ascending ``positions`` apart to at least ``distance``, by as little as possible, within [low, high].

    This is the least-squares solution. With the distances subtracted it is an isotonic regression, solved by pooling
    adjacent violators.
    """
    distance = min(distance, (high - low) / max(1, len(positions) - 1))
    pools: list[tuple[float, int]] = []  # mean of the pooled positions, their number
    for index, position in enumerate(positions):
        mean, count = position - index * distance, 1
        while pools and pools[-1][0] >= mean:
            other_mean, other_count = pools.pop()
            mean = (mean * count + other_mean * other_count) / (count + other_count)
            count += other_count
        pools.append((mean, count))
    top = high - (len(positions) - 1) * distance
    flat = [min(max(mean, low), top) for mean, count in pools for _ in range(count)]
    return [place + index * distance for index, place in enumerate(flat)]


class TimeScale:
    """Maps seconds to horizontal pixels."""

    def __init__(self, left: float, right: float, duration_s: float):
        self.left, self.right, self.duration_s = left, right, duration_s or 1.0

    def __call__(self, time_s: float) -> float:
        return self.left + (self.right - self.left) * min(1.0, time_s / self.duration_s)


def _action(node: Node) -> Action | None:
    return node.decision.action if node.decision else None


def _draw_node(canvas: Canvas, scale: TimeScale, node: Node, y: float) -> None:
    # a short deleted node may be invisible, any other node may not
    least = 1.0 if _action(node) is Action.DELETE else LEAST_WIDTH
    _draw_spans(canvas, scale, node.spans, y, COLOURS[_action(node)], least)
    for span in node.spans:
        room = scale(span.end_s) - scale(span.start_s)
        if text_width(node.id, 14) + 10 <= room:
            ink = "#ffffff" if _action(node) is Action.ACCEPT else INK
            canvas.text(scale(span.start_s) + room / 2, y + ROW / 2, node.id, 14, ink, "mm")


def _draw_spans(
    canvas: Canvas, scale: TimeScale, spans: Sequence[Span], y: float, colour: str, least_width: float
) -> None:
    for span in spans:
        start, end = scale(span.start_s), scale(span.end_s)
        if end - start < least_width:
            middle = (start + end) / 2
            start, end = middle - least_width / 2, middle + least_width / 2
        seam = 0.5 if end - start > 6 else 0  # a hairline between neighbours of one colour
        canvas.rectangle((start + seam, y, end - seam, y + ROW), colour, radius=3 if end - start > 8 else 0)


def _draw_ticks(canvas: Canvas, scale: TimeScale, frames: Sequence[KeyFrame], top: float, bottom: float) -> None:
    """Draw numbered discs, as on the pictures, each with a line to its time, and below it a guide behind the nodes."""
    places = [scale(frame.time_s) for frame in frames]
    discs = spread(places, 2 * DISC + 3, scale.left + DISC, scale.right - DISC)
    for number, (place, x) in enumerate(zip(places, discs), 1):
        foot = top + MARKER_LANE - 2
        canvas.line([(place, foot), (place, bottom)], GUIDE, 1)
        canvas.line([(x, top + DISC), (x, top + 2 * DISC + 3), (place, foot - 8)], TICK, 1.5)
        canvas.triangle(place, foot, 9, TICK)
        draw_number(canvas, x, top + DISC, number)


def draw_number(canvas: Canvas, x: float, y: float, number: int) -> None:
    """Draw the numbered disc that marks one key frame, on its picture and on the timeline."""
    canvas.disc(x, y, DISC, TICK)
    canvas.text(x, y, str(number), 15, "#ffffff", "mm", bold=True)


def _draw_axis(canvas: Canvas, scale: TimeScale, y: float) -> None:
    step = next((step for step in STEPS_S if scale.duration_s / step <= 12), scale.duration_s / 10)
    time_s = 0.0
    while time_s <= scale.duration_s:
        x = scale(time_s)
        canvas.line([(x, y - 2), (x, y + 4)], SOFT)
        anchor = "la" if not time_s else "ra" if scale.right - x < 25 else "ma"
        canvas.text(x, y + 8, clock(time_s), 16, SOFT, anchor)
        time_s += step
