"""Cells: each once, again where it was interrupted, and the others go on where one fails."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.evaluation import row, write_task

from lmms_videominer.bench.documents import read_table, table_path
from lmms_videominer.bench.evaluating import execute, no_answer_in, reason_in, seconds_of_requests
from lmms_videominer.bench.files import read_lines
from lmms_videominer.bench.plan import Settings, plan_cells
from lmms_videominer.bench.running import (
    ask_tasks,
    folder_of,
    is_finished,
    must_be_filled_again,
    rename_older,
    run_cells,
)
from lmms_videominer.bench.variants import parse_variants
from lmms_videominer.errors import ConfigError, SchemaError


@pytest.fixture
def cells(settings):
    def planned(*specs: str, **changed):
        return plan_cells(dataclasses.replace(settings, **changed), ["tiny_video"], parse_variants(specs), [4])

    return planned


@pytest.mark.evaluates
def test_a_cell_runs_once_whatever_it_is_called_and_again_where_it_was_cut_off(cells, tmp_path, in_process):
    [first] = run_cells(cells("oracle"), tmp_path, execute=in_process)
    assert (first.status, in_process.ran) == ("run", ["oracle"])
    folder = folder_of(tmp_path, first.cell)
    assert json.loads((folder / "cell.json").read_text())["label"] == "oracle"

    [again] = run_cells(cells("best=oracle"), tmp_path, execute=in_process)
    assert (again.status, in_process.ran) == ("kept", ["oracle"])
    assert json.loads((folder / "cell.json").read_text())["label"] == "best"
    assert folder_of(tmp_path, again.cell) == folder

    (folder / "done.json").unlink()  # as an interrupted run leaves it: some files, and no word that it is done
    left = folder / "run" / "left"
    left.write_text("of the first run")
    [anew] = run_cells(cells("oracle"), tmp_path, execute=in_process)
    assert (anew.status, in_process.ran, left.exists()) == ("run", ["oracle", "oracle"], False)


@pytest.mark.evaluates
def test_a_cell_that_fails_is_told_with_its_log_and_the_others_go_on(cells, tmp_path, in_process):
    (tmp_path / "hollow").mkdir()
    planned = cells(f"videominer:policy={tmp_path / 'hollow'}", "oracle")
    outcomes = list(run_cells(planned, tmp_path, execute=in_process))
    assert [outcome.status for outcome in outcomes] == ["failed", "run"]
    assert "hollow" in outcomes[0].reason and outcomes[0].reason in outcomes[0].log.read_text()
    assert not is_finished(tmp_path, outcomes[0].cell) and is_finished(tmp_path, outcomes[1].cell)


@pytest.mark.evaluates
def test_a_cold_cell_starts_from_nothing_and_leaves_no_cache(cells, tmp_path, in_process):
    for _ in range(2):
        [outcome] = run_cells(cells("videominer", caches=("cold",)), tmp_path, execute=in_process)
        folder = folder_of(tmp_path, outcome.cell)
        (tree,) = (folder / "run").glob("videominer/*/tiny_video/0.json")
        usage = json.loads(tree.read_text())["usage"]
        assert (usage["vlm_calls"], usage["vlm_calls_cached"]) == (4, 0)
        assert not (folder / "cache").exists()
        (folder / "done.json").unlink()


@pytest.mark.evaluates
@pytest.mark.parametrize("at_once", [True, False])
def test_a_warm_cell_finds_what_its_cold_run_left(cells, tmp_path, in_process, at_once):
    cold, warm = cells("videominer", caches=("cold", "warm"))
    for batch in [(cold, warm)] if at_once else [(cold,), (warm,)]:
        assert {outcome.status for outcome in run_cells(batch, tmp_path, execute=in_process)} == {"run"}
    assert len(in_process.ran) == (2 if at_once else 3)  # what is gone by then is made again
    calls = []
    for cell in (cold, warm):
        (tree,) = (folder_of(tmp_path, cell) / "run").glob("videominer/*/tiny_video/0.json")
        usage = json.loads(tree.read_text())["usage"]
        calls.append([usage[name] for name in ("vlm_calls", "vlm_calls_cached", "policy_calls", "policy_calls_cached")])
    assert calls[0][:2] == [4, 0] and sum(calls[0][2:]) == 4  # what is asked about events that look alike is one
    assert calls[1] == [0, 4, 0, 4]
    assert not [path for path in tmp_path.rglob("cache") if path.is_dir()]


@pytest.mark.evaluates
def test_a_cache_that_is_not_whole_is_never_taken_for_warm(cells, tmp_path, in_process):
    cold, warm = cells("videominer", caches=("cold", "warm"))
    [_] = run_cells([cold], tmp_path, execute=in_process)

    def cut_off(command, log):
        cache = next(word for word in command if "cache_dir=" in word).rpartition("cache_dir=")[2].partition(",")[0]
        Path(cache).mkdir(parents=True)
        (Path(cache) / "some").write_text("of the captions")
        return 1

    [outcome] = run_cells([warm], tmp_path, execute=cut_off)
    assert outcome.status == "failed" and must_be_filled_again(tmp_path, warm)
    [outcome] = run_cells([warm], tmp_path, execute=in_process)
    assert (outcome.status, len(in_process.ran)) == ("run", 3)  # cold, cold anew, warm


@pytest.mark.evaluates
def test_a_warm_run_that_fails_leaves_the_cache_to_the_next_try(cells, tmp_path, in_process):
    planned = cells("videominer", caches=("cold", "warm"))
    outcomes = list(
        run_cells(planned, tmp_path, execute=lambda command, log: 1 if in_process.ran else in_process(command, log))
    )
    assert [outcome.status for outcome in outcomes] == ["run", "failed"]
    assert [outcome.status for outcome in run_cells(planned, tmp_path, execute=in_process)] == ["kept", "run"]
    assert len(in_process.ran) == 2  # cold, warm


def finish(out, cell, text: str | None = None) -> Path:
    """A finished cell as it lies in a folder, without what it gave."""
    told = {
        "label": cell.variant.label,
        "selector": cell.variant.selector,
        "common": cell.settings.common_text,
        "frames": cell.frames,
        "batch_size": 1,
        "version": "0",
        "key": cell.key,
        **cell.identity,
    }
    folder = folder_of(out, cell)
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(json.dumps(told) if text is None else text)
    (folder / "done.json").write_text("{}")
    return folder


def test_a_label_is_taken_over_whatever_the_cache_and_not_by_the_same_settings(cells, tmp_path):
    [older], [same], [newer] = (
        cells(spec, caches=(cache,)) for spec, cache in (("x=aks", "cold"), ("x=aks", "shared"), ("x=bolt", "shared"))
    )
    folder = finish(tmp_path, older)
    rename_older(tmp_path, [same])
    assert json.loads((folder / "cell.json").read_text())["label"] == "x"
    rename_older(tmp_path, [newer])
    assert json.loads((folder / "cell.json").read_text())["label"] == f"x {older.key[:6]}"


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"label": "x"}', "[" * 100_000, f'{{"label": {"9" * 6000}}}', "NaN", '"\\ud800"', "\x00"]
)
def test_a_finished_cell_whose_file_is_damaged_fails_alone(text, cells, tmp_path):
    broken, whole = cells("aks", "bolt")
    finish(tmp_path, broken, text)
    finish(tmp_path, whole)
    outcomes = list(run_cells([broken, whole], tmp_path, execute=lambda command, log: 1))
    assert [outcome.status for outcome in outcomes] == ["failed", "kept"]
    assert "Delete its folder" in outcomes[0].reason


def test_a_warm_cell_whose_cold_run_failed_is_not_run(cells, tmp_path):
    commands = []
    outcomes = list(
        run_cells(
            cells("oracle", caches=("cold", "warm")),
            tmp_path,
            execute=lambda command, log: commands.append(command) or 1,
        )
    )
    assert [outcome.status for outcome in outcomes] == ["failed", "failed"] and len(commands) == 1
    assert "its cold run has not finished" in outcomes[1].reason


@pytest.mark.evaluates
def test_a_cache_that_nobody_will_read_is_removed(cells, tmp_path, in_process):
    cold, warm = cells("oracle", caches=("cold", "warm"))
    running = run_cells([cold, warm], tmp_path, execute=in_process)
    next(running)
    cache = folder_of(tmp_path, cold) / "cache"
    assert cache.is_dir()  # for the warm run, which does not come
    running.close()
    [outcome] = run_cells([cold], tmp_path, execute=in_process)
    assert outcome.status == "kept" and not cache.exists()


@pytest.mark.launches
def test_sigterm_ends_the_run_of_lmms_eval_too(tmp_path):
    id_file = tmp_path / "id"
    child = f"""
