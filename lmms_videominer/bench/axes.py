"""Axes that can be read: logarithmic ones with ticks, points that fall together side by side, labels beside points."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox, Transform

POINTS_PER_INCH = 72
LINEAR_TO = 1.0  # below it an axis with a 0 is linear
LINEAR_LENGTH = 0.8  # of that part, in decades
ZERO_STEP, STEP, MOST = 6.0, 3.0, 24.0  # points between neighbours at 0 and elsewhere, and at most from end to end
BAND = "0.93"  # gray, behind the points at 0
EDGES = (1, 2, 3, 5, 7, 10)  # first digits at which an axis may end
# for axes of up to so many decades: the first digits that have a label, and the step of the small ticks between them
DIGITS = (
    (0.6, (1, 2, 3, 4, 5, 6, 7, 8, 9), 0.2),
    (1.0, (1, 2, 3, 4, 5, 7), 0.5),
    (2.9, (1, 2, 3, 5), 1.0),
    (3.6, (1, 2, 5), 1.0),
    (5.0, (1, 3), 1.0),
    (math.inf, (1,), 1.0),
)
LABEL_DISTANCE = 9  # points from a point to its label
LABEL_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1.6), (0, -1.6))
LABEL_RINGS = (1, 3, 6, 9, 13)  # times this distance, each as bad as to cover one thing more
TICK_SIZE = 8
ROOM = 0.06  # of the axis, at either end


def log_ticks(low: float, high: float, decades: float = 0.0) -> tuple[list[float], list[float]]:
    """Places of the ticks with a label, and of the small ones, on a logarithmic axis.

    Args:
        low, high: The ends of the axis, 0 < low < high.
        decades: Its length, if it is longer than from ``low`` to ``high``.
    """
    length = max(decades, math.log10(high / low))
    digits, step = next((digits, step) for most, digits, step in DIGITS if length <= most)
    small = [1 + step * number for number in range(round(9 / step))]
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    labelled, others = (
        [digit * 10.0**exponent for exponent in exponents for digit in chosen] for chosen in (digits, small)
    )
    inside = (low * (1 - 1e-9), high * (1 + 1e-9))
    marked = [place for place in labelled if inside[0] <= place <= inside[1]]
    return marked, [place for place in others if inside[0] <= place <= inside[1] and not _near(place, marked)]


def log_axis(axes: Axes, values: Collection[float], name: str, together: int = 1) -> None:
    """Make the x axis logarithmic for ``values``, with a place for 0 if it is among them, and say so in its label.

    Args:
        values: float, each >= 0.
        name: The label, without the kind of the axis.
        together: How many points stand side by side at 0.
    """
    positive = [value for value in values if value > 0]
    least, most = min(positive, default=1), max(positive, default=1)
    room = 10 ** (ROOM * max(1, math.log10(most / least)))
    if len(positive) == len(values):
        low, high = _edge_below(least / room), _edge_above(most * room)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        labelled, small = log_ticks(low, high)
        axes.set_xlabel(f"{name} (log scale)")
    else:
        high = _edge_above(max(2.0, most * room))
        axes.set_xscale("symlog", linthresh=LINEAR_TO, linscale=LINEAR_LENGTH)
        labelled, small = log_ticks(LINEAR_TO, high, LINEAR_LENGTH + math.log10(high))
        labelled = [0.0, *([0.5] if least < 1 else []), *labelled]
        band = ZERO_STEP * (together + 1)
        axes.set_xlim(_left_of_zero(axes, high, band), high)
        axes.axvline(0, color=BAND, linewidth=band, zorder=0, solid_capstyle="butt")
        axes.set_xlabel(f"{name} (log scale from {LINEAR_TO:g} on)")
    axes.set_xticks(labelled, [f"{place:,.12g}" for place in labelled])
    axes.set_xticks(small, [""] * len(small), minor=True)
    axes.tick_params(axis="x", labelsize=TICK_SIZE)
    axes.grid(axis="x", which="minor", alpha=0.12, linewidth=0.5)


def _figure(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)


def _left_of_zero(axes: Axes, high: float, band: float) -> float:
    """The left end of an axis on which a band of ``band`` points around 0 fits."""
    width = axes.get_position().width * _figure(axes).get_figwidth() * POINTS_PER_INCH
    share = min(0.4, 0.5 * (band + ZERO_STEP) / width)
    scale = axes.xaxis.get_transform()
    right = scale.transform(np.array([high]))[0]
    return float(scale.inverted().transform(np.array([-share / (1 - share) * right]))[0])


def _edge_below(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(digit * power for digit in EDGES if digit * power <= value * (1 + 1e-9))


def _edge_above(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return min(digit * power for digit in EDGES if digit * power >= value * (1 - 1e-9))


def _near(place: float, others: Sequence[float]) -> bool:
    return any(math.isclose(place, other) for other in others)


def side_by_side(places: Mapping[str, Collection[float]], most: float = MOST) -> dict[str, float]:
    """How many points to the right each label is drawn, so that those with a common place stand side by side.

    Args:
        places: The places on the x axis of each label's points.
        most: Points from the first to the last of those that stand together, except at 0.
    """
    clusters: list[tuple[set[Hashable], list[str]]] = []
    for label, values in places.items():
        own: set[Hashable] = {f"{value:.3g}" for value in values}
        meeting = [cluster for cluster in clusters if cluster[0] & own]
        clusters = [cluster for cluster in clusters if cluster not in meeting]
        labels = [label for _, members in meeting for label in members]
        clusters.append((own.union(*(found for found, _ in meeting)), [*labels, label]))
    offsets = {}
    for found, labels in clusters:
        step = ZERO_STEP if found == {"0"} else most / len(labels) if most > MOST else min(STEP, most / len(labels))
        offsets.update({label: step * (place - (len(labels) - 1) / 2) for place, label in enumerate(labels)})
    return offsets


def moved(axes: Axes, points: float) -> Transform:
    """The transform of data that is drawn ``points`` to the right of its place."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transData + ScaledTranslation(points / POINTS_PER_INCH, 0, _figure(axes).dpi_scale_trans)


