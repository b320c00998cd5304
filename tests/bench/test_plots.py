"""What a reader sees in the plots of a comparison: in the SVG files as text and marks, in the PNG files as pixels."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image
from support.made import made, table

from lmms_videominer.bench.axes import log_ticks, place_labels
from lmms_videominer.bench.comparison import groups_of
from lmms_videominer.bench.plots import _by_cost, _styles, draw_plots, new_figure, rounded, seconds_of

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
WITHOUT_CALLS = ("none", "uniform", "topk", "aks")


def found():
    """One task: the method itself at 7 captions and 3.6 s, one rival with captions, four without."""
    free = [made(name, [1, 0, 0, 0], vlm_calls=0, cell_s=0.3) for name in WITHOUT_CALLS]
    cells = [
        made("videominer", [1, 1, 1, 0], vlm_calls=7, cell_s=3.6),
        *free,
        made("llovi", [1, 1, 0, 0], vlm_calls=200, cell_s=31.0),
    ]
    return list(groups_of(table(*cells)))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plots")
    assert {path.suffix for path in draw_plots(found(), folder)} == {".png", ".svg"}
    return folder


@pytest.fixture(scope="module")
def colours() -> dict[str, str]:
    return {label: to_hex(style["color"]) for label, style in _styles(found()).items()}


def texts(path: Path) -> dict[str, ElementTree.Element]:
    """The texts of an SVG file."""
    return {element.text or "": element for element in ElementTree.parse(path).iter(f"{SVG}text")}


def marks(path: Path, colour: str) -> list[tuple[float, float]]:
    """The places of the marks of one colour, those of the legend last; the caps of bars are of its darker edge."""
    uses = ElementTree.parse(path).iter(f"{SVG}use")
    return [(float(use.get("x")), float(use.get("y"))) for use in uses if f"fill: {colour}" in use.get("style", "")]


def test_every_plot_is_there_as_a_picture_and_as_vectors_whose_text_is_text(drawn):
    names = {"accuracy_vs_vlm_calls", "accuracy_vs_seconds", "accuracy_vs_length", "recall"}
    assert {path.name for path in drawn.iterdir()} == {f"{name}{end}" for name in names for end in (".png", ".svg")}
    for name in names:
        assert {"videominer", "llovi"} <= texts(drawn / f"{name}.svg").keys()


def test_the_same_results_give_the_same_files(drawn, tmp_path):
    draw_plots(found(), tmp_path)
    for path in drawn.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_a_logarithmic_axis_says_so_and_has_ticks_to_read_seconds_by(drawn):
    told = texts(drawn / "accuracy_vs_seconds.svg")
    assert "seconds per question (log scale)" in told
    assert {"0.2", "0.5", "1", "2", "3", "5", "10", "20", "30"} <= told.keys()
    assert "length of the video in minutes, 8 frames (log scale)" in texts(drawn / "accuracy_vs_length.svg")


def test_the_axis_of_calls_marks_0_and_says_where_it_is_logarithmic(drawn):
    told = texts(drawn / "accuracy_vs_vlm_calls.svg")
    assert "captions by the video LLM per question (log scale from 1 on)" in told
    assert {"0", "1", "10", "100"} <= told.keys()


def test_the_method_itself_is_labelled_where_it_stands_with_its_rounded_values(drawn):
    for name, values in (("seconds", "75 %, 3.6 s"), ("vlm_calls", "75 %, 7 captions")):
        told = texts(drawn / f"accuracy_vs_{name}.svg")
        assert values in told and "50 %, 31 s" not in told and "50 %, 200 captions" not in told


def test_the_method_itself_is_larger_than_the_others_and_on_top(drawn, colours):
    pixels = np.asarray(Image.open(drawn / "recall.png").convert("RGB")).astype(int)
    areas = {}
    for label, colour in colours.items():
        areas[label] = int((abs(pixels - 255 * np.array(to_rgb(colour))).sum(-1) < 30).sum())
    others = [area for label, area in areas.items() if label not in ("videominer", "none")]  # none sees no evidence
    assert areas["videominer"] > 2 * max(others) and min(others) > 50
    order = [use.get("style", "") for use in ElementTree.parse(drawn / "accuracy_vs_seconds.svg").iter(f"{SVG}use")]
    first = {label: next(i for i, style in enumerate(order) if f"fill: {colours[label]}" in style) for label in colours}
    assert max(first, key=first.__getitem__) == "videominer"


def test_points_at_0_calls_stand_side_by_side(drawn, colours):
    path = drawn / "accuracy_vs_vlm_calls.svg"
    places = {marks(path, colours[label])[0] for label in WITHOUT_CALLS}
    heights, across = {y for _, y in places}, sorted(x for x, _ in places)
    assert len(heights) == 1 and min(np.diff(across)) > 5  # points of 1/72 inch; a mark is 5 wide
    assert marks(path, colours["videominer"])[0][0] > across[-1] + 50


def test_a_label_covers_no_other_where_points_are_close_to_each_other():
    cells = [
        made(name, [1] * 9 + [0], frames=frames, selector="videominer", cell_s=3.6 + 0.1 * place + frames / 100)
        for place, name in enumerate(("one", "two", "three"))
        for frames in (8, 16)
    ]
    groups = list(groups_of(table(*cells)))
    figure, [axes] = new_figure(1)
    assert _by_cost(axes, groups, seconds_of, "seconds", "s", _styles(groups))
    figure.draw_without_rendering()
    place_labels(axes, figure.canvas.get_renderer())
    figure.draw_without_rendering()
    names = [label.get_text().splitlines()[0] for label in axes.texts]
    assert names == ["one, 16 frames", "two, 16 frames", "three, 16 frames"]
    boxes = [label.get_bbox_patch().get_window_extent() for label in axes.texts]
    for place, box in enumerate(boxes):
        assert axes.bbox.contains(box.x0, box.y0) and axes.bbox.contains(box.x1, box.y1)
        assert box.count_overlaps(boxes[:place] + boxes[place + 1 :]) == 0


@pytest.mark.parametrize(("low", "high"), [(3, 5), (0.5, 10), (0.03, 20), (0.2, 700), (1, 1e5), (1e-3, 1e6)])
def test_a_logarithmic_axis_has_few_ticks_and_none_far_from_the_next(low, high):
    labelled, small = log_ticks(low, high)
    places = sorted([low, *labelled, high])
    decades = math.log10(high / low)
    assert 2 <= len(labelled) <= 14 and not set(labelled) & set(small)
    assert max(math.log10(b / a) for a, b in itertools.pairwise(places)) <= max(0.35, decades / 5)
    ticks = sorted([*labelled, *small])
    assert any(math.isclose(tick, 3.6) for tick in ticks) == (decades < 0.6)  # 3.6 s between 3 and 5 s has its tick


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (0.456, "0.46"), (3.6, "3.6"), (9.96, "10"), (10.84, "10.8"), (361.2, "361")]
)
def test_values_are_rounded_to_be_read(value, told):
    assert rounded(value) == told