import os, pathlib, signal, time
pathlib.Path({str(id_file)!r}).write_text(str(os.getpid()))
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    with pytest.raises(SystemExit):
        execute([sys.executable, "-c", child], tmp_path / "log")
    with pytest.raises(ProcessLookupError):
        os.kill(int(id_file.read_text()), 0)


def test_a_cell_that_another_process_runs_is_left_to_it(cells, tmp_path, in_process):
    (cell,) = cells("oracle")
    folder = folder_of(tmp_path, cell)
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as another process holds it
        [outcome] = run_cells([cell], tmp_path, execute=in_process)
    assert (outcome.status, in_process.ran) == ("busy", [])


def test_tasks_are_checked_and_groups_taken_apart_without_loading_them(tmp_path, in_process, settings):
    asked = ask_tasks(tmp_path, settings, ["videominer_world", "tiny_video"], load=False, execute=in_process)
    assert asked == (*(f"videominer_world_{minutes}min" for minutes in (1, 5, 15, 60)), "tiny_video")
    assert not (tmp_path / "cache").exists()  # no world was rendered
    assert ask_tasks(tmp_path, settings, ["videominer_world", "tiny_video"], load=False, execute=None) == asked


@pytest.mark.parametrize(
    ("asked", "changed", "told"),
    [
        (["videmme"], {}, "no task 'videmme'; did you mean 'videomme'"),
        (
            ["tiny_video"],
            {"passed": (("max_pixls", "1"),)},
            "unknown model argument 'max_pixls'; did you mean 'max_pixels",
        ),
    ],
)
def test_what_lmms_eval_or_the_backbone_does_not_have_is_refused(asked, changed, told, tmp_path, in_process, settings):
    for _ in range(2):  # the second time too: nothing of a refusal is kept
        with pytest.raises(ConfigError, match=told):
            ask_tasks(tmp_path, dataclasses.replace(settings, **changed), asked, False, in_process)


