"""The ablations that the paper shows as figures (arXiv 2510.06040): the variants of each figure, and its plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.bench.comparison import mean, preferred
from lmms_videominer.bench.plots import error_bars, new_figure, plain, save_figure
from lmms_videominer.bench.statistics import Interval, accuracy_interval
from lmms_videominer.bench.variants import Variant, check_labels
from lmms_videominer.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

CLUSTERINGS = ("none", "frame", "event")
TITLES = {
    "clustering": "what is clustered (figure 3a)",
    "training": "how the policy was trained (figure 3b)",
    "auxin": "tree growth auxin (figure 5b)",
}


@dataclass(frozen=True)
class FigureCell:
    """A bar or a point: its label in the figure, and the key of its cell."""

    label: str
    task: str
    key: str


@dataclass(frozen=True)
class Bar:
    """The results of one variant of a figure.

    Attributes:
        label: Its label in the figure.
        questions: Number of questions.
        accuracy: Accuracy with its interval.
        nodes, seconds: Means per question; ``None`` if unknown.
    """

    label: str
    questions: int
    accuracy: Interval
    nodes: float | None
    seconds: float | None


def figure_variants(name: str, policies: Sequence[str]) -> tuple[Variant, ...]:
    """The variants of a figure.

    Args:
        name: ``"clustering"``, ``"training"`` or ``"auxin"``.
        policies: ``LABEL=FOLDER`` each; for ``"auxin"`` the labels are the values of lambda_auxin.

    Raises:
        ConfigError: There are too few policies, a label is missing, or a label for ``"auxin"`` is not a number.
    """
    if name == "clustering":
        return tuple(Variant(f"clustering {kind}", "videominer", (("clustering", kind),)) for kind in CLUSTERINGS)
    pairs = [_parse_policy(text, name) for text in policies]
    if len(pairs) < 2:
        example = "none=cold rf=policy-rf t-grpo=policy" if name == "training" else "0.75=slow 1=policy 1.5=fast"
        raise ConfigError(f"--figure {name} compares policies: pass two or more, as in --policy {example}")
    if name == "auxin":
        pairs.sort(key=lambda pair: float(pair[0]))
    return check_labels([Variant(f"{name} {label}", "videominer", (("policy", folder),)) for label, folder in pairs])


def _parse_policy(text: str, name: str) -> tuple[str, str]:
    label, equals, folder = text.partition("=")
    if not (equals and label and folder):
        raise ConfigError(f"--policy {text!r}: --figure {name} needs LABEL=FOLDER")
    if name == "auxin":
        try:
            float(label)
        except ValueError as error:
            raise ConfigError(
                f"--policy {text!r}: for --figure auxin the label must be the value of lambda_auxin"
            ) from error
    return label, folder


def bars(cells: Sequence[FigureCell], table: pd.DataFrame) -> list[Bar]:
    """The results of the cells of one task, in order, except unfinished ones."""
    results = []
    for cell in cells:
        rows = preferred(table[(table["cell"] == cell.key) & (table["task"] == cell.task)])
        if len(rows):
            accuracy = accuracy_interval(rows["correct"].to_numpy(float))
            results.append(Bar(cell.label, len(rows), accuracy, mean(rows["nodes"]), mean(rows["cell_s"])))
    return results


def draw_figure(name: str, task: str, results: Sequence[Bar], path: Path) -> list[Path]:
    """Draw accuracy, nodes and seconds per question as bars, or for ``"auxin"`` as a line over lambda.

    Returns the paths of the PNG and of the SVG file.
    """
    figure, axes = new_figure(3)
    columns: list[tuple[str, list[float]]] = [
        ("accuracy, %", [100 * bar.accuracy.value for bar in results]),
        ("nodes per question", [float("nan") if bar.nodes is None else bar.nodes for bar in results]),
        ("seconds per question", [float("nan") if bar.seconds is None else bar.seconds for bar in results]),
    ]
    errors = error_bars([bar.accuracy for bar in results])
    for ax, (ylabel, values) in zip(axes, columns):
        yerr = errors if ax is axes[0] else None
        if name == "auxin":
            ax.errorbar([float(bar.label) for bar in results], values, yerr=yerr, marker="o", capsize=3)
            ax.set_xlabel("lambda_auxin")
        else:
            container = ax.bar([plain(bar.label) for bar in results], values, yerr=yerr, capsize=3, width=0.6)
            ax.bar_label(container, fmt="%.1f", label_type="center", color="white")
        ax.set(ylabel=ylabel, ylim=(0, 100) if ax is axes[0] else (0, None))
        ax.grid(axis="y", alpha=0.3, linewidth=0.5)
    figure.suptitle(plain(f"{TITLES[name]}: {task}, {results[0].questions} questions"), fontsize=10)
    return save_figure(figure, path)
