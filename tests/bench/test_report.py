"""A comparison from its command line to its report, on real runs of lmms-eval."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor
from support.cells import EVIDENCE_S, InProcess, comparison

from lmms_videominer.bench.command import rebuild_report, run_comparison
from lmms_videominer.bench.comparison import groups_of
from lmms_videominer.bench.report import read_all, write_report
from lmms_videominer.bench.sheets import ACROSS, GAP, LABELS, MARGIN, WIDTH, choices_in
from lmms_videominer.cli import main
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.timeline import EVIDENCE
from lmms_videominer.store.selection_json import load

VARIANTS = ["none", "uniform", "mine=videominer", "sim=videominer:policy=none,policy_tokens=5", "oracle"]
VARIANT_LABELS = ["none", "uniform", "mine", "sim", "oracle"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, vlm, tasks) -> Path:
    """The folder of a comparison that has run."""
    out = tmp_path_factory.mktemp("bench") / "out"
    execute = InProcess()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOMINER_CACHE", str(out.parent / "cache"))
        assert run_comparison(comparison(vlm, tasks, out, "--selectors", *VARIANTS), False, False, execute) == 0
    assert execute.ran == ["none", "uniform", "videominer", "videominer", "oracle"]
    return out


@pytest.fixture
def out(finished, tmp_path) -> Path:
    """A copy of it to work on."""
    return shutil.copytree(finished, tmp_path / "out")


pytestmark = pytest.mark.evaluates


def test_the_table_has_a_row_a_cell_and_sample_in_both_forms(finished):
    rows = pd.read_csv(finished / "results.csv")
    assert len(rows) == 5 * 3 and list(rows["variant"].unique()) == VARIANT_LABELS
    again = pd.read_parquet(finished / "results.parquet")
    assert list(again.columns) == list(rows.columns)
    assert (again["times_s"].fillna("") == rows["times_s"].fillna("")).all()
    assert rows["minutes"].tolist() == [1.0] * 15 and set(rows["kind"]) == {"video"}

    mine = rows[rows["variant"] == "mine"]
    assert (mine["vlm_calls"] == 4).all() and (mine["llm_calls"] == 4).all() and (mine["nodes"] == 4).all()
    sim = rows[rows["variant"] == "sim"]
    assert (sim["llm_calls"] == 0).all() and (sim["decisions"] == 4).all() and (sim["vlm_calls_made"] == 0).all()
    oracle = rows[rows["variant"] == "oracle"]
    assert (oracle["evidence_recall"] == 1.0).all() and (oracle["evidence_precision"] == 1.0).all()
    assert (rows[rows["variant"] == "none"]["evidence_recall"] == 0.0).all()


def test_a_row_names_the_stored_selection(finished):
    rows = pd.read_csv(finished / "results.csv")
    assert set(rows["how"]) == {"mined", "uniform"}
    for row in rows.fillna({"frame_indices": ""}).itertuples():  # none for text only
        selection = load(finished / row.tree)
        assert [frame.frame_index for frame in selection.key_frames] == [*map(int, row.frame_indices.split())]
        assert (selection.selector, selection.usage.answer_calls) == (row.selector, 1)
        assert selection.answer is not None


def test_recall_is_that_of_the_frames_which_every_selector_took(finished):
    rows = pd.read_csv(finished / "results.csv")
    for row in rows[rows["selector"] != "none"].itertuples():
        times_s = [float(text) for text in row.times_s.split()]
        hit = [any(start <= t < end for t in times_s) for start, end in EVIDENCE_S]
        assert row.evidence_recall == sum(hit) / 2 and len(times_s) == 4


def test_the_report_shows_every_variant_every_difference_and_the_pictures(finished):
    text = (finished / "report.md").read_text()
    assert "## tiny_video, 4 frames" in text and text.count("\n| oracle | 3 | ") == 1
    assert sum(line.count("|") == 7 and "points" not in line for line in text.splitlines()) == 10 + 2  # of 5 variants
    for name in ("plots/accuracy_vs_vlm_calls.png", "plots/accuracy_vs_length.png", "plots/recall.png"):
        assert f"({name})" in text and Image.open(finished / name).width > 500
        assert f"({name.replace('.png', '.svg')})" in text and (finished / name).with_suffix(".svg").is_file()


def test_the_sheet_has_a_row_a_variant_and_marks_the_frames_in_the_evidence(finished, out):
    (path,) = (finished / "sheets").glob("*.jpg")
    assert path.stem.startswith("tiny_video-")
    marked = purple(path)
    rows = pd.read_csv(finished / "results.csv")
    shown = rows[rows["doc_id"] == int(path.stem.split("-")[1])]
    inside = {row.variant: round(row.evidence_precision * 4) for row in shown.itertuples() if row.variant != "none"}
    assert inside["oracle"] == 4 and sum(inside.values()) == frames_marked(marked)

    assert rebuild_report(out, sheet=2) == 0
    assert (out / "sheets" / "tiny_video-2.jpg").is_file()


def purple(path: Path) -> np.ndarray:
    """bool [H, W]: where the sheet has the colour of evidence, as far as JPEG keeps it."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return (abs(pixels - np.array(ImageColor.getrgb(EVIDENCE))) < 40).all(-1)


