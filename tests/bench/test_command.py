"""What a comparison's command line asks for, refuses and estimates, before anything runs."""

from __future__ import annotations

import json

import pytest
from support.cells import InProcess, comparison

from lmms_videominer.bench.command import _keep_figure, run_comparison
from lmms_videominer.bench.plan import plan_cells
from lmms_videominer.bench.profiles import show_profiles
from lmms_videominer.bench.running import folder_of
from lmms_videominer.cli import main
from lmms_videominer.errors import ConfigError
from lmms_videominer.profiling import Profile, stage
from lmms_videominer.profiling.trace import trace_of
from lmms_videominer.store import trace_json


def test_an_estimate_alone_runs_and_loads_nothing(vlm, tasks, tmp_path, capsys):
    execute = InProcess()
    asked = comparison(vlm, tasks, tmp_path / "out", "--selectors", "videominer", "topk", "--limit", "2")
    assert run_comparison(asked, True, False, execute) == 0
    told = capsys.readouterr().out
    assert "2 of 2 cells are to run" in told and "4 / -" in told
    assert "? is unknown: it depends on the length of videos that are not loaded yet" in " ".join(told.split())
    assert execute.ran == [] and not (tmp_path / "out" / "cells").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--selectors", "videominer:evnts=8"], "did you mean 'events'"),
        (["--selectors", "aks", "aks"], "labelled 'aks'"),
        (["--selectors", "aks", "--policy", "a", "b"], "one for all variants"),
        (["--figure", "training", "--policy", "a=b"], "pass two or more"),
        (["--figure", "training", "--policy", "a=b", "c"], "needs LABEL=FOLDER"),
        (["--figure", "auxin", "--policy", "slow=b", "1=c"], "value of lambda_auxin"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(more, told, vlm, tasks, tmp_path):
    execute = InProcess()
    with pytest.raises(ConfigError, match=told):
        run_comparison(comparison(vlm, tasks, tmp_path / "out", *more), False, False, execute)
    assert execute.ran == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "--selectors or --figure"),
        (["--selectors", "aks", "--figure", "clustering"], "omit --selectors"),
    ],
)
def test_a_command_line_without_one_comparison_is_a_usage_error(more, told, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["bench", "--out", str(tmp_path), "--tasks", "videomme", *more])
    assert exit.value.code == 2 and told in capsys.readouterr().err


def test_a_report_on_nothing_says_so(tmp_path, capsys):
    assert main(["bench", "--out", str(tmp_path), "--report-only"]) == 1
    assert "has no finished cell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figure", "policies", "labels"),
    [
        ("clustering", [], ["clustering none", "clustering frame", "clustering event"]),
        ("training", ["none=a", "rf=b", "t-grpo=c"], ["training none", "training rf", "training t-grpo"]),
        ("auxin", ["1.5=a", "0.75=b", "1=c"], ["auxin 0.75", "auxin 1", "auxin 1.5"]),
    ],
)
def test_a_figure_names_its_variants_and_runs_them_cold(figure, policies, labels, vlm, tasks, tmp_path):
    asked = comparison(vlm, tasks, tmp_path, "--figure", figure, *(["--policy", *policies] if policies else []))
    assert [variant.label for variant in asked.variants] == labels and asked.settings.caches == ("cold",)
    assert all(variant.selector == "videominer" for variant in asked.variants)


def test_a_figure_shows_the_cold_cells_of_a_warm_comparison(vlm, tasks, tmp_path):
    asked = comparison(vlm, tasks, tmp_path, "--figure", "clustering", "--warm", "--limit", "1")
    assert asked.settings.caches == ("cold", "warm")
    cells = plan_cells(asked.settings, ["tiny_video"], asked.variants, asked.frames)
    _keep_figure(asked, cells)
    kept = json.loads((tmp_path / "figures.json").read_text())["clustering"]
    assert [cell["key"] for cell in kept] == [cell.key for cell in cells if cell.cache == "cold"]


def test_a_profile_reaches_the_run_of_each_cell_and_changes_no_cell(vlm, tasks, tmp_path):
    argv = ("--selectors", "videominer", "topk")
    plain, measured = (comparison(vlm, tasks, tmp_path, *argv, *more) for more in ((), ("--profile",)))
    cells = [plan_cells(asked.settings, ["tiny_video"], asked.variants, [4]) for asked in (plain, measured)]
    assert [cell.key for cell in cells[0]] == [cell.key for cell in cells[1]]
    run = tmp_path / "run"
    assert f"profile={run / 'profile.json'}" in " ".join(cells[1][0].command(run, tmp_path / "cache"))
    assert "profile=" not in " ".join(cells[0][0].command(run, tmp_path / "cache"))
    with pytest.raises(ConfigError, match="use --profile"):
        comparison(vlm, tasks, tmp_path, *argv, "--model-args", "profile=trace.json")


def test_the_traces_of_cells_are_told_each_and_written_as_one(vlm, tasks, tmp_path, capsys):
    asked = comparison(vlm, tasks, tmp_path, "--selectors", "videominer", "topk", "uniform", "--profile", "all.json")
    cells = plan_cells(asked.settings, ["tiny_video"], asked.variants, [4])
    for cell in cells[:2]:  # the third failed
        profile = Profile()
        with profile.running(), stage("caption"):
            pass
        trace_json.save(trace_of(profile), folder_of(tmp_path, cell) / "run" / "profile.json")
    show_profiles(cells, tmp_path, tmp_path / "all.json")
    told = capsys.readouterr().err
    assert told.count("tiny_video, ") == 2 and "the traces of 2 cells" in told
    figures = trace_json.load(tmp_path / "all.json")["figures"]
    assert [name.split(", ")[1] for name in figures] == ["videominer", "topk"]
