"""The tasks ``videominer_world_*``: found by name, rendered or taken from a folder, and scored."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from support.evaluation import evaluate, note_of

from lmms_videominer.shipped import shipped_folder

FOLDER = shipped_folder("tasks") / "videominer_world"
NAMES = [f"videominer_world_{minutes}min" for minutes in (1, 5, 15, 60)]


@pytest.fixture
def world_task():
    """The module that the YAML files name, loaded as lmms-eval loads it."""
    spec = importlib.util.spec_from_file_location("world", FOLDER / "world.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world(tmp_path, monkeypatch) -> Path:
    """A world of one video of a minute, named by ``VIDEOMINER_WORLD``."""
    from lmms_videominer.world import render_world

    folder = tmp_path / "world"
    render_world(folder, 1, 1, seed=3_000_000, workers=1, progress=False, questions=2)
    monkeypatch.setenv("VIDEOMINER_WORLD", str(folder))
    return folder


def test_lmms_eval_indexes_the_tasks_and_their_group_without_rendering(tmp_path):
    from lmms_eval import evaluator  # noqa: F401 - the entry point does more once the evaluator is there
    from lmms_eval.tasks import TaskManager

    from lmms_videominer.lmms import hooks

    hooks.install()
    manager = TaskManager()

    assert set(NAMES) <= set(manager.all_subtasks) and "videominer_world" in manager.all_groups
    assert "videomme" in manager.all_subtasks
    assert not (tmp_path / "cache").exists()


def test_an_answer_counts_for_its_kind_too(world_task):
    document = {"answer": "B", "kind": "order", "options": ["star then moon", "moon then star", "star", "moon"]}

    for right in ("moon then star", "B", "Moon then star (B)"):
        assert world_task.process_results(document, [right]) == {"accuracy": 1.0, "accuracy_order": 1.0}
    assert world_task.process_results(document, ["star"]) == {"accuracy": 0.0, "accuracy_order": 0.0}
    assert world_task.process_results(document, [""]) == {"accuracy": 0.0, "accuracy_order": 0.0}


def test_every_kind_of_question_has_its_metric():
    import yaml

    from lmms_videominer.world.questions import ALL_KINDS

    text = (FOLDER / "_world.yaml").read_text().replace("!function ", "")
    metrics = {entry["metric"] for entry in yaml.safe_load(text)["metric_list"]}

    assert metrics == {"accuracy", *(f"accuracy_{kind}" for kind in ALL_KINDS)}


@pytest.mark.evaluates
def test_a_given_world_is_evaluated_through_the_command_line(world, tiny, tmp_path):
    arguments = f"pretrained={tiny('qwen2_vl')},selector=oracle,frames=4"
    samples = evaluate(tmp_path / "out", "videominer_qwen2vl", arguments, "videominer_world_1min")

    rows = [json.loads(line) for line in (world / "qa.jsonl").read_text().splitlines()]
    assert len(samples) == len(rows) == 2
    for sample, row in zip(samples, rows):
        options = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", row["options"]))
        assert sample["input"] == (f"{row['question']}\n{options}\nAnswer with the text of the right option.")
        times = note_of(sample)["times_s"]
        assert len(times) == 4 and all(any(s <= t < e for s, e in row["evidence"]) for t in times)
    results = json.loads(next((tmp_path / "out").rglob("*_results.json")).read_text())
    assert results["throughput"]["avg_videominer_evidence_recall"] == 1.0
    assert "accuracy,none" in results["results"]["videominer_world_1min"]


def test_a_folder_without_the_tasks_length_is_evaluated_whole_and_said_so(world, caplog):
    from lmms_eval.tasks import TaskManager

    from lmms_videominer.lmms import hooks

    hooks.install()
    task = TaskManager().load_task_or_group("videominer_world_5min")["videominer_world_5min"]

    assert len(task.test_docs()) == 2
    assert "has no video of 5 minutes" in caplog.text
    assert Path(task.doc_to_visual(task.test_docs()[0])[0]).parent == world
