"""The literal command of the README over public tasks: rows of the real schema, no hub, videos made here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
from evaluation import note_of, samples_in

from lmms_videominer.lmms.handover import write_lossless
from lmms_videominer.serialization import load

pytestmark = pytest.mark.slow

LETTERED = ["A. A dog.", "B. A red square.", "C. A lake.", "D. Nothing."]
VIDEOMME = {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Humanity & History",
            "url": "https://www.youtube.com/watch?v=clip", "videoID": "clip", "question_id": "001-1",
            "task_type": "Counting Problem", "question": "What is seen first?", "options": LETTERED,
            "answer": "B"}  # fmt: skip
LONGVIDEOBENCH = {"video_id": "clip", "question": "What is seen last?", "question_wo_referring_query": "Which?",
                  **{f"option{i}": LETTERED[i][3:] if i < 4 else "N/A" for i in range(5)}, "correct_choice": 1,
                  "position": [4], "topic_category": "NP-News-Programs", "question_category": "S2E", "level": "L1",
                  "id": "clip_0", "video_path": "clip.mp4", "subtitle_path": "clip_en.json", "duration_group": 15,
                  "starting_timestamp_for_subtitles": 0, "duration": 2.0, "view_count": 1}  # fmt: skip
MLVU = {"video_name": "1_plotQA/clip.mp4", "duration": 2.0, "answer": "B", "task_type": "plotQA",
        "question": "What is seen?\n(A) A dog\n(B) A red square\n(C) A lake\n(D) Nothing"}  # fmt: skip
EGOSCHEMA = {"question_idx": "1", "question": "What does C do?", "video_idx": "clip", "answer": "1",
             "option": [*LETTERED, "E. All of it."]}  # fmt: skip
ROWS = {
    "lmms-eval/Video-MME/test-00000-of-00001.parquet": VIDEOMME,
    "longvideobench/LongVideoBench/validation-00000-of-00001.parquet": LONGVIDEOBENCH,
    "sy1998/MLVU_dev/test-00000-of-00001.parquet": MLVU,
    "lmms-eval/egoschema/Subset/test-00000-of-00001.parquet": EGOSCHEMA,
}
SUBSET = """---
configs:
- config_name: Subset
  data_files:
  - split: test
    path: Subset/test-*
---
"""
VIDEOS = ("videomme/data", "datasets/longvideobench/videos", "mlvu/1_plotQA", "egoschema/videos")
TASKS = ("videomme", "longvideobench_val_v", "mlvu_dev", "egoschema_subset")


@pytest.fixture
def workplace(tmp_path, tiny) -> Path:
    """A working directory with the tasks' rows and the default model, and ``HF_HOME`` with their videos."""
    for path, row in ROWS.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list([row]).to_parquet(tmp_path / path)
    (tmp_path / "lmms-eval/egoschema/README.md").write_text(SUBSET)
    colours = np.random.default_rng(2).integers(0, 256, (12, 1, 1, 3), dtype=np.uint8)
    frames = colours * np.ones((1, 224, 224, 1), np.uint8)
    for folder in VIDEOS:
        (tmp_path / "hf" / folder).mkdir(parents=True)
        write_lossless(tmp_path / "hf" / folder / "clip.mp4", frames, 0.125)  # 96 s: long enough to be searched
    shutil.copytree(tiny("qwen2_vl"), tmp_path / "Qwen" / "Qwen2-VL-7B-Instruct")
    return tmp_path


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
    printed = lmms_eval(workplace, "--model", "videominer_qwen2vl", "--tasks", ",".join(TASKS), *arguments,
                        "--output_path", "out", "--log_samples")  # fmt: skip

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
