"""``--profile``: a table after the results, a trace in a file, and results as without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.scripted import ColourEmbedder, ColourVLM, RulePolicy, colour_video

from lmms_videominer.cli import main
from lmms_videominer.manifest.run_folder import PARQUET, RESULTS
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.store import trace_json
from lmms_videominer.types import Action

SETTINGS = ("search=plain", "events=4", "scan_frames=60", "clustering=event", "max_depth=1", "grain_s=0", "frames=4")
FAST = [*(part for setting in SETTINGS for part in ("--set", setting)), "--quiet"]


@pytest.fixture(autouse=True)
def rules(monkeypatch) -> None:
    """Every model name loads rules that accept red."""

    def load(model, *, config, device=None):
        policy = RulePolicy(lambda text, depth: Action.ACCEPT if "red" in text else Action.DELETE, identity="red")
        return VideoMiner(build_stages(config, ColourVLM(), policy, ColourEmbedder()), config)

    monkeypatch.setattr(VideoMiner, "from_pretrained", load)


@pytest.fixture
def film(tmp_path) -> str:
    return colour_video(tmp_path / "film.mp4", [("blue", 3), ("red", 3)])


def test_one_question_leaves_a_table_and_a_trace_of_every_stage(film, tmp_path, capsys):
    trace = tmp_path / "trace.json"
    assert main(["mine", film, "--question", "Where is red?", "--profile", str(trace), *FAST]) == 0
    told = capsys.readouterr()
    assert "Where the time goes" in told.err and f"wrote {trace}" in told.err
    figures = trace_json.load(trace)["figures"]
    stages = figures["stages"]
    assert {"load", "index", "decode", "scan", "caption", "embed", "cluster", "decide", "answer"} <= set(stages)
    assert (stages["caption"]["items"], stages["decide"]["items"], stages["answer"]["items"]) == (4, 2, 1)
    assert stages["caption"]["model_s"] > 0 and stages["decode"]["model_s"] == 0
    spent = sum(stage["seconds"] for stage in stages.values()) + figures["rest"]["seconds"]
    assert spent == pytest.approx(figures["wall_s"], rel=1e-3)  # rounded
    assert figures["gpu_busy"] is None


def test_a_run_over_many_rows_keeps_its_trace_beside_results_that_are_those_of_a_plain_run(film, tmp_path):
    rows = [{"id": id, "video": film, "question": f"Where is {id}?"} for id in ("red", "blue")]
    manifest = tmp_path / "questions.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, more in (("plain", []), ("measured", ["--profile"])):
        assert main(["mine", "--manifest", str(manifest), "--out", str(tmp_path / name), *FAST, *more]) == 0
    for name in (RESULTS, PARQUET, "run.json"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "measured" / name).read_bytes()
    figures = trace_json.load(tmp_path / "measured" / "profile.json")["figures"]
    assert figures["stages"]["answer"]["items"] == 2 and figures["stages"]["write"]["calls"] == 3
    assert not (tmp_path / "plain" / "profile.json").exists()


def test_a_film_is_not_taken_for_the_file_of_the_trace(film, capsys):
    before = Path(film).read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(["mine", "--question", "Where is red?", "--profile", film, *FAST])
    assert stopped.value.code == 2 and "ends in .json" in capsys.readouterr().err
    assert Path(film).read_bytes() == before
