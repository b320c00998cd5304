"""Plots of a comparison: accuracy against cost and against video length, and recall, as PNG and as SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.bench.axes import MOST, label_point, log_axis, moved, place_labels, side_by_side
from lmms_videominer.bench.comparison import Group, Summary, by_variant, on_all_tasks, scores_by_length, summaries
from lmms_videominer.bench.files import written
from lmms_videominer.bench.plan import CACHES
from lmms_videominer.bench.statistics import Interval
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Styles = Mapping[str, Mapping[str, Any]]
    Points = list[tuple[float, Interval]]

OWN = "videominer"  # the selector that stands out
LENGTHS_MIN = (2.0, 10.0, 30.0, 90.0)  # minutes: edges of the bins of video length
DPI = 150
PANEL_IN = (5.2, 4.0)  # inches
ACROSS = 2  # panels beside each other, at most
TITLE_LETTERS = 62  # in a line
ALONE = 250.0  # points over which a single place on an axis is spread
MARKERS = "osD^vP*X<>hp"
OWN_COLOURS = ("#c1121f", "#7a0c4a", "#e4572e", "#5c1a1a")  # reds, which no other variant has
OTHER_COLOURS = (0, 4, 8, 10, 14, 16, 18, 2, 1, 5, 9, 11, 15, 17, 19, 3)  # of tab20, without its reds; saturated first


def draw_plots(groups: Sequence[Group], folder: Path) -> list[Path]:
    """Write every plot that has data, with one panel per task, and return their paths.

    Args:
        groups: Groups whose variants can be compared.
        folder: Folder for ``accuracy_vs_*`` and ``recall``, each as ``.png`` and ``.svg``.
    """
    styles = _styles(groups)
    panels = _panels(groups)
    costs: list[tuple[str, str, str, Callable[[Summary], float | None]]] = [
        ("accuracy_vs_vlm_calls", "captions by the video LLM per question", "captions", lambda s: s.vlm_calls),
        ("accuracy_vs_seconds", "seconds per question", "s", seconds_of),
    ]
    paths = []
    for name, axis, unit, cost in costs:
        paths += _save(
            folder / f"{name}.png",
            panels,
            lambda axes, panel, c=cost, a=axis, u=unit: _by_cost(axes, panel, c, a, u, styles),
            styles,
        )
    by_length = [[group] for group in _pooled(groups)]
    paths += _save(
        folder / "accuracy_vs_length.png", by_length, lambda axes, panel: _by_length(axes, panel[0], styles), styles
    )
    recall_panels = [
        panel for panel in panels if any(s.recall is not None for group in panel for s in summaries(group))
    ]
    paths += _save(folder / "recall.png", recall_panels, lambda axes, panel: _recall(axes, panel, styles), styles)
    return paths


def seconds_of(summary: Summary) -> float | None:
    """Seconds per question of the preferred run."""
    return next((summary.seconds[cache] for cache in CACHES if summary.seconds[cache] is not None), None)


def rounded(value: float) -> str:
    """``value`` to two or three digits, or to a whole number: 0.46, 3.6, 10.8, 361."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2g}"


