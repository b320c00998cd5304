"""The wrapper under lmms-eval's command line: what stays the backbone's, what is passed through, what is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.evaluation import (
    SETTINGS,
    evaluate,
    frames_of,
    note_of,
    row,
    summary_in,
    tower_input,
    watching,
    write_task,
)
from transformers import AutoProcessor, AutoTokenizer

from lmms_videominer.errors import ConfigError
from lmms_videominer.store.selection_json import load

pytestmark = pytest.mark.evaluates
CPU = ",device=cpu,device_map=cpu"  # what a plain backbone has to be told here


def answers(samples: list[dict]) -> list[str]:
    return [sample["filtered_resps"] for sample in samples]


@pytest.mark.parametrize(
    ("backbone", "count"), [("qwen2_vl", "max_num_frames"), ("qwen2_5_vl", "max_num_frames"), ("llava_hf", "")]
)
def test_with_uniform_selection_every_answer_is_the_plain_backbones(backbone, count, tiny, task, tmp_path):
    plain, ours = f"pretrained={tiny(backbone)}{CPU}", f"pretrained={tiny(backbone)},selector=uniform"
    if count:
        plain, ours = f"{plain},{count}=6", f"{ours},frames=6"

    with watching() as by_plain:
        expected = evaluate(tmp_path / "plain", backbone, plain, "tiny_video", task, "--force_simple")
    with watching() as by_ours:
        samples = evaluate(tmp_path / "ours", f"videominer_{backbone}", ours, "tiny_video", task, "--force_simple")

    assert answers(samples) == answers(expected)
    assert [s["input"] for s in samples] == [s["input"] for s in expected]  # the prompts of the backbone's own name
    assert by_ours.prompts == by_plain.prompts and by_ours.settings == by_plain.settings
    assert len(by_ours.towers) == 3 and all(map(torch.equal, by_ours.towers, by_plain.towers))
    assert [note_of(s)["how"] for s in samples] == ["uniform"] * 3


@pytest.mark.parametrize("batch_size", [1, 3])  # lmms-eval's qwen2_vl heeds the count for a batch's first video only
def test_the_frames_recorded_under_uniform_are_those_that_qwen2_vl_takes(batch_size, tiny, task, videos, tmp_path):
    arguments = f"pretrained={tiny('qwen2_vl')},selector=uniform,frames=6"
    with watching() as seen:
        samples = evaluate(
            tmp_path, "videominer_qwen2vl", arguments, "tiny_video", task, "--batch_size", str(batch_size)
        )

    processor = AutoProcessor.from_pretrained(tiny("qwen2_vl"))
    for number, sample in enumerate(samples):
        expected = tower_input(processor, frames_of(videos[number % 2], note_of(sample)["frames"]))
        assert any(torch.equal(given, expected) for given in seen.towers)
        kept = load(note_of(sample)["tree"])
        assert [frame.frame_index for frame in kept.key_frames] == note_of(sample)["frames"]
        assert (kept.selector, kept.config["frames"], kept.usage.answer_calls) == ("uniform", 6, 1)
        assert kept.question.video == str(videos[number % 2]) and kept.answer == "".join(sample["filtered_resps"])


@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl"])
def test_prompt_and_generation_settings_with_key_frames_are_the_backbones(backbone, tiny, task, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny(backbone))
    pad = tokenizer.convert_tokens_to_ids("<|video_pad|>")
    runs = {"plain": (backbone, ""), "ours": (f"videominer_{backbone}", ",selector=oracle,frames=4")}
    seen = {}
    for name, (model, more) in runs.items():
        arguments = f"pretrained={tiny(backbone)}{more}" + (f",max_num_frames=4{CPU}" if name == "plain" else "")
        with watching() as seen[name]:
            evaluate(tmp_path / name, model, arguments, "tiny_video", task)

    texts = {name: sorted([i for i in ids if i != pad] for ids in run.prompts) for name, run in seen.items()}
    assert texts["ours"] == texts["plain"]
    assert seen["ours"].settings == seen["plain"].settings


def test_a_mined_sample_names_its_frames_and_its_tree_and_a_second_run_captions_nothing(tiny, task, tmp_path):
    arguments = f"pretrained={tiny('qwen2_vl')},{SETTINGS}"
    first = evaluate(tmp_path / "a", "videominer_qwen2vl", arguments, "tiny_video", task)
    second = evaluate(tmp_path / "b", "videominer_qwen2vl", arguments, "tiny_video", task)

    for sample in first:
        note = note_of(sample)
        tree = load(note["tree"])
        assert [frame.frame_index for frame in tree.key_frames] == note["frames"]
        assert tree.question.text == f"What is seen in part {sample['doc_id']}?"
        assert tree.question.options == ("a red square", "a blue square", "nothing")
        assert tree.answer.strip() == sample["filtered_resps"] and tree.nodes[0].depth == 0
    assert answers(second) == answers(first)
    costs = [summary_in(tmp_path / name)["tiny_video"] for name in ("a", "b")]
    assert costs[0]["vlm_calls_per_sample"] == 4 and costs[1]["vlm_calls_per_sample"] == 0
    assert costs[1]["vlm_calls_cached_per_sample"] == 4
    results = json.loads(next((tmp_path / "a").glob("*/*_results.json")).read_text())
    assert results["throughput"]["avg_videominer_mined"] == 3
    page = next((tmp_path / "a").glob("*/*_view_tiny_video.html")).read_text()
    assert all(f"What is seen in part {number}?" in page for number in range(3))
    assert page.count("base64,UklGR") == sum(len(note_of(sample)["frames"]) for sample in first)


def test_a_profile_says_where_the_time_went_and_changes_no_answer(tiny, task, tmp_path):
    arguments = f"pretrained={tiny('qwen2_vl')},{SETTINGS},cache_dir=off"
    plain = evaluate(tmp_path / "plain", "videominer_qwen2vl", arguments, "tiny_video", task)
    measured = evaluate(tmp_path / "measured", "videominer_qwen2vl", f"{arguments},profile=True", "tiny_video", task)
    assert answers(measured) == answers(plain)
    summary = next((tmp_path / "measured").glob("videominer/*/videominer_summary.json"))
    figures = json.loads(summary.read_text())["profile"]
    stages = figures["stages"]
    assert {"load", "index", "decode", "scan", "hand over", "caption", "decide", "answer"} <= set(stages)
    assert (stages["caption"]["items"], stages["answer"]["items"]) == (12, 3)
    assert 0 < stages["answer"]["model_s"] < stages["answer"]["seconds"] and stages["hand over"]["model_s"] == 0
    trace = json.loads((summary.parent / "profile.json").read_text())
    assert trace["figures"] == figures and any(event["name"] == "answer: model" for event in trace["traceEvents"])
    assert "profile" not in json.loads(next((tmp_path / "plain").glob("videominer/*/*summary.json")).read_text())


def test_what_has_no_single_video_and_what_is_broken_goes_to_the_backbone_in_its_place(tiny, videos, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(videos[0].read_bytes()[:2000])
    rows = [
        row(0, videos[0]),
        row(1, kind="image"),
        row(2, *videos),
        row(3, broken),
        row(4, kind="vanished"),
        row(5, videos[1]),
    ]
    write_task(tmp_path / "tasks", "mixed", rows)
    write_task(tmp_path / "tasks", "whole", [row(1, kind="image"), row(2, *videos), row(3, broken)])
    arguments = f"pretrained={tiny('qwen2_vl')}"

    plain = evaluate(tmp_path / "plain", "qwen2_vl", f"{arguments}{CPU}", "whole", tmp_path / "tasks")
    samples = evaluate(
        tmp_path / "ours", "videominer_qwen2vl", f"{arguments},selector=oracle,frames=4", "mixed", tmp_path / "tasks"
    )

    assert answers(samples)[1:4] == answers(plain)
    assert answers(samples)[4] == ""
    assert [note_of(samples[i])["how"] for i in (0, 3, 4, 5)] == ["mined", "fallback", "fallback", "mined"]
    assert str(broken) in note_of(samples[3])["problem"]
    counted = summary_in(tmp_path / "ours")["mixed"]
    assert {name: counted[name] for name in ("mined", "passed", "broken_videos", "empty_answers")} == {
        "mined": 2,
        "passed": 2,
        "broken_videos": 2,
        "empty_answers": 1,
    }


@pytest.mark.parametrize("backbone", ["qwen2_5_vl", "llava_hf"])
def test_one_broken_video_that_stops_the_backbone_costs_no_other_sample_its_answer(
    backbone, tiny, videos, tmp_path, caplog
):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(videos[0].read_bytes()[:2000])
    good = [row(0, videos[0]), row(2, videos[1])]
    write_task(tmp_path / "tasks", "good", good)
    write_task(tmp_path / "tasks", "mixed", [good[0], row(1, broken), good[1], row(3, broken)])
    model, tasks = f"pretrained={tiny(backbone)}", tmp_path / "tasks"

    with pytest.raises(Exception):  # noqa: B017 (the backbone's own, whatever it is)
        evaluate(tmp_path / "stopped", backbone, f"{model}{CPU}", "mixed", tasks, "--force_simple")
    plain = evaluate(tmp_path / "plain", backbone, f"{model}{CPU}", "good", tasks, "--force_simple")
    samples = evaluate(
        tmp_path / "ours", f"videominer_{backbone}", f"{model},selector=uniform", "mixed", tasks, "--force_simple"
    )

    first, second = answers(plain)
    assert answers(samples) == [first, "", second, ""]
    assert [note_of(s)["how"] for s in samples] == ["uniform", "fallback", "uniform", "fallback"]
    counted = summary_in(tmp_path / "ours")["mixed"]
    assert {name: counted[name] for name in ("samples", "uniform", "broken_videos", "empty_answers")} == {
        "samples": 4,
        "uniform": 2,
        "broken_videos": 2,
        "empty_answers": 2,
    }
    assert sum(f"{broken} is not mined" in record.getMessage() for record in caplog.records) == 1


def test_selector_none_shows_nothing(tiny, task, tmp_path):
    with watching() as seen:
        samples = evaluate(
            tmp_path, "videominer_qwen2vl", f"pretrained={tiny('qwen2_vl')},selector=none", "tiny_video", task
        )

    assert not seen.towers and len(seen.prompts) == 3
    assert note_of(samples[0])["frames"] == []


def test_the_response_cache_tells_settings_apart(tiny, task, tmp_path, monkeypatch):
    more, model = ("--use_cache", str(tmp_path / "responses")), f"pretrained={tiny('qwen2_vl')}"
    arguments = f"{model},selector=oracle,policy="

    def calls(text: str) -> int:
        with watching() as seen:
            evaluate(tmp_path / "out", "videominer_qwen2vl", text, "tiny_video", task, *more)
        return len(seen.prompts)

    assert calls(arguments) == 3
    assert calls(arguments) == 0  # served from the cache
    import lmms_videominer

    monkeypatch.setattr(lmms_videominer, "__version__", "another")
    assert calls(arguments) == 3  # the same command line, but not the same selection of frames


def test_oracle_without_evidence_ends_the_run_and_says_why(tiny, videos, tmp_path):
    write_task(tmp_path / "tasks", "bare", [row(0, videos[0]) | {"evidence": None}])

    with pytest.raises(ConfigError, match="selector=oracle reads the evidence"):
        evaluate(
            tmp_path, "videominer_qwen2vl", f"pretrained={tiny('qwen2_vl')},selector=oracle", "bare", tmp_path / "tasks"
        )


def test_any_backbone_by_name(tiny, task, tmp_path):
    arguments = f"backbone=qwen2_5_vl,pretrained={tiny('qwen2_5_vl')},selector=oracle,min_pixels=3136"
    generic = evaluate(tmp_path / "a", "videominer", arguments, "tiny_video", task)
    named = evaluate(tmp_path / "b", "videominer_qwen25vl", arguments.partition(",")[2], "tiny_video", task)

    assert answers(generic) == answers(named)
    assert [s["input"] for s in generic] == [s["input"] for s in named]


def test_options_by_log_likelihood_and_several_rounds_are_refused_for_videos(tiny, videos, tmp_path):
    for kind, what in (("loglikelihood", "log-likelihood"), ("generate_until_multi_round", "several rounds")):
        write_task(tmp_path / "tasks", kind, [row(0, videos[0])], output_type=kind)
        with pytest.raises(ConfigError, match=what):
            evaluate(
                tmp_path,
                "videominer_qwen2vl",
                f"pretrained={tiny('qwen2_vl')},selector=oracle",
                kind,
                tmp_path / "tasks",
            )
