"""Reports and plots of rows made here."""

from __future__ import annotations

from support.made import made, table

from lmms_videominer.bench.comparison import groups_of
from lmms_videominer.bench.plots import _by_length, _pooled, _styles, new_figure
from lmms_videominer.bench.report import write_report


def test_tables_of_two_numbers_of_frames_and_both_caches(tmp_path):
    cells = [
        made("aks", [1, 0, 1]),
        made("aks", [1, 1, 1], frames=16),
        made("aks", [1, 0, 1], cache="cold", cell_s=9.0),
        made("aks", [1, 0, 1], cache="warm", cell_s=1.0),
        made("none", [0, 0, 0], frames=0, evidence_recall=None, vlm_calls=0),
    ]
    report = write_report(tmp_path, table(*cells))
    text = (tmp_path / "report.md").read_text()
    costs = "50.0 |  | 4.0 | 2.0 | 3.0 | 0.0 | 3.0 | 9.00 | 1.00 | 2.00 | 0 | 0 | 0 |"
    assert f"| aks | 3 | 66.7 (20.8 to 93.9) |  | {costs}" in text
    assert "| aks | 3 | 100.0 (43.9 to 100.0) |" in text and text.count("| none | 3 | 0.0 (") == 2
    assert "| aks | none | +66.7 (+0.0 to +100.0) |  |" in text
    assert "| aks | none | +100.0 (+100.0 to +100.0) | 0 is outside |" in text
    assert "## t, 8 frames minus 16 (videominer_qwen2vl, tiny)\n" in text and "| aks | -33.3 (-100.0 to +0.0) |" in text
    assert [line for line in report.refused if "no sheet of t" in line]  # the cells of this table are nowhere


def test_damaged_frames_are_added_up_over_the_questions(tmp_path):
    write_report(tmp_path, table(made("aks", [1, 0], frames_substituted=3), made("bolt", [1, 0])))
    head, _, *rows = (line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("|"))
    assert [line.split(" | ")[-1] for line in (head, *rows[:2])] == ["damaged frames |", "6 |", "0 |"]


def test_several_tasks_stand_side_by_side_that_of_the_shortest_videos_first(tmp_path):
    cells = [
        made("aks", [1, 0], task="long", minutes=60.0),
        made("aks", [1, 1], task="short", minutes=1.0),
        made("bolt", [0, 0], task="short", minutes=1.0),
    ]
    write_report(tmp_path, table(*cells))
    text = (tmp_path / "report.md").read_text()
    assert "## All tasks, 8 frames (videominer_qwen2vl, tiny)" in text
    assert "| variant | short | long |" in text
    assert "| aks | 100.0 (34.2 to 100.0) | 50.0 (9.5 to 90.5) |\n| bolt | 0.0 (0.0 to 65.8) |  |" in text
    assert text.index("## short, ") < text.index("## long, ")


def test_the_plot_over_length_shows_every_task_whatever_its_cache(tmp_path):
    cells = table(made("aks", [1, 0], task="a", minutes=1.0, cache="cold"), made("aks", [1, 1], task="b", minutes=60.0))
    (pooled,) = _pooled(list(groups_of(cells)))
    _, [axes] = new_figure(1)
    assert _by_length(axes, pooled, _styles([pooled]))
    assert list(axes.containers[0].lines[0].get_xdata()) == [1.0, 60.0]