def frames_marked(marked: np.ndarray) -> int:
    """How many frames stand in a purple frame: below the left edge of each place, upright runs of over 100 pixels."""
    cell = (WIDTH - 2 * MARGIN - LABELS - (ACROSS - 1) * GAP) / ACROSS
    lefts = [round(MARGIN + LABELS + column * (cell + GAP)) - 1 for column in range(ACROSS)]
    runs = [np.diff(np.flatnonzero(np.diff(marked[:, x].astype(int), prepend=0, append=0)))[::2] for x in lefts]
    return sum(int((lengths > 100).sum()) for lengths in runs)


def test_a_second_run_runs_nothing_and_writes_the_same(out, vlm, tasks, capsys):
    before = {name: (out / name).read_bytes() for name in ("results.csv", "report.md", "plots/recall.png")}
    execute = InProcess()
    assert run_comparison(comparison(vlm, tasks, out, "--selectors", *VARIANTS), False, False, execute) == 0
    assert execute.ran == [] and "0 of 5 cells are to run." in capsys.readouterr().out
    assert before == {name: (out / name).read_bytes() for name in before}


def test_a_report_alone_needs_nothing_but_the_folder(out, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "nothing"))
    moved = Path(os.rename(out, tmp_path / "moved") or tmp_path / "moved")
    for name in ("results.csv", "report.md"):
        (moved / name).unlink()
    assert main(["bench", "--out", str(moved), "--report-only"]) == 0
    told = capsys.readouterr().out
    assert told.index("wrote ") < told.index("tiny_video, 4 frames (") < told.index("\nmine ") < told.index("\noracle ")
    assert "| mine | 3 |" in (moved / "report.md").read_text()
    assert list(pd.read_csv(moved / "results.csv")["variant"].unique()) == VARIANT_LABELS


def test_cells_that_did_not_answer_the_same_questions_are_named_and_the_exit_code_tells(out, capsys):
    (samples,) = (out / "cells").glob("*oracle*/run/*/*_samples_*.jsonl")
    lines = samples.read_text().splitlines(keepends=True)
    samples.write_text("".join(lines[:2]))
    assert rebuild_report(out) == 1
    told = capsys.readouterr().err
    assert "did not answer the same questions: they differ in documents 2" in told
    text = (out / "report.md").read_text()
    assert (
        "## Not compared, not drawn, or not answered" in text and "| oracle | 2 |" in text and "Differences" not in text
    )


def test_questions_that_the_backbone_failed_on_are_told_and_the_exit_code_tells(out, capsys):
    (samples,) = (out / "cells").glob("*uniform*/run/*/*_samples_*.jsonl")
    first, *others = (json.loads(line) for line in samples.read_text().splitlines())
    first["token_counts"] = [{"videominer": {"how": "fallback", "problem": "CUDA out of memory", "empty": True}}]
    samples.write_text("".join(json.dumps(sample) + "\n" for sample in [first, *others]))
    assert rebuild_report(out) == 1
    told = "the backbone failed on 1 of the 3 questions of uniform (CUDA out of memory); they count as wrong"
    assert told in " ".join(capsys.readouterr().err.split()) and told in (out / "report.md").read_text()
    rows = pd.read_csv(out / "results.csv")
    assert rows.loc[rows["how"] == "failed", "variant"].tolist() == ["uniform"]


def test_frames_that_a_backbone_does_not_tell_are_not_called_none(out):
    rows = read_all(out)[0]
    rows.loc[rows["variant"] == "uniform", ["times_s", "frame_indices"]] = ""
    (group,) = groups_of(rows)
    known = {taken.label: taken.known for taken in choices_in(group, 0)}
    assert known == {label: label != "uniform" for label in VARIANT_LABELS}


def test_a_task_that_has_changed_since_is_not_mixed_in(out, capsys):
    (path,) = (out / "tasks").glob("tiny_video-*.json")
    rows = json.loads(path.read_text())
    rows[0]["target"] = "Z"
    path.write_text(json.dumps(rows))
    with pytest.raises(ConfigError, match="no finished cell"):
        rebuild_report(out)
    assert "sample 0 is not the document" in capsys.readouterr().err


