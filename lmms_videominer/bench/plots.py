"""Plots of a comparison: accuracy against cost and against video length, and recall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.bench.comparison import Group, Summary, by_variant, on_all_tasks, scores_by_length, summaries
from lmms_videominer.bench.files import written
from lmms_videominer.bench.plan import CACHES
from lmms_videominer.bench.statistics import Interval
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTHS_MIN = (2.0, 10.0, 30.0, 90.0)  # minutes: edges of the bins of video length
DPI = 150
PANEL_IN = (5.2, 4.0)  # inches
MARKERS = "osD^vP*X<>hp"


def draw_plots(groups: Sequence[Group], folder: Path) -> list[Path]:
    """Write every plot that has data, with one panel per task, and return their paths.

    Args:
        groups: Groups whose variants can be compared.
        folder: Folder for ``accuracy_vs_*.png`` and ``recall.png``.
    """
    styles = _styles(groups)
    panels = _panels(groups)
    costs: list[tuple[str, str, Callable[[Summary], float | None]]] = [
        ("accuracy_vs_vlm_calls", "captions by the video LLM per question", lambda s: s.vlm_calls),
        ("accuracy_vs_seconds", "seconds per question", _seconds),
    ]
    paths = []
    for name, axis, cost in costs:
        paths += _save(
            folder / f"{name}.png", panels, lambda axes, panel, c=cost, a=axis: _by_cost(axes, panel, c, a, styles)
        )
    by_length = [[group] for group in _pooled(groups)]
    paths += _save(folder / "accuracy_vs_length.png", by_length, lambda axes, panel: _by_length(axes, panel[0], styles))
    recall_panels = [
        panel for panel in panels if any(s.recall is not None for group in panel for s in summaries(group))
    ]
    paths += _save(folder / "recall.png", recall_panels, lambda axes, panel: _recall(axes, panel, styles))
    return paths


def _seconds(summary: Summary) -> float | None:
    """Seconds per question of the preferred run."""
    return next((summary.seconds[cache] for cache in CACHES if summary.seconds[cache] is not None), None)


def new_figure(panels: int, down: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with ``panels`` axes in ``down`` rows, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = -(-panels // down)
    figure = Figure(figsize=(PANEL_IN[0] * across, PANEL_IN[1] * down), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(down, across, squeeze=False).flat)[:panels]


def save_figure(figure: Figure, path: Path) -> Path:
    """Write ``figure`` as PNG, atomically."""
    with written(path) as part:
        figure.savefig(part, dpi=DPI, format="png", metadata={"Software": None})  # same pixels, same bytes
    return path


def plain(text: str) -> str:
    """``text`` as Matplotlib shows it literally: no formulas, and no label that is left out of the legend."""
    literal = printable(text).replace("$", r"\$")
    return f" {literal}" if literal.startswith("_") else literal


def error_bars(intervals: Sequence[Interval]) -> list[list[float]]:
    """How far each interval extends below and above its value, in points; 0 if it has no bounds."""
    below = [0.0 if one.low is None else max(0.0, 100 * (one.value - one.low)) for one in intervals]
    above = [0.0 if one.high is None else max(0.0, 100 * (one.high - one.value)) for one in intervals]
    return [below, above]


def _save(path: Path, panels: Sequence[Sequence[Group]], draw: Callable[..., bool]) -> list[Path]:
    """Write one figure of ``panels``; nothing if none of them has data."""
    if not panels:
        return []
    figure, axes = new_figure(len(panels))
    has_data = [draw(ax, panel) for ax, panel in zip(axes, panels)]
    if not any(has_data):
        path.unlink(missing_ok=True)  # left by an earlier report
        return []
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels())}
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=3 * len(panels), fontsize=8, frameon=False
    )
    return [save_figure(figure, path)]


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
    """A colour and a marker for each label, the same in every plot."""
    import matplotlib

    colours = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    order = [*range(0, 20, 2), *range(1, 20, 2)]  # the saturated colours first
    labels = list(dict.fromkeys(str(label) for group in groups for label in group.table["variant"]))
    return {
        label: {"color": colours[order[i % 20]], "marker": MARKERS[i % len(MARKERS)]} for i, label in enumerate(labels)
    }


def _by_cost(
    axes: Axes,
    panel: Sequence[Group],
    cost: Callable[[Summary], float | None],
    name: str,
    styles: dict[str, dict[str, Any]],
) -> bool:
    """Draw accuracy over cost; a line joins the points of a variant with several numbers of frames."""
    points: dict[str, list[tuple[float, Summary]]] = {}
    for group in panel:
        for summary in summaries(group):
            value = cost(summary)
            if value is not None:
                points.setdefault(summary.variant, []).append((value, summary))
    for label, pairs in points.items():
        _line(axes, [value for value, _ in pairs], [summary.accuracy for _, summary in pairs], label, styles)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(left=-0.2)
    _finish(axes, name, _title(panel))
    return bool(points)


def _by_length(axes: Axes, group: Group, styles: dict[str, dict[str, Any]]) -> bool:
    has_data = False
    for name, rows in group.table.groupby("variant", sort=False):  # the preferred rows of every task
        label, bins = str(name), scores_by_length(rows, LENGTHS_MIN)
        if bins:
            _line(axes, [length for length, _, _ in bins], [interval for _, interval, _ in bins], label, styles)
            has_data = True
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    _finish(axes, f"length of the video in minutes ({group.frames} frames)", group.task)
    return has_data


def _line(
    axes: Axes, places: list[float], intervals: list[Interval], label: str, styles: dict[str, dict[str, Any]]
) -> None:
    """Draw a line through points with their intervals."""
    values = [100 * interval.value for interval in intervals]
    bars = error_bars(intervals)
    axes.errorbar(
        places, values, yerr=bars, label=plain(label), capsize=2, linewidth=1, elinewidth=0.7, **styles[label]
    )


def _recall(axes: Axes, panel: Sequence[Group], styles: dict[str, dict[str, Any]]) -> bool:
    """Draw recall over the number of frames."""
    points: dict[str, list[tuple[int, float]]] = {}
    for group in panel:
        for summary in summaries(group):
            if summary.recall is not None and summary.selector != "none":
                points.setdefault(summary.variant, []).append((group.frames, 100 * summary.recall))
    for label, pairs in points.items():
        axes.plot(*zip(*pairs), label=plain(label), linewidth=1, **styles[label])
    axes.set_xticks(sorted({frames for pairs in points.values() for frames, _ in pairs}))
    _finish(axes, "frames", _title(panel), "evidence windows seen, %")
    return bool(points)


def _finish(axes: Axes, name: str, title: str, value: str = "accuracy, %") -> None:
    axes.set(xlabel=name, ylabel=value, ylim=(-3, 103))
    axes.set_title(plain(title), fontsize=9)
    axes.grid(alpha=0.3, linewidth=0.5)


def _title(panel: Sequence[Group]) -> str:
    group = panel[0]
    first = f", first {group.limit} questions" if group.limit else ""
    return f"{group.task}{first}\n{' '.join(filter(None, [group.model, Path(group.weights).name, group.common]))}"
