"""The score of a sample, against the tasks' own counting in lmms-eval."""

from __future__ import annotations

import importlib

import pytest
from lmms_eval.api.registry import AGGREGATION_REGISTRY  # noqa: F401 - lmms-eval's tasks expect it to be imported

from lmms_videominer.bench.scores import sample_score, scoring_metric
from lmms_videominer.errors import ConfigError

VIDEOMME = {
    "question_id": "1",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "task_type": "Counting Problem",
    "answer": "B",
    "videoID": "v",
}
LONGVIDEOBENCH = {
    **{f"option{i}": f"thing {i}" for i in range(4)},
    "option4": "N/A",
    "correct_choice": 1,
    "id": "1",
    "duration_group": 15,
    "question_category": "S2E",
}
MLVU = {"question": "q", "task_type": "plotQA", "answer": "B"}
EGOSCHEMA = {"video_idx": "v", "answer": "1", "option": [f"{c}. thing {c}" for c in "ABCDE"]}
PUBLIC = {
    "videomme": ("videomme_process_results", VIDEOMME, "videomme_perception_score"),
    "longvideobench": ("longvideobench_process_results", LONGVIDEOBENCH, "lvb_acc"),
    "mlvu": ("mlvu_process_results", MLVU, "mlvu_percetion_score"),
    "egoschema": ("egoschema_process_results_generation", EGOSCHEMA, "score"),
}


@pytest.mark.parametrize("task", PUBLIC)
def test_the_public_tasks_count_an_answer_as_they_do_themselves(task):
    function, document, metric = PUBLIC[task]
    process_results = getattr(importlib.import_module(f"lmms_eval.tasks.{task}.utils"), function)
    for answer, score in (("B", 1.0), ("A", 0.0)):
        sample = process_results(document, [answer])
        assert sample_score(sample[metric]) == score
        assert scoring_metric(task, [metric], [sample]) == metric


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (1.0, 1.0),
        (True, 1.0),
        (0, 0.0),
        (0.25, 0.25),
        ({"score": 1}, 1.0),
        (2, None),
        (-1, None),
        ("B", None),
        (None, None),
        ({"video": 3}, None),
        ({"answer": None, "pred_answer": None}, None),
        ({"ground_truth": None, "pred": 1}, None),
        (float("nan"), None),
    ],
)
def test_what_says_no_score_is_none(value, score):
    assert sample_score(value) == score


def test_the_first_metric_that_scores_every_sample_is_taken():
    samples = [{"submission": {"1": "B"}, "accuracy": 1.0, "sign": 1.0}, {"submission": {}, "accuracy": 0.0}]
    assert scoring_metric("t", ["submission", "sign", "accuracy"], samples) == "accuracy"


def test_a_task_for_a_server_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"egoschema: its metrics \(submission\).*egoschema_subset"):
        scoring_metric("egoschema", ["submission"], [{"submission": {"v": 1}, "score": {"pred": 1}}])
