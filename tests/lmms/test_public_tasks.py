"""The literal command of the README over public tasks: rows of the real schema, no hub, videos made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.evaluation import note_of, samples_in
from support.public_tasks import TASKS, write_public_tasks

from lmms_videominer.store.selection_json import load

pytestmark = [pytest.mark.evaluates, pytest.mark.launches]


@pytest.fixture
def workplace(tmp_path, tiny) -> Path:
    return write_public_tasks(tmp_path, tiny("qwen2_vl"))


def lmms_eval(workplace: Path, *arguments: str) -> str:
    script = Path(sys.executable).with_name("lmms-eval")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(workplace / "hf"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([script, *arguments], cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-3000:]
    return done.stdout


def test_the_literal_command_on_videomme(workplace):
    printed = lmms_eval(workplace, "--model", "videominer_qwen2vl", "--tasks", "videomme")

    assert "videomme_perception_score" in printed
    (tree,) = (workplace / "cache" / "trees").glob("videominer-*/videomme/0.json")
    selection = load(tree)
    assert selection.question.text == "What is seen first?"
    assert selection.question.options == ("A dog.", "A red square.", "A lake.", "Nothing.")
    assert len(selection.nodes) > 1 and selection.key_frames


def test_all_four_public_tasks_in_one_run(workplace):
    arguments = ("--model_args", "frames=4,max_depth=1,events=3,caption_tokens=8,policy_tokens=8")
    printed = lmms_eval(
        workplace,
        "--model",
        "videominer_qwen2vl",
        "--tasks",
        ",".join(TASKS),
        *arguments,
        "--output_path",
        "out",
        "--log_samples",
    )

    assert all(task in printed for task in TASKS)
    samples = samples_in(workplace / "out")
    assert len(samples) == 4
    for sample in samples:
        note = note_of(sample)
        assert note["how"] == "mined" and len(note["frames"]) == 4
    trees = {Path(note_of(sample)["tree"]).parent.name: load(note_of(sample)["tree"]) for sample in samples}
    assert trees["mlvu_dev"].question.text == "What is seen?"
    assert trees["mlvu_dev"].question.options == ("A dog", "A red square", "A lake", "Nothing")
    assert trees["longvideobench_val_v"].question.options == ("A dog.", "A red square.", "A lake.", "Nothing.")
