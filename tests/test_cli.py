"""The command line, from arguments to files; models follow rules, everything else is real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.mined import mined_selection
from support.scripted import ColourVLM, colour_video, finder
from support.tiny_models import tiny_qwen2_lm, tiny_qwen2_vl

from lmms_videominer.cli import COMMANDS, main
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ModelError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.settings import setting_names
from lmms_videominer.store import selection_json
from lmms_videominer.types import Span


class LetterVLM(ColourVLM):
    """Captions by colour; answers with the last option whose colour it sees."""

    def generate(self, requests):
        return [self._letter(r, text) for r, text in zip(requests, super().generate(requests))]

    def _letter(self, request, text):
        options = [line for line in request.prompt.splitlines() if line[1:3] == ". "]
        return next((line[0] for line in reversed(options) if line[3:] in text), text)


@pytest.fixture
def video(tmp_path):
    return colour_video(tmp_path / "film.mp4", [("blue", 6), ("red", 3), ("green", 6)])


@pytest.fixture
def miner(monkeypatch, tmp_path):
    """Every model name loads rules that look for red; returns what was asked for."""
    asked = []

    def load(model, *, config, device=None):
        asked.append((model, config))
        return VideoMiner(build_stages(config, LetterVLM(), finder("red")), config)

    monkeypatch.setattr(VideoMiner, "from_pretrained", load)
    return asked


def usage_error(*argv: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    return stopped.value.code


FAST = (
    "--set",
    "search=plain",
    "--set",
    "events=4",
    "--set",
    "scan_frames=60",
    "--set",
    "clustering=none",
    "--set",
    "max_depth=2",
    "--set",
    "grain_s=0",
    "--quiet",
)


def test_mine_prints_and_writes_everything(miner, video, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    code = main(
        [
            "mine",
            video,
            "--question",
            "What colour is the car?",
            "--option",
            "blue",
            "red",
            "--option",
            "green",
            "--frames",
            "4",
            "--json",
            str(out / "tree.json"),
            "--frames-dir",
            str(out / "frames"),
            "--sheet",
            str(out / "sheet.jpg"),
            *FAST,
        ]
    )
    told = capsys.readouterr().out
    assert code == 0
    assert "accept" in told and "delete" in told and "> B. red" in told
    selection = selection_json.load(out / "tree.json")
    assert selection.question.options == ("blue", "red", "green") and selection.answer == "B"
    assert len(selection.key_frames) == 4 and all(6 <= frame.time_s < 9 for frame in selection.key_frames)
    pictures = sorted((out / "frames").iterdir())
    assert pictures[0].name == f"00h00m{selection.key_frames[0].time_s:06.3f}s.png"
    assert len(pictures) == 4
    for picture in pictures:  # red, as the video is there
        assert np.asarray(Image.open(picture)).reshape(-1, 3).mean(0) == pytest.approx([200, 20, 20], abs=3)
    assert Image.open(out / "sheet.jpg").format == "JPEG"


def test_settings_reach_the_miner_from_flags_and_from_set(miner, video):
    assert (
        main(
            [
                "mine",
                video,
                "--question",
                "?",
                "--model",
                "a/b",
                "--selector",
                "uniform",
                "--frames",
                "3",
                "--seed",
                "7",
                "--policy",
                "p",
                "--embedder",
                "e",
                "--set",
                "cluster_eps=0.25",
                "--set",
                "reader=pyav",
            ]
        )
        == 0
    )
    model, config = miner[0]
    assert model == "a/b"
    assert config == MinerConfig(
        selector="uniform", frames=3, seed=7, policy="p", embedder="e", cluster_eps=0.25, reader="pyav"
    )


def test_every_setting_is_reachable_by_set_or_flag(miner, video, capsys):
    usage_error("mine", "--help")
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in MinerConfig.names())
    usage_error("mine", "--list-settings")
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in setting_names())


def test_a_setting_given_as_a_flag_that_there_is_not_names_the_way(capsys):
    usage_error("mine", "film.mp4", "--question", "?", "--events", "8")
    assert "events is a setting: --set events=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("max_dept=2", "did you mean 'max_depth'?"),
        ("events=many", "expected int"),
        ("events=1", "at least 2"),
        ("frames=3", "frames is given twice"),
        ("events", "expected NAME=VALUE"),
    ],
)
def test_a_wrong_setting_is_a_usage_error_that_helps(miner, video, capsys, setting, told):
    assert usage_error("mine", video, "--question", "?", "--frames", "2", "--set", setting) == 2
    assert told in capsys.readouterr().err
    assert not miner  # nothing was loaded for it


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("dig",),
        ("mine", "v.mp4"),
        ("mine", "v.mp4", "--question", "?", "--sheet", "sheet.pdf"),
        ("mine", "v.mp4", "--question", "?", "--start", "1:90"),
        ("mine", "v.mp4", "--question", "?", "--start", "1:30", "--end", "90"),
        ("mine", "--manifest", "q.jsonl", "--out", "o", "--start", "5"),
        ("world", "d", "--minutes", "0.5", "--videos", "1", "--seed", "1"),
        ("world", "d", "--minutes", "5", "--videos", "0", "--seed", "1"),
        ("world", "d", "--minutes", "5", "--videos", "1", "--seed", "1", "--nuisances", "flashs"),
    ],
)
def test_usage_errors_exit_with_2(argv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert usage_error(*argv) == 2
    assert not list(tmp_path.iterdir())


def test_a_bad_video_is_one_line_on_stderr_and_exit_1(miner, tmp_path, capsys):
    path = tmp_path / "empty.mp4"
    path.write_bytes(b"")
    assert main(["mine", str(path), "--question", "?", *FAST]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("videominer: ") and "empty.mp4" in captured.err
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err and not captured.out


def test_a_model_that_is_absent_exits_with_1(monkeypatch, video, capsys):
    def load(model, **_):
        raise ModelError(f"{model}: no such model. Name another.")

    monkeypatch.setattr(VideoMiner, "from_pretrained", load)
    assert main(["mine", video, "--question", "?", "--model", "no/such"]) == 1
    assert capsys.readouterr().err == "videominer: no/such: no such model. Name another.\n"


def test_an_output_folder_that_cannot_be_made_is_told_before_the_work(miner, video, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert usage_error("mine", video, "--question", "?", "--json", str(tmp_path / "file" / "x" / "tree.json")) == 2
    assert "cannot be created" in capsys.readouterr().err and not miner


def test_show_prints_what_was_stored_and_draws_its_sheet(miner, video, tmp_path, capsys):
    tree = tmp_path / "tree.json"
    assert main(["mine", video, "--question", "What colour?", "--json", str(tree), *FAST]) == 0
    mined = capsys.readouterr().out.replace(f"wrote {tree}\n", "")
    assert main(["show", str(tree), "--sheet", str(tmp_path / "sheet.png")]) == 0
    shown = capsys.readouterr().out
    assert shown == mined + f"wrote {tmp_path / 'sheet.png'}\n"
    assert Image.open(tmp_path / "sheet.png").width == 1600


def test_mine_searches_a_part_cuts_it_out_and_show_does_so_from_a_moved_video(miner, video, tmp_path, capsys):
    tree, asked = tmp_path / "tree.json", ("--question", "What colour?", "--start", "0:07", "--end", "0:00:12.5")
    assert main(["mine", video, *asked, "--json", str(tree), "--clips-dir", str(tmp_path / "clips"), *FAST]) == 0
    told = capsys.readouterr().out
    selection, clip = selection_json.load(tree), tmp_path / "clips" / "00h00m07.000s-00h00m09.000s.mp4"
    assert selection.accepted == (Span(7.0, 9.0),) and "searched 0:00:07.0-0:00:12.5" in " ".join(told.split())
    assert f"wrote {clip}\n" in told and clip.is_file()
    clip.rename(tmp_path / "kept.mp4")
    (tmp_path / "away").mkdir()
    moved = Path(video).rename(tmp_path / "away" / "film.mp4")
    shown = ("show", str(tree), "--clips-dir", str(tmp_path / "clips"))
    assert main(shown) == 1 and "--video PATH" in capsys.readouterr().err and not clip.exists()
    for place in (moved, moved.parent):
        assert main([*shown, "--video", str(place)]) == 0 and clip.read_bytes() == (tmp_path / "kept.mp4").read_bytes()
        clip.unlink()


def test_show_prints_several_trees_each_under_its_name_and_draws_one_only(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.json", "b.json"):
        selection_json.save(mined_selection(), tmp_path / name)
    assert main(["show", "a.json"]) == 0
    alone = capsys.readouterr().out
    assert main(["show", "a.json", "b.json"]) == 0
    assert capsys.readouterr().out == f"a.json:\n{alone}b.json:\n{alone}"
    assert main(["show", "a.json", "b.json", "--sheet", "sheet.jpg"]) == 1
    assert "--sheet need a single tree" in capsys.readouterr().err


def test_show_prints_the_reasons_of_each_decision(tmp_path, capsys):
    selection_json.save(mined_selection(), tmp_path / "tree.json")
    assert main(["show", str(tmp_path / "tree.json")]) == 0
    assert "<think>" not in capsys.readouterr().out
    assert main(["show", str(tmp_path / "tree.json"), "--why"]) == 0
    told = capsys.readouterr().out
    assert told.count("<think>") == sum(node.decision is not None for node in mined_selection().nodes)
    assert "<think>it shows a red triangle beside a sign with a star</think>" in " ".join(told.split())


def test_show_takes_folders_and_logged_samples(tmp_path, capsys):
    trees = tmp_path / "trees"
    for name in ("a.json", "b.json"):
        selection_json.save(mined_selection(), trees / name)
    assert main(["show", str(trees)]) == 0
    told = capsys.readouterr().out
    assert "a.json:" in told and "b.json:" in told and told.count("Which sign appears") == 2
    sample = {"doc_id": 7, "target": "C", "token_counts": [{"videominer": {"tree": str(trees / "a.json")}}]}
    (tmp_path / "x_samples_t.jsonl").write_text(json.dumps(sample) + "\n")
    assert main(["show", str(tmp_path / "x_samples_t.jsonl")]) == 0
    assert capsys.readouterr().out.count("Which sign appears") == 1


def test_a_tree_and_its_video_can_move_together_and_apart(miner, video, tmp_path, capsys, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "out").mkdir(parents=True)
    (here / "film.mp4").write_bytes(Path(video).read_bytes())
    monkeypatch.chdir(here)
    assert main(["mine", "film.mp4", "--question", "What colour?", "--json", "out/tree.json", *FAST]) == 0
    monkeypatch.chdir(tmp_path)
    here.rename(there)
    tree = str(there / "out" / "tree.json")
    assert selection_json.load(tree).question.video == "../film.mp4"
    assert main(["show", tree, "--sheet", "one.jpg"]) == 0
    (there / "film.mp4").rename(tmp_path / "moved.mp4")
    assert main(["show", tree, "--sheet", "two.jpg"]) == 1
    assert main(["show", tree, "--sheet", "three.jpg", "--video", "moved.mp4"]) == 0
    assert Image.open("one.jpg").size == Image.open("three.jpg").size


def test_show_refuses_what_is_no_tree_and_misses_no_file_silently(tmp_path, capsys):
    (tmp_path / "tree.json").write_text('{"schema_version": 99}')
    assert main(["show", str(tmp_path / "tree.json")]) == 1
    assert "schema_version is 99" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "none.json")]) == 1
    assert "none.json: cannot be read" in capsys.readouterr().err


def test_show_without_the_video_still_prints_but_draws_no_sheet(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    selection_json.save(mined_selection(), tmp_path / "tree.json")
    assert main(["show", "tree.json"]) == 0
    assert main(["show", "tree.json", "--sheet", "sheet.jpg"]) == 1
    assert "desert.mp4" in capsys.readouterr().err and not (tmp_path / "sheet.jpg").exists()


def test_world_writes_videos_and_questions(tmp_path, capsys):
    folder = tmp_path / "world"
    assert (
        main(
            [
                "world",
                str(folder),
                "--minutes",
                "1",
                "--videos",
                "2",
                "--seed",
                "3000001",
                "--questions",
                "2",
                "--workers",
                "1",
                "--nuisances",
                "fades",
                "--quiet",
            ]
        )
        == 0
    )
    assert capsys.readouterr() == (f"{folder / 'qa.jsonl'}\n", "")
    rows = [json.loads(line) for line in (folder / "qa.jsonl").read_text().splitlines()]
    assert len({row["video"] for row in rows}) == 2
    assert all((folder / row["video"]).stat().st_size > 1000 for row in rows)


def test_demo_says_whether_the_answer_is_right_and_the_evidence_hit(miner, tmp_path, capsys):
    argv = ["demo", "--minutes", "1", "--out", str(tmp_path / "demo"), "--quiet", "--selector"]
    assert main([*argv, "oracle"]) == 0
    told = capsys.readouterr().out
    assert "8 of 8 key frames are in it" in told and "(right)" in told and "The answer " in told
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"tree.json", "sheet.jpg", "frames"}
    selection = selection_json.load(tmp_path / "demo" / "tree.json")
    windows = len(selection.question.evidence)
    assert f"{windows} of {windows} windows are hit" in told
    assert main([*argv, "none"]) == 0
    assert "0 of 0 key frames are in it, 0 of" in capsys.readouterr().out


def test_doctor_exits_with_what_it_finds(monkeypatch, capsys):
    from lmms_videominer.commands import checks as doctor

    found = [doctor.Check("python", doctor.Status.OK, "3.11")]
    monkeypatch.setattr(doctor, "run_checks", lambda: found)
    assert main(["doctor"]) == 0
    found.append(doctor.Check("decoder pyav", doctor.Status.WRONG, "no frames", "pip install av"))
    assert main(["doctor", "--quiet"]) == 1
    told = capsys.readouterr().out
    assert "pip install av" in told


@pytest.mark.parametrize("name", [add.__name__.removeprefix("add_").replace("_", "-") for add in COMMANDS])
def test_every_command_has_examples_that_parse(name, capsys):
    assert usage_error(name, "--help") == 0
    told = capsys.readouterr().out
    assert "examples:" in told and f"  videominer {name}" in told


@pytest.mark.launches
def test_help_needs_no_heavy_import():
    code = (
        "import sys, lmms_videominer.cli as cli\ntry: cli.main(['mine', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'rich', 'PIL', 'av', 'lmms_eval'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.launches
def test_python_m_runs_the_command():
    done = subprocess.run([sys.executable, "-m", "lmms_videominer", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("videominer 0.")


def test_real_weights_from_a_bundle_folder(tmp_path, video, monkeypatch, capsys):
    """Nothing is replaced: tiny random models on disk, a policy that talks nonsense, then a run from the cache."""
    bundle = tmp_path / "bundle"
    tiny_qwen2_vl(bundle / "vlm")
    tiny_qwen2_lm(bundle / "policy")
    (bundle / "embedder").mkdir()  # not loaded: nothing is clustered
    (bundle / "bundle.json").write_text(json.dumps({name: name for name in ("vlm", "policy", "embedder")}))
    argv = [
        "mine",
        video,
        "--question",
        "Where is the red disc?",
        "--option",
        "one",
        "two",
        "--model",
        str(bundle),
        "--frames",
        "4",
        "--json",
        str(tmp_path / "tree.json"),
        "--sheet",
        str(tmp_path / "sheet.jpg"),
        "--set",
        "search=plain",
        "--set",
        "max_depth=1",
        "--set",
        "events=3",
        "--set",
        "scan_frames=30",
        "--set",
        "clustering=none",
        "--set",
        "caption_tokens=4",
        "--set",
        "policy_tokens=4",
        "--set",
        "default_action=accept",
        "--set",
        "grain_s=0",
        "--quiet",
    ]
    assert main(argv) == 0
    assert "unreadable, default taken" in capsys.readouterr().out
    first = selection_json.load(tmp_path / "tree.json")
    assert first.usage.vlm_calls == 3 and len(first.key_frames) == 4 and first.answer is not None
    assert main(argv) == 0
    assert "0 captions made, 3 from the cache" in capsys.readouterr().out