def new_figure(panels: int, down: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with ``panels`` axes in ``down`` rows, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = -(-panels // down)
    figure = Figure(figsize=(PANEL_IN[0] * across, PANEL_IN[1] * down), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for unused in axes[panels:]:
        unused.remove()
    return figure, axes[:panels]


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write ``figure`` as PNG and, beside it, as SVG with its text as text, atomically; return both paths.

    Args:
        path: The PNG file.
    """
    from matplotlib import rc_context

    vector = path.with_suffix(".svg")
    with written(path) as part:
        figure.savefig(part, dpi=DPI, format="png", metadata={"Software": None})  # same pixels, same bytes
    with written(vector) as part, rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})
    return [path, vector]


def plain(text: str) -> str:
    """``text`` as Matplotlib shows it literally: no formulas, and no label that is left out of the legend."""
    literal = printable(text).replace("$", r"\$")
    return f" {literal}" if literal.startswith("_") else literal


def error_bars(intervals: Sequence[Interval]) -> list[list[float]]:
    """How far each interval extends below and above its value, in points; 0 if it has no bounds."""
    below = [0.0 if one.low is None else max(0.0, 100 * (one.value - one.low)) for one in intervals]
    above = [0.0 if one.high is None else max(0.0, 100 * (one.high - one.value)) for one in intervals]
    return [below, above]


def _save(path: Path, panels: Sequence[Sequence[Group]], draw: Callable[..., bool], styles: Styles) -> list[Path]:
    """Write one figure of ``panels``; nothing if none of them has data."""
    if not panels:
        return []
    figure, axes = new_figure(len(panels), -(-len(panels) // ACROSS))
    has_data = [draw(ax, panel) for ax, panel in zip(axes, panels)]
    if not any(has_data):
        for left in (path, path.with_suffix(".svg")):  # by an earlier report
            left.unlink(missing_ok=True)
        return []
    own = [plain(label) for label, style in styles.items() if _is_own(style)]
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels())}
    labels = sorted(handles, key=lambda label: label not in own)
    legend = figure.legend(
        [handles[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=4 * min(ACROSS, len(panels)),
        fontsize=8,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_fontweight("bold" if text.get_text() in own else "normal")
    figure.draw_without_rendering()  # the layout, which the labels need
    for ax in axes:
        place_labels(ax, figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return save_figure(figure, path)


def _panels(groups: Sequence[Group]) -> list[list[Group]]:
    """Lists of groups that differ only in the number of frames."""
    by_setting: dict[tuple, list[Group]] = {}
    for group in groups:
        by_setting.setdefault((group.model, group.weights, group.common, group.task, group.limit), []).append(group)
    return list(by_setting.values())


def _pooled(groups: Sequence[Group]) -> list[Group]:
    """Groups with the tasks of one model and one number of frames pooled."""
    import pandas as pd

    return [
        replace(
            parts[0],
            task=" + ".join(part.task for part in parts),
            table=pd.concat([rows for part in parts for rows in by_variant(part).values()]),
        )
        for parts in on_all_tasks(groups)
    ]


def _styles(groups: Sequence[Group]) -> dict[str, dict[str, Any]]:
    """How each label is drawn, the same in every plot: variants of the method itself in red, large and on top."""
    import matplotlib

    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    selectors: dict[str, str] = {}
    for group in groups:
        for label, selector in group.table[["variant", "selector"]].drop_duplicates().itertuples(index=False):
            selectors.setdefault(str(label), str(selector))
    styles: dict[str, dict[str, Any]] = {}
    count = {True: 0, False: 0}  # of ours, and of others
    for label, selector in selectors.items():
        own, place = selector == OWN, count[selector == OWN]
        count[own] += 1
        colour = OWN_COLOURS[place % len(OWN_COLOURS)] if own else colours[OTHER_COLOURS[place % len(OTHER_COLOURS)]]
        styles[label] = {
            "color": colour,
            "marker": MARKERS[place % len(MARKERS)],
            "markersize": 9 if own else 5,
            "linewidth": 2.4 if own else 1,
            "zorder": 4 if own else 2,
        }
    return styles


def _is_own(style: Mapping[str, Any]) -> bool:
    return style["color"] in OWN_COLOURS


def _by_cost(
    axes: Axes,
    panel: Sequence[Group],
    cost: Callable[[Summary], float | None],
    name: str,
    unit: str,
    styles: Styles,
) -> bool:
    """Draw accuracy over cost; a line joins the points of a variant with several numbers of frames."""
    points: dict[str, Points] = {}
    frames: dict[str, list[int]] = {}
    for group in panel:
        for summary in summaries(group):
            value = cost(summary)
            if value is not None:
                points.setdefault(summary.variant, []).append((value, summary.accuracy))
                frames.setdefault(summary.variant, []).append(group.frames)
    values = [value for pairs in points.values() for value, _ in pairs]
    log_axis(axes, values, name, sum(any(value == 0 for value, _ in pairs) for pairs in points.values()))
    _lines(axes, points, styles, lambda label: _told(points[label][-1], unit, frames[label]))
    _finish(axes, _title(panel))
    return bool(points)


def _told(point: tuple[float, Interval], unit: str, frames: Sequence[int]) -> str:
    """The values of a variant's last point, with its number of frames if there are several."""
    value, accuracy = point
    last = f", {frames[-1]} frames" if len(frames) > 1 else ""
    return f"{last}\n{100 * accuracy.value:.0f} %, {rounded(value)} {unit}"


def _by_length(axes: Axes, group: Group, styles: Styles) -> bool:
    points: dict[str, Points] = {}
    for name, rows in group.table.groupby("variant", sort=False):  # the preferred rows of every task
        bins = scores_by_length(rows, LENGTHS_MIN)
        if bins:
            points[str(name)] = [(length, interval) for length, interval, _ in bins]
    log_axis(
        axes,
        [length for pairs in points.values() for length, _ in pairs],
        f"length of the video in minutes, {group.frames} frames",
    )
    _lines(axes, points, styles)
    _finish(axes, group.task)
    return bool(points)


def _recall(axes: Axes, panel: Sequence[Group], styles: Styles) -> bool:
    """Draw recall over the number of frames."""
    points: dict[str, Points] = {}
    for group in panel:
        for summary in summaries(group):
            if summary.recall is not None and summary.selector != "none":
                pair = (group.frames, Interval(summary.recall, None, None))
                points.setdefault(summary.variant, []).append(pair)
    counts = sorted({frames for pairs in points.values() for frames, _ in pairs}) or [0]
    alone = len(counts) == 1
    _lines(axes, points, styles, most=ALONE if alone else MOST)
    room = 1 if alone else 0.15 * (counts[-1] - counts[0])
    axes.set_xticks(counts)
    axes.set_xlim(counts[0] - room, counts[-1] + room)
    axes.set_xlabel("frames")
    _finish(axes, _title(panel), "evidence windows seen, %")
    return bool(points)


def _lines(
    axes: Axes,
    points: Mapping[str, Points],
    styles: Styles,
    told: Callable[[str], str] = lambda label: "",
    most: float = MOST,
) -> None:
    """Draw a line through the points of every label, with their intervals; ours are labelled where they end.

    Args:
        told: What the label of ours says behind its name.
        most: See ``side_by_side``.
    """
    aside = side_by_side({label: [place for place, _ in pairs] for label, pairs in points.items()}, most)
    for label, pairs in points.items():
        transform = moved(axes, aside[label])
        places, values = [place for place, _ in pairs], [100 * interval.value for _, interval in pairs]
        axes.errorbar(
            places,
            values,
            yerr=error_bars([interval for _, interval in pairs]),
            label=plain(label),
            capsize=2,
            elinewidth=0.45 * styles[label]["linewidth"] + 0.25,
            transform=transform,
            **styles[label],
        )
        if _is_own(styles[label]):
            text = plain(label) + told(label)
            label_point(axes, text, (places[-1], values[-1]), transform, styles[label]["color"])


def _finish(axes: Axes, title: str, value: str = "accuracy, %") -> None:
    axes.set(ylabel=value, ylim=(-3, 103))
    lines = [line for part in title.splitlines() for line in textwrap.wrap(part, TITLE_LETTERS)]
    axes.set_title(plain("\n".join(lines)), fontsize=9)
    axes.grid(alpha=0.3, linewidth=0.5)


def _title(panel: Sequence[Group]) -> str:
    group = panel[0]
    first = f", first {group.limit} questions" if group.limit else ""
    setting = " ".join(filter(None, [group.model, Path(group.weights).name, group.common]))
    return f"{group.task}{first}\n{setting}"
