"""Rows of four public tasks in their real schema, with videos made here: lmms-eval finds them without a hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
import numpy as np

from lmms_videominer.lmms.handover import write_lossless
from support.tiny_scorers import tiny_clip

LETTERED = ["A. A dog.", "B. A red square.", "C. A lake.", "D. Nothing."]
VIDEOMME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "https://www.youtube.com/watch?v=clip",
    "videoID": "clip",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "What is seen first?",
    "options": LETTERED,
    "answer": "B",
}
LONGVIDEOBENCH = {
    "video_id": "clip",
    "question": "What is seen last?",
    "question_wo_referring_query": "Which?",
    **{f"option{i}": LETTERED[i][3:] if i < 4 else "N/A" for i in range(5)},
    "correct_choice": 1,
    "position": [4],
    "topic_category": "NP-News-Programs",
    "question_category": "S2E",
    "level": "L1",
    "id": "clip_0",
    "video_path": "clip.mp4",
    "subtitle_path": "clip_en.json",
    "duration_group": 15,
    "starting_timestamp_for_subtitles": 0,
    "duration": 2.0,
    "view_count": 1,
}
MLVU = {
    "video_name": "1_plotQA/clip.mp4",
    "duration": 2.0,
    "answer": "B",
    "task_type": "plotQA",
    "question": "What is seen?\n(A) A dog\n(B) A red square\n(C) A lake\n(D) Nothing",
}
EGOSCHEMA = {
    "question_idx": "1",
    "question": "What does C do?",
    "video_idx": "clip",
    "answer": "1",
    "option": [*LETTERED, "E. All of it."],
}
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


def write_public_tasks(folder: Path, vlm: str) -> Path:
    """A working directory with the tasks' rows and the default models, and ``HF_HOME`` with their videos."""
    for path, row in ROWS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list([row]).to_parquet(folder / path)
    (folder / "lmms-eval/egoschema/README.md").write_text(SUBSET)
    colours = np.random.default_rng(2).integers(0, 256, (12, 1, 1, 3), dtype=np.uint8)
    frames = colours * np.ones((1, 224, 224, 1), np.uint8)
    for videos in VIDEOS:
        (folder / "hf" / videos).mkdir(parents=True)
        write_lossless(folder / "hf" / videos / "clip.mp4", frames, 0.125)  # 96 s: long enough to be searched
    shutil.copytree(vlm, folder / "Qwen" / "Qwen2-VL-7B-Instruct")
    tiny_clip(folder / "openai" / "clip-vit-large-patch14")
    return folder