def test_a_task_is_refused_before_anything_runs_where_no_video_is_found_and_where_nothing_is_scored(
    tmp_path, in_process, settings, films
):
    folder = tmp_path / "tasks"
    write_task(folder, "gone", [row(n, films[0], kind="vanished") for n in range(2)])
    write_task(folder, "served", [row(0, films[0])])
    file = folder / "served.yaml"
    file.write_text(file.read_text().replace("metric: first_letter", "metric: submission"))
    settings = dataclasses.replace(settings, include_path=str(folder))

    with pytest.raises(ConfigError, match=r"task gone: .* none of its documents \(the video of this .*HF_HOME"):
        ask_tasks(tmp_path, settings, ["gone"], True, in_process)
    write_task(folder, "lost", [row(n, tmp_path / "no" / "film.mp4") for n in range(2)])  # as tasks that do not look
    with pytest.raises(ConfigError, match=r"task lost: .* none of its documents \(there is no file .*film.mp4"):
        ask_tasks(tmp_path, settings, ["lost"], True, in_process)
    with pytest.raises(ConfigError, match=r"task served: its metrics \(submission\) give no score"):
        ask_tasks(tmp_path, settings, ["served"], True, in_process)
    path = table_path(tmp_path, "in_part", settings.source)
    for kinds in (("vanished", "video"), ("video", "video")):  # the second time the video is there
        write_task(folder, "in_part", [row(n, films[0], kind=kind) for n, kind in enumerate(kinds)])
        assert ask_tasks(tmp_path, settings, ["in_part"], True, in_process) == ("in_part",)
        assert [bool(document.video) for document in read_table(path)] == [kind == "video" for kind in kinds]


def test_a_task_that_cannot_be_loaded_names_the_log(tmp_path, settings):
    def broken(command, log):
        log.write_text("Traceback (most recent call last):\nConnectionError: the hub is not there\n")
        return 1

    with pytest.raises(ConfigError, match=r"videomme cannot be loaded: ConnectionError: the hub is not there.*\.log"):
        ask_tasks(tmp_path, Settings(), ["videomme"], True, broken)


@pytest.mark.launches
def test_a_command_runs_in_a_process_of_its_own_and_what_it_says_is_kept(tmp_path):
    log = tmp_path / "log.txt"
    code = "import os, sys; print(os.environ['DECORD_EOF_RETRY_MAX']); print('oh', file=sys.stderr); sys.exit(3)"
    assert execute([sys.executable, "-c", code], log) == 3
    assert log.read_text() == "oh\n1000000\n" or log.read_text() == "1000000\noh\n"


LOG = """\
\x1b[32m2026-01-02 23:59:50\x1b[0m | INFO | lmms_eval.evaluator:evaluate:1200 - Running generate_until requests
mining: 100%|#####| 5/5
\x1b[32m2026-01-03 00:01:20\x1b[0m | INFO | lmms_eval.evaluator:evaluate:1399 - Postprocessed 3 docs for t/none
"""


