"""Every selector through ``videominer bench`` on a task that is not the project's: rows of Video-MME's schema."""

from __future__ import annotations

import pandas as pd
import pytest
from support.cells import TINY, InProcess
from support.families import ASKING
from support.public_tasks import write_public_tasks
from support.tiny_scorers import tiny_clip

from lmms_videominer.bench.command import comparison_of, run_comparison
from lmms_videominer.cli import _parser
from lmms_videominer.selectors import SELECTORS

pytestmark = pytest.mark.evaluates


def test_every_selector_is_compared_on_video_mme(vlm, tmp_path, monkeypatch):
    workplace = write_public_tasks(tmp_path, vlm)
    monkeypatch.chdir(workplace)
    for name, value in (("HF_HOME", workplace / "hf"), ("VIDEOMINER_CACHE", workplace / "cache")):
        monkeypatch.setenv(name, str(value))
    judged = [f"{name}:judge=policy" for name in ASKING]  # by default they are asked for replies
    names = [*(name for name in SELECTORS if name != "oracle"), *judged]  # the rows tell no evidence
    argv = [
        "bench",
        "--tasks",
        "videomme",
        "--selectors",
        *names,
        "--frames",
        "4",
        "--out",
        "out",
        "--pretrained",
        "Qwen/Qwen2-VL-7B-Instruct",
        "--model-args",
        *TINY,
        f"scorer={tiny_clip(workplace / 'clip')}",
    ]
    assert run_comparison(comparison_of(_parser().parse_args(argv)), False, False, InProcess()) == 0

    rows = pd.read_csv("out/results.csv").set_index("variant")
    assert list(rows.index) == names and set(rows["target"]) == {"B"} and set(rows["kind"]) == {"Counting Problem"}
    assert rows["correct"].isin([0.0, 1.0]).all() and rows["answer"].notna().all()
    for name in names:
        how, shown = rows.loc[name, ["how", "frame_indices"]]
        assert how == ("uniform" if name == "uniform" else "mined")
        assert name == "none" or len(shown.split()) == 4
    assert (rows["llm_calls"] > 0).tolist() == [name.partition(":")[0] in ("videominer", *ASKING) for name in names]
    assert (rows["judge"] == "reply").tolist() == [name in ASKING for name in names]
    text = (workplace / "out" / "report.md").read_text()
    assert all(f"\n| {name} | 1 |" in text for name in names)
