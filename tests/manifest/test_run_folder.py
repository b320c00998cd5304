"""The folder of a run: what is in it, what is refused, and that nothing is written outside or lost."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from filelock import FileLock
from pyarrow import parquet
from support.mined import mined_selection

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, SchemaError, VideoError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.run_folder import COSTS, PARQUET, RESULTS, RUN, TREES, RunFolder, run_of
from lmms_videominer.store import selection_json
from lmms_videominer.types import Usage

SELECTION = mined_selection()
ROWS = [
    QuestionRow(id, f"/films/{id}.mp4", "Which sign?", SELECTION.question.options, "C", named=f"{id}.mp4")
    for id in ("a", "b", "c")
]
RUN_NOW = run_of("videominer-world", MinerConfig())


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / RESULTS).read_text(encoding="utf-8").splitlines()]


def begun(folder: Path, rows=ROWS, run=RUN_NOW) -> RunFolder:
    opened = RunFolder(folder)
    with opened.locked():
        opened.begin(run, rows)
    return opened


def test_results_stand_in_the_order_of_the_rows_whatever_the_order_in_which_they_came(tmp_path):
    folder = begun(tmp_path)
    for row in reversed(ROWS):
        folder.add(row, SELECTION)
    assert [line["id"] for line in lines(tmp_path)] == ["c", "b", "a"]  # as they came, until all have
    folder.finish(ROWS)
    assert [line["id"] for line in lines(tmp_path)] == ["a", "b", "c"]
    assert parquet.read_table(tmp_path / PARQUET).to_pylist() == lines(tmp_path)
    assert all(selection_json.load(tmp_path / line["tree"]) == SELECTION for line in lines(tmp_path))
    assert [usage.vlm_calls for usage in folder.costs()] == [40, 40, 40]


def test_a_line_has_the_result_and_nothing_that_another_run_would_have_otherwise(tmp_path):
    folder = begun(tmp_path)
    cached = Usage(vlm_calls=3, vlm_calls_cached=40, policy_calls=10, seconds={"caption": 99.0})
    warm = dataclasses.replace(SELECTION, usage=cached, fallbacks=("filled", "cache_damaged"))
    assert folder.add(ROWS[0], SELECTION) == folder.add(ROWS[0], warm)
    [line, _] = lines(tmp_path)
    assert line["captions"] == 43 and line["decisions"] == 10 and line["fallbacks"] == ["filled"]
    assert (line["answer"], line["choice"], line["target"], line["correct"]) == ("C", "C", "C", True)
    assert line["video"] == "a.mp4" and line["frame_indices"][-1] == 24_000 and line["times_s"][-1] == 2400.0


def test_a_row_that_failed_has_its_error_and_is_tried_again(tmp_path):
    folder = begun(tmp_path)
    folder.add(ROWS[0], SELECTION)
    folder.add(ROWS[1], VideoError("/films/b.mp4", "no such file", "Check the path"))
    assert [row.id for row in folder.left(ROWS)] == ["b", "c"]
    folder.finish(ROWS)
    assert lines(tmp_path)[1]["error"] == "/films/b.mp4: no such file. Check the path"
    assert (lines(tmp_path)[1]["answer"], lines(tmp_path)[1]["tree"]) == (None, "")
    again = begun(tmp_path)
    assert [row.id for row in again.left(ROWS)] == ["b", "c"]
    again.add(ROWS[1], SELECTION)
    again.finish(ROWS)
    assert [(line["id"], line["error"]) for line in lines(tmp_path)] == [("a", ""), ("b", "")]


def test_a_key_in_an_error_is_not_written_down(tmp_path):
    folder = begun(tmp_path)
    folder.add(ROWS[0], ModelError("the service refused api_key=sk-12345678901234567890: pay first"))
    assert "sk-123" not in (tmp_path / RESULTS).read_text()


def test_a_selection_that_has_no_form_on_disk_fails_its_row_alone(tmp_path):
    folder = begun(tmp_path)
    endless = dataclasses.replace(SELECTION, usage=Usage(seconds={"caption": math.nan}))
    assert "has no JSON form" in folder.add(ROWS[0], endless).error
    assert not list(tmp_path.rglob("*.part"))


def test_a_line_that_a_killed_process_left_unfinished_is_passed_over_and_written_again(tmp_path, caplog):
    folder = begun(tmp_path)
    folder.add(ROWS[0], SELECTION)
    whole = (tmp_path / RESULTS).read_bytes()
    (tmp_path / RESULTS).write_bytes(whole + whole.replace(b'"a"', b'"b"')[:100])
    again = begun(tmp_path)
    assert "1 lines are no results" in caplog.text
    assert [row.id for row in again.left(ROWS)] == ["b", "c"]
    for row in again.left(ROWS):
        again.add(row, SELECTION)
    assert len(again.finish(ROWS)) == len(lines(tmp_path)) == 3


@pytest.mark.parametrize(
    "line", ["[]", "7", '{"id": "a"}', '{"id": 7, "video": "a.mp4"}', '"' * 3, "\ufeff{}", "[" * 100_000]
)
def test_a_line_that_is_no_result_is_passed_over(line, tmp_path):
    folder = begun(tmp_path)
    folder.add(ROWS[0], SELECTION)
    with (tmp_path / RESULTS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    assert [row.id for row in begun(tmp_path).left(ROWS)] == ["b", "c"]


@pytest.mark.parametrize(
    "id", ["../../escaped", "/tmp/escaped", "..", ".", "a/b", "a\\b", "con", "x" * 300, "a\0b", "ä", "a" * 120 + "é"]
)
def test_no_id_leaves_the_folder(id, tmp_path):
    out = tmp_path / "deep" / "out"
    row = dataclasses.replace(ROWS[0], id=id)
    folder = begun(out, [row])
    folder.add(row, SELECTION)
    folder.finish([row])
    [line] = lines(out)
    assert line["id"] == id and (out / line["tree"]).resolve().parent == out / TREES
    assert {path.name for path in out.iterdir()} == {".lock", RUN, RESULTS, PARQUET, COSTS, TREES}
    assert [path.name for path in tmp_path.iterdir()] == ["deep"] and [p.name for p in out.parent.iterdir()] == ["out"]
    assert not begun(out, [row]).left([row])


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (MinerConfig(frames=16), "frames was 8, is 16"),
        (MinerConfig(seed=1), "seed was 0, is 1"),
        (MinerConfig(policy="none"), "policy was sha256:.*, is none"),
        (MinerConfig(selector="uniform"), "selector was videominer, is uniform"),
    ],
)
def test_the_results_of_another_run_are_refused_with_what_differs_and_left_as_they_are(config, told, tmp_path):
    begun(tmp_path).add(ROWS[0], SELECTION)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=rf"results of another run: .*{told}.*Choose another --out"):
        begun(tmp_path, run=run_of("videominer-world", config))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_does_not_change_a_result_may_change(tmp_path):
    begun(tmp_path).add(ROWS[0], SELECTION)
    config = MinerConfig(cache_dir="elsewhere", vlm_batch_size=1, policy_batch_size=2)
    assert [row.id for row in begun(tmp_path, run=run_of("videominer-world", config)).left(ROWS)] == ["b", "c"]


@pytest.mark.parametrize("field", ["text", "options", "named", "start_s", "end_s"])
def test_another_question_under_the_same_id_is_refused(field, tmp_path):
    begun(tmp_path).add(ROWS[0], SELECTION)
    value = {"options": ("x", "y"), "start_s": 5.0, "end_s": 9.0}.get(field, "other")
    name = {"text": "question", "named": "video"}.get(field, field)
    with pytest.raises(ConfigError, match=rf"another question of the id 'a': its {name} differs.*another id"):
        begun(tmp_path, [dataclasses.replace(ROWS[0], **{field: value}), *ROWS[1:]])


def test_results_of_before_rows_could_have_a_part_are_of_whole_videos(tmp_path):
    begun(tmp_path).add(ROWS[0], SELECTION)
    [line] = lines(tmp_path)
    assert (line.pop("start_s"), line.pop("end_s")) == (0.0, None)
    (tmp_path / RESULTS).write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert [row.id for row in begun(tmp_path).left(ROWS)] == ["b", "c"]


def test_rows_may_be_added_but_none_may_go(tmp_path):
    folder = begun(tmp_path, ROWS[:2])
    for row in ROWS[:2]:
        folder.add(row, SELECTION)
    folder.finish(ROWS[:2])
    assert [row.id for row in begun(tmp_path).left(ROWS)] == ["c"]
    with pytest.raises(ConfigError, match="none of those given has the id 'a'"):
        begun(tmp_path, ROWS[1:])
    assert len(lines(tmp_path)) == 2


def test_a_right_answer_that_is_corrected_later_counts_without_mining_again(tmp_path):
    folder = begun(tmp_path)
    for row in ROWS:
        folder.add(row, SELECTION)
    corrected = [dataclasses.replace(ROWS[0], answer="A"), *ROWS[1:]]
    again = begun(tmp_path, corrected)
    assert not again.left(corrected)
    again.finish(corrected)
    assert [line["correct"] for line in lines(tmp_path)] == [False, True, True]


def test_files_of_another_program_are_not_written_over(tmp_path):
    (tmp_path / RESULTS).write_text("mine\n")
    with pytest.raises(ConfigError, match=r"it holds results\.jsonl, but no run\.json.*another --out"):
        begun(tmp_path)
    assert (tmp_path / RESULTS).read_text() == "mine\n" and not (tmp_path / RUN).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', "[" * 100_000])
def test_a_run_file_that_cannot_be_read_says_so(text, tmp_path):
    (tmp_path / RUN).write_text(text)
    with pytest.raises(SchemaError, match=r"run\.json: .*Choose another --out"):
        RunFolder(tmp_path)


def test_a_second_process_is_turned_away(tmp_path):
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(ConfigError, match="another process is at work in this folder"),
    ):
        begun(tmp_path)
    begun(tmp_path)


def test_a_lock_that_is_a_link_empties_no_file(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "precious")
    begun(tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file.*cannot be written.*another --out"):
        begun(tmp_path / "file" / "out")


def test_unfinished_files_of_a_killed_process_are_removed_and_no_others(tmp_path):
    begun(tmp_path).add(ROWS[0], SELECTION)
    left, others = tmp_path / TREES / ".b.json.x1.part", [tmp_path / "notes.part", tmp_path / TREES / "b.part"]
    for path in (left, *others):
        path.touch()
    begun(tmp_path)
    assert not left.exists() and all(path.exists() for path in others)


def test_files_that_would_not_change_are_not_touched(tmp_path):
    folder = begun(tmp_path)
    for row in ROWS:
        folder.add(row, SELECTION)
    folder.finish(ROWS)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / RESULTS, tmp_path / PARQUET, tmp_path / RUN)}
    begun(tmp_path).finish(ROWS)
    assert {path: path.stat().st_mtime_ns for path in before} == before