def label_point(axes: Axes, text: str, place: tuple[float, float], transform: Transform, colour: Any) -> None:
    """Write ``text`` beside a point; ``place_labels`` says on which side."""
    label = axes.annotate(
        text,
        place,
        xytext=(0, 0),
        xycoords=transform,
        textcoords="offset points",
        fontsize=8,
        fontweight="bold",
        color=colour,
        zorder=10,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4},
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )
    label.set_in_layout(False)  # it has no place yet


def place_labels(axes: Axes, renderer: RendererAgg) -> None:
    """Put every label of ``axes`` near its point where it covers few points, bars and labels, with a line to its point.

    The figure must have its final layout.
    """
    from matplotlib.text import Annotation

    covered = np.array(list(_drawn(axes))).reshape(-1, 2)
    spots = [(ring, side) for ring in range(len(LABEL_RINGS)) for side in LABEL_SIDES]
    for label in axes.texts:
        if isinstance(label, Annotation):
            badness = [_badness(axes, _box(label, ring, side, renderer), covered, ring) for ring, side in spots]
            box = _box(label, *spots[int(np.argmin(badness))], renderer)  # the first of the best
            grid = np.meshgrid(np.linspace(box.x0, box.x1, 12), np.linspace(box.y0, box.y1, 4))
            covered = np.concatenate([covered, np.stack(grid, -1).reshape(-1, 2)])


def _badness(axes: Axes, box: Bbox, covered: np.ndarray, ring: int) -> float:
    """How bad it is to have a label in ``box``: what it covers, and how far it is; worst outside the axes."""
    inside = axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
    return box.count_contains(covered) + ring if inside else math.inf


def _box(label: Annotation, ring: int, side: tuple[float, float], renderer: RendererAgg) -> Bbox:
    """Put the label on a side of its point and return the pixels of its text."""
    from matplotlib.text import Text

    across, up = side
    label.set_position((LABEL_RINGS[ring] * LABEL_DISTANCE * across, LABEL_RINGS[ring] * LABEL_DISTANCE * up))
    label.set(
        ha={-1: "right", 0: "center", 1: "left"}[np.sign(across)],
        va={-1: "top", 0: "center", 1: "bottom"}[np.sign(up)],
    )
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer).padded(2)  # that of an annotation has its line


def _drawn(axes: Axes) -> Iterator[np.ndarray]:
    """Pixels of the points and of the bars in ``axes``."""
    for line in axes.lines:
        yield from line.get_transform().transform(np.asarray(line.get_xydata(), float))
    for bars in axes.collections:
        for path in bars.get_paths():
            ends = bars.get_transform().transform(path.vertices)
            yield from np.linspace(ends[0], ends[-1], 8)
