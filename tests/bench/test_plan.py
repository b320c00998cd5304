"""Which cells there are, and what tells them apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmms_videominer.bench import plan
from lmms_videominer.bench.plan import Settings, plan_cells, settings_of, weights_of
from lmms_videominer.bench.running import folder_of
from lmms_videominer.bench.variants import parse_variants
from lmms_videominer.errors import ConfigError

PLAIN = Settings(passed=(("pretrained", "Qwen/Qwen2-VL-7B-Instruct"),))


def cells(*specs: str, settings: Settings = PLAIN, frames=(8,), tasks=("videomme",)):
    return plan_cells(settings, tasks, parse_variants(specs), frames)


def key(*specs: str, **more) -> str:
    (cell,) = cells(*specs, **more)
    return cell.key


def test_every_task_and_count_has_every_variant_and_text_only_once_a_task():
    found = [(c.task, c.frames, c.variant.label) for c in cells("none", "aks", frames=(16, 8), tasks=("a", "b"))]
    assert found == [(task, *rest) for task in "ab" for rest in ((0, "none"), (8, "aks"), (16, "aks"))]


def test_a_key_depends_on_what_is_run_not_on_how_it_is_called():
    plain = key("videominer")
    assert plain == key("mine=videominer") == key("videominer:events=16,seed=0")  # the defaults
    assert plain == key("videominer", settings=dataclasses.replace(PLAIN, batch_size=1))
    others = [key("videominer:events=8"), key("aks"), key("videominer", frames=(9,)), key("videominer", tasks=("b",))]
    for name, value in (
        ("limit", 3),
        ("caches", ("cold",)),
        ("include_path", "x"),
        ("model", "videominer_qwen3_vl"),
        ("passed", (("pretrained", "other"),)),
    ):
        others.append(key("videominer", settings=dataclasses.replace(PLAIN, **{name: value})))
    assert len({plain, *others}) == 10


def test_a_key_tells_defaults_that_have_changed(monkeypatch):
    plain = key("videominer")
    changed = {**plan._defaults("videominer"), "segmenter": "histogram"}
    monkeypatch.setattr(plan, "_defaults", lambda selector: changed)
    (cell,) = cells("videominer:segmenter=histogram")
    assert "segmenter" not in cell.arguments and cell.key != plain


def test_a_key_does_not_hang_on_how_a_folder_of_weights_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("policy", "copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("weights")
    spellings = ("policy", "./policy", str(tmp_path / "policy"), "copy")
    assert len({key(f"videominer:policy={spelled}") for spelled in spellings}) == 1
    (cell,) = cells("videominer:policy=./policy")
    assert cell.arguments["policy"] == cell.identity["arguments"]["policy"] == "./policy"  # as it was called


def test_a_key_changes_with_the_weights_in_a_folder_and_with_the_world(tmp_path, monkeypatch):
    folder = tmp_path / "policy"
    folder.mkdir()
    keys = set()
    for content in ("one", "two"):
        (folder / "model.safetensors").write_text(content)
        weights_of.cache_clear()
        keys.add(key(f"videominer:policy={folder}"))
    monkeypatch.setenv("VIDEOMINER_WORLD", str(tmp_path))
    keys.add(key(f"videominer:policy={folder}"))
    assert len(keys) == 3


def test_a_cells_command_is_lmms_evals():
    settings = settings_of(
        "videominer_qwen2vl",
        "some/model",
        ["min_pixels=3136", "max_depth=2"],
        "some/policy",
        7,
        limit=5,
        caches=("cold",),
        include_path="mine",
    )
    (cell,) = cells("aks:aks_depth=3", settings=settings)
    command = cell.command(Path("/out"), Path("/cache"))
    assert command[1:] == [
        "-m",
        "lmms_eval",
        "--model",
        "videominer_qwen2vl",
        "--tasks",
        "videomme",
        "--model_args",
        "pretrained=some/model,min_pixels=3136,selector=aks,frames=8,max_depth=2,policy=some/policy,seed=7,"
        "aks_depth=3,cache_dir=/cache",
        "--batch_size",
        "16",
        "--log_samples",
        "--output_path",
        "/out",
        "--limit",
        "5",
        "--include_path",
        "mine",
    ]


def test_the_plain_backbone_gets_a_count_of_frames_that_is_named():
    (cell,) = cells("uniform")
    assert cell.arguments["frames"] == "8"  # a default, and named all the same


def test_a_backbone_that_calls_its_weights_otherwise_gets_no_bundle():
    assert settings_of("videominer_vllm", "", ["model=a/b"]).passed == (("model", "a/b"),)
    assert settings_of("videominer_qwen2vl", "", []).passed == (("pretrained", "videominer-world"),)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("qwen2_vl", "", []), "did you mean 'videominer_qwen2_vl'"),
        (("gpt5", "", []), "not one of the plugin"),
        (("videominer", "", ["max_depth"]), "expected NAME=VALUE"),
        (("videominer", "", ["selector=aks"]), "--selectors"),
        (("videominer", "", ["frames=3"]), "--frames"),
        (("videominer", "", ["cache_dir=x"]), "--cold"),
        (("videominer", "a,b", []), "cannot contain one"),
    ],
)
def test_what_cannot_be_is_refused(arguments, told):
    with pytest.raises(ConfigError, match=told):
        settings_of(*arguments)


def test_two_variants_of_the_same_settings_are_refused():
    with pytest.raises(ConfigError, match="'videominer' and 'b' have the same settings"):
        cells("videominer", "b=videominer:clustering=event")


def test_a_cells_name_is_fit_for_a_folder():
    (cell,) = cells("a b/c=videominer:policy=x/y", tasks=("some/task",))
    assert cell.name == f"some_task-a_b_c-8f-shared-{cell.key}" and len(cell.key) == 12


def test_folders_of_cells_lie_in_the_comparison_whatever_variants_are_called(tmp_path):
    labels = ["../../x", "a/b", "a_b", "a b", "..", "/etc", "l" * 300, "CON", "a\\b", "A/b"]
    settings = settings_of("videominer_qwen2vl", "", [])
    variants = parse_variants([f"{label}=videominer:events={i + 2}" for i, label in enumerate(labels)])
    cells = plan_cells(settings, ["../task/x"], variants, [4])
    folders = [folder_of(tmp_path / "out", cell) for cell in cells]
    assert {folder.parent.resolve() for folder in folders} == {(tmp_path / "out" / "cells").resolve()}
    assert len({folder.name.lower() for folder in folders}) == len(labels)
    for folder, cell in zip(folders, cells):
        folder.mkdir(parents=True)
        assert len(folder.name) < 130 and folder_of(tmp_path / "out", cell) == folder
