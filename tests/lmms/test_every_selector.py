"""Every selector under lmms-eval's command line, on a task and a backbone like any other."""

from __future__ import annotations

import json

import pytest
from support.evaluation import SETTINGS, evaluate, note_of
from support.families import ASKING

from lmms_videominer.selectors import SELECTORS
from lmms_videominer.store.selection_json import load

pytestmark = pytest.mark.evaluates


@pytest.mark.parametrize(
    ("name", "judge", "search"),
    [
        *((name, "policy", "best-first") for name in SELECTORS if name not in ("uniform", "none")),
        *((name, "reply", "best-first") for name in ASKING),
        ("videominer", "policy", "plain"),
    ],
)
def test_a_selector_runs_through_the_plugin_and_says_which_frames_and_why(
    name, judge, search, clip, tiny, task, tmp_path
):
    settings = SETTINGS.replace("search=plain", f"search={search}")
    chosen = f"selector={name},scorer={clip},judge={judge},clustering=none"
    arguments = f"pretrained={tiny('qwen2_vl')},{settings},{chosen}"
    samples = evaluate(tmp_path, "videominer_qwen2vl", arguments, "tiny_video", task)

    assert [note_of(sample)["how"] for sample in samples] == ["mined"] * 3
    for sample in samples:
        note = note_of(sample)
        selection = load(note["tree"])
        assert (selection.selector, [f.frame_index for f in selection.key_frames]) == (name, note["frames"])
        assert len(note["frames"]) == 4 and (name == "oracle" or selection.nodes or selection.scores)
    summary = json.loads(next(tmp_path.glob("videominer/*/videominer_summary.json")).read_text())["tasks"]["all"]
    assert (summary["policy_calls_per_sample"] > 0) == (name in ("videominer", *ASKING))
    # videotree compares frames with each other, not with the question; videominer keeps the scores of its key frames
    scored = selection.scores is not None or name == "videotree" or (name, search) == ("videominer", "best-first")
    assert (summary["scores_per_sample"] > 0) == scored