def test_seconds_of_the_requests_are_read_from_lmms_evals_log(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text(LOG)
    assert seconds_of_requests(log) == 90.0
    log.write_text(LOG.splitlines()[0])
    assert seconds_of_requests(log) is None and seconds_of_requests(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ERROR | lmms_eval - Error during evaluation: no room. Please set `--verbosity=DEBUG` to get", "no room"),
        ("torch.OutOfMemoryError: CUDA out of memory\nand more", "torch.OutOfMemoryError: CUDA out of memory"),
        ("all is well", ""),
    ],
)
def test_the_reason_of_a_failure_is_the_last_error_of_the_log(tmp_path, text, reason):
    (tmp_path / "log.txt").write_text("ValueError: an earlier one\n" * bool(reason) + text)
    assert reason_in(tmp_path / "log.txt") == reason


@pytest.mark.launches
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_run_ends_with_a_comparison_that_is_killed(tmp_path):
    id_file = tmp_path / "pid"
    child = f"import os, pathlib, time; pathlib.Path({str(id_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
    parent = (
        "import pathlib, sys; from lmms_videominer.bench.evaluating import execute; "
        f"execute([sys.executable, '-c', {child!r}], pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    _wait_for(lambda: id_file.is_file() and id_file.read_text())
    process.kill()
    process.wait()
    _wait_for(lambda: not _is_alive(int(id_file.read_text())))


def _wait_for(told, most_s: float = 30.0) -> None:
    end = time.monotonic() + most_s
    while not told():
        assert time.monotonic() < end
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_an_answer_may_hold_what_other_programs_take_for_the_end_of_a_line(tmp_path):
    path = tmp_path / "samples.jsonl"
    texts = ["a\u2028b", "\x85", "c"]
    path.write_text("".join(json.dumps({"answer": text}, ensure_ascii=False) + "\n" for text in texts))
    assert [line["answer"] for line in read_lines(path)] == texts
    path.write_text('{"answer": "cut off')
    with pytest.raises(SchemaError, match=r"samples\.jsonl: cannot be read .*Delete its folder"):
        read_lines(path)


def test_a_cell_in_which_the_backbone_answered_nothing_has_failed(cells, tmp_path):
    note = {"how": "fallback", "problem": "CUDA out of memory", "empty": True}

    def execute(command, log):
        run = Path(command[command.index("--output_path") + 1]) / "model"
        run.mkdir(parents=True)
        (run / "x_results.json").write_text("{}")
        lines = [json.dumps({"doc_id": n, "token_counts": [{"videominer": note}]}) + "\n" for n in range(3)]
        (run / "x_samples_tiny_video.jsonl").write_text("".join(lines))
        log.touch()
        return 0

    [outcome] = run_cells(cells("uniform"), tmp_path, execute=execute)
    assert (outcome.status, is_finished(tmp_path, outcome.cell)) == ("failed", False)
    assert outcome.reason == "the backbone answered none of 3 documents; for the first: CUDA out of memory"


@pytest.mark.evaluates
@pytest.mark.parametrize("ending", ["_samples_tiny_video.jsonl", "_results.json"])
def test_a_run_that_ended_while_writing_has_failed_and_the_others_go_on(ending, cells, tmp_path, in_process):
    def cut_off(command, log):
        in_process(command, log)
        (file,) = Path(command[command.index("--output_path") + 1]).rglob(f"*{ending}")
        if not in_process.ran[1:]:
            file.write_text(file.read_text()[:-30])
        return 1

    outcomes = list(run_cells(cells("oracle", "uniform"), tmp_path, execute=cut_off))
    assert [outcome.status for outcome in outcomes] == ["failed", "run"]
    assert ending in outcomes[0].reason and not is_finished(tmp_path, outcomes[0].cell)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"filtered_resps": ["a star"], "token_counts": [None]}, ""),
        ({"filtered_resps": [""], "token_counts": [{"videominer": {"how": "mined"}}]}, ""),  # an empty answer is one
        (
            {
                "filtered_resps": [""],
                "token_counts": [{"videominer": {"how": "fallback", "problem": "full", "empty": True}}],
            },
            "full",
        ),
        (
            {"filtered_resps": ["[LMMS_EVAL_REQUEST_FAILED after 5 retries]"]},
            "[LMMS_EVAL_REQUEST_FAILED after 5 retries]",
        ),
        (
            {"filtered_resps": ["Video a.mp4 can not load, check the source"]},
            "Video a.mp4 can not load, check the source",
        ),
        ({"filtered_resps": ["Video tapes can not load"]}, ""),
    ],
)
def test_what_is_no_answer_is_told_from_a_wrong_one(sample, reason):
    assert no_answer_in(sample) == reason