def test_a_failed_cell_is_told_and_the_rest_is_reported(out, vlm, tasks, tmp_path, capsys):
    (tmp_path / "hollow").mkdir()
    more = f"broken=videominer:policy={tmp_path / 'hollow'}"
    assert run_comparison(comparison(vlm, tasks, out, "--selectors", "oracle", more), False, False, InProcess()) == 1
    captured = capsys.readouterr()
    assert "tiny_video, broken, 4 frames, shared cache failed:" in captured.err and "log.txt" in captured.err
    assert f"wrote {out / 'report.md'}" in captured.out


def test_the_figure_of_trainings_shows_what_the_policies_reached(vlm, tasks, tmp_path):
    from support.tiny_models import tiny_qwen2_lm

    folders = [tiny_qwen2_lm(tmp_path / name, seed=seed) for seed, name in enumerate(("cold", "trained"))]
    policies = [f"{label}={folder}" for label, folder in zip(("none", "t-grpo"), folders)]
    asked = comparison(vlm, tasks, tmp_path / "out", "--figure", "training", "--policy", *policies, "--limit", "1")
    assert run_comparison(asked, False, False, InProcess()) == 0
    out = tmp_path / "out"
    assert Image.open(out / "plots" / "figure_training-tiny_video.png").width > 1500
    kept = json.loads((out / "figures.json").read_text())["training"]
    assert [cell["label"] for cell in kept] == ["none", "t-grpo"]
    rows = read_all(out)[0]
    assert set(rows["cell"]) == {cell["key"] for cell in kept} and set(rows["cache"]) == {"cold"}


def test_a_file_that_cannot_be_read_takes_its_own_cell_out_of_the_report_alone(out, capsys):
    (path,) = (out / "cells").glob("*oracle*/cell.json")
    for text in ("", "[]"):
        path.write_text(text)
        assert rebuild_report(out) == 1
        assert f"{path}: " in capsys.readouterr().err
        report = (out / "report.md").read_text()
        assert "| mine | 3 |" in report and "| oracle | 3 |" not in report


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cell.json", {"key": ["x"]}),
        ("cell.json", {"arguments": {"pretrained": 5}}),
        ("cell.json", {"frames": 10**30}),
        ("cell.json", {"label": "\ud800"}),
        ("cell.json", {"config": {}}),
        ("done.json", []),
        ("done.json", {"wall_s": "long"}),
        ("done.json", {"samples": "../\0"}),
        ("done.json", {"results": "."}),
    ],
)
def test_a_foreign_value_takes_its_own_cell_out_of_the_report_alone(name, change, out, capsys):
    (path,) = (out / "cells").glob(f"*oracle*/{name}")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change} if isinstance(change, dict) else change))
    assert rebuild_report(out) == 1
    assert f"{path.parent}" in capsys.readouterr().err
    report = (out / "report.md").read_text()
    assert "| mine | 3 |" in report and "| oracle | 3 |" not in report


def test_a_metric_of_which_less_is_better_is_no_score(out):
    for path in (out / "cells").glob("*/run/*/*_results.json"):
        results = json.loads(path.read_text())
        config = results["configs"]["tiny_video"]["metric_list"]
        assert config[0]["higher_is_better"] is True
        config[0]["higher_is_better"] = False
        path.write_text(json.dumps(results))
    table, refused = read_all(out)
    assert table is None and all("give no score" in line for line in refused)


def test_a_label_that_other_settings_take_over_leaves_the_older_cell_in_the_report(out, vlm, tasks):
    asked = comparison(vlm, tasks, out, "--selectors", "mine=uniform", "oracle")
    assert run_comparison(asked, False, False, InProcess()) == 0  # both are finished, "mine" under another name
    rows = read_all(out)[0]
    before = rows[rows["selector"] == "videominer"].groupby("variant")["cell"].first()
    assert set(before.index) == {"sim", f"mine {before.drop('sim').iloc[0][:6]}"}
    assert set(rows.loc[rows["selector"] == "uniform", "variant"]) == {"mine"}
    assert "Differences in points" in (out / "report.md").read_text()


def test_the_sheet_is_of_the_most_questions_that_were_asked(out, vlm, tasks):
    pilot = comparison(vlm, tasks, out, "--selectors", "none", "oracle", "--limit", "1")
    assert run_comparison(pilot, False, False, InProcess()) == 0
    assert rebuild_report(out, sheet=2) == 0
    assert [path.name for path in (out / "sheets").glob("*-2*.jpg")] == ["tiny_video-2.jpg"]


def test_the_order_of_the_report_is_that_of_the_command_line(out):
    rows = read_all(out)[0]
    write_report(out, rows, order=["oracle", "sim"])
    assert list(pd.read_csv(out / "results.csv")["variant"].unique()) == ["oracle", "sim", "mine", "none", "uniform"]
