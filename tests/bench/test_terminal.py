"""What a comparison prints on the terminal when it ends."""

from __future__ import annotations

from support.made import made, table

from lmms_videominer.bench.comparison import groups_of
from lmms_videominer.bench.terminal import print_tables


def printed(capsys, monkeypatch, *cells, columns: str = "80") -> list[str]:
    monkeypatch.setenv("COLUMNS", columns)
    print_tables(list(groups_of(table(*cells))))
    return capsys.readouterr().out.splitlines()


def test_a_line_a_variant_with_rounded_values_at_80_columns(capsys, monkeypatch):
    ours = made("videominer", [1, 1, 1, 0], vlm_calls=7, cell_s=3.6049)
    deep = made("deep=videominer:max_depth=4,events=32,scan_frames=512", [1, 0, 0, 0], vlm_calls=207, cell_s=123.456)
    lines = printed(capsys, monkeypatch, ours, deep, made("none", [0] * 4, frames=0, evidence_recall=None, vlm_calls=0))
    assert max(map(len, lines)) <= 80 and "t, 8 frames (videominer_qwen2vl, tiny)" in lines
    (row,) = [line.split() for line in lines if line.startswith("videominer ")]
    assert row == ["videominer", "75.0", "(30.1", "to", "95.4)", "50.0", "7", "3", "3.6"]
    (row,) = [line.split() for line in lines if line.startswith("deep=")]
    assert row[1:] == ["25.0", "(4.6", "to", "69.9)", "50.0", "207", "3", "123"]
    assert "=32,scan_frames=512" in "".join("".join(lines).split())  # a long label is wrapped, not cut
    (row,) = [line.split() for line in lines if line.startswith("none ")]
    assert row == ["none", "0.0", "(0.0", "to", "49.0)", "0", "3", "2"]


def test_every_task_and_number_of_frames_has_its_table_without_columns_of_nothing(capsys, monkeypatch):
    cells = [made("aks", [1, 0], task=task, frames=n, evidence_recall=None) for task in "tu" for n in (8, 16)]
    lines = printed(capsys, monkeypatch, *cells)
    titles = [line for line in lines if "frames (" in line]
    assert [title[:5].rstrip() for title in titles] == ["t, 8", "t, 16", "u, 8", "u, 16"]
    assert not any("recall" in line for line in lines) and any("accuracy" in line for line in lines)


def test_what_did_not_go_as_planned_is_told_below_the_table(capsys, monkeypatch):
    cells = made("aks", [1, 0], fallbacks="filled"), made("bolt", [1, 1], problem="broken")
    lines = printed(capsys, monkeypatch, *cells)
    assert "aks: 2 of 2 questions with a fallback" in lines and "bolt: 2 of 2 questions not mined" in lines
