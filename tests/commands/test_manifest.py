"""``videominer mine`` on many rows, from arguments to files; models follow rules, everything else is real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.scripted import ColourEmbedder, ColourVLM, RulePolicy, colour_video

from lmms_videominer.cli import main
from lmms_videominer.manifest.run_folder import PARQUET, RESULTS
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Action

SETTINGS = ("search=plain", "events=4", "scan_frames=60", "clustering=none", "max_depth=1", "grain_s=0", "frames=4")
FAST = [*(part for setting in SETTINGS for part in ("--set", setting)), "--quiet"]


class Models(list):
    """The video LLMs that were loaded."""

    @property
    def calls(self) -> int:
        return sum(len(vlm.calls) for vlm in self)


@pytest.fixture
def models(monkeypatch) -> Models:
    """Every model name loads rules that accept red."""
    loaded = Models()

    def load(model, *, config, device=None):
        policy = RulePolicy(lambda text, depth: Action.ACCEPT if "red" in text else Action.DELETE, identity="red")
        loaded.append(ColourVLM())
        return VideoMiner(build_stages(config, loaded[-1], policy, ColourEmbedder()), config)

    monkeypatch.setattr(VideoMiner, "from_pretrained", load)
    return loaded


@pytest.fixture
def films(tmp_path) -> list[str]:
    return [
        colour_video(tmp_path / "a.mp4", [("blue", 3), ("red", 3)]),
        colour_video(tmp_path / "b.mp4", [("green", 3), ("red", 3)]),
    ]


def manifest(folder: Path, *rows: dict) -> str:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(id: str, video: str = "a.mp4", **more) -> dict:
    return {"id": id, "video": video, "question": f"What of {id}?", **more}


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]


def usage_error(*argv: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    return stopped.value.code


def test_every_row_gets_its_result_and_those_that_fail_their_error(models, films, tmp_path, capsys):
    options = {"options": ["a scene in red", "a scene in blue"], "answer": "A"}
    rows = [row("one", **options), row("two", "b.mp4"), row("gone", "absent.mp4"), row("three", **options)]
    argv = ["mine", "--manifest", manifest(tmp_path, *rows), "--out", str(tmp_path / "out"), *FAST]
    assert main(argv) == 1
    told = capsys.readouterr()
    assert "4 rows: 3 mined, 1 failed" in told.out and "2 of 2 answers are right (100.0 %)" in told.out
    assert told.err.startswith("videominer: row gone: ") and "absent.mp4: no such file" in told.err
    found = lines(tmp_path / "out")
    assert [line["id"] for line in found] == ["one", "two", "gone", "three"]
    assert [line["answer"] for line in found] == ["a scene in red"] * 2 + [None, "a scene in red"]
    assert all(3 <= time_s < 6 for line in found for time_s in line["times_s"])
    calls = models.calls
    colour_video(tmp_path / "absent.mp4", [("white", 3), ("red", 3)])
    assert main(argv) == 0 and len(models) == 2  # the row that failed is tried again, the others are not
    assert [line["error"] for line in lines(tmp_path / "out")] == [""] * 4
    assert models.calls > calls
    finished = (tmp_path / "out" / RESULTS).read_bytes()
    assert main(argv) == 0 and len(models) == 2  # nothing is left: no model is loaded
    assert (tmp_path / "out" / RESULTS).read_bytes() == finished


def test_a_row_about_a_part_is_mined_there(models, films, tmp_path):
    path = manifest(tmp_path, row("part", start_s=2.0, end_s=4.0), row("whole"))
    assert main(["mine", "--manifest", path, "--out", str(tmp_path / "out"), *FAST]) == 0
    part, whole = lines(tmp_path / "out")
    assert all(3 <= time_s < 4 for time_s in part["times_s"]) and max(whole["times_s"]) > 5
    assert (part["start_s"], part["end_s"], whole["start_s"], whole["end_s"]) == (2.0, 4.0, 0.0, None)


def test_rows_whose_videos_are_absent_cost_no_model(models, tmp_path, capsys):
    path = manifest(tmp_path, *(row(f"{i}", "absent.mp4") for i in range(12)))
    assert main(["mine", "--manifest", path, "--out", str(tmp_path / "out"), *FAST]) == 1
    told = capsys.readouterr()
    assert not models and told.err.count("no such file") == 10
    assert "2 more rows failed" in told.err and "the same command tries the failed rows again" in told.out


def test_results_are_on_disk_before_later_rows_are_mined(models, films, tmp_path, monkeypatch):
    monkeypatch.setattr("lmms_videominer.selectors.selector.Selector.questions_at_once", 1)
    rows = [row("one"), row("two", "b.mp4"), row("three")]
    seen = []
    generate = ColourVLM.generate

    def dying(self, requests):
        if "What of two?" in requests[0].prompt:
            seen.extend(line["id"] for line in lines(tmp_path / "out"))
            raise KeyboardInterrupt
        return generate(self, requests)

    monkeypatch.setattr(ColourVLM, "generate", dying)
    argv = ["mine", "--manifest", manifest(tmp_path, *rows), "--out", str(tmp_path / "out"), *FAST]
    assert main(argv) == 130
    assert seen == ["one", "three"]  # those on one video together
    monkeypatch.setattr(ColourVLM, "generate", generate)
    assert main(argv) == 0
    assert [line["id"] for line in lines(tmp_path / "out")] == ["one", "two", "three"]
    prompts = [request.prompt for call in models[-1].calls for request in call]
    assert prompts and all("What of two?" in prompt for prompt in prompts)


def test_one_question_on_several_videos_prints_a_table_and_can_be_kept(models, films, tmp_path, capsys):
    argv = ["mine", *films, "--question", "Where is red?", *FAST]
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert told.count("a scene in red") == 2 and told.count("mp4") >= 2 and "00:03" in told
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0
    assert [line["video"] for line in lines(tmp_path / "out")] == films
    assert (tmp_path / "out" / PARQUET).exists()
    assert main([*argv, "--out", str(tmp_path / "out")]) == 0 and len(models) == 2


def test_a_video_that_fails_among_several_leaves_the_others_their_results(models, films, tmp_path, capsys):
    assert main(["mine", films[0], str(tmp_path / "absent.mp4"), "--question", "Where is red?", *FAST]) == 1
    told = capsys.readouterr()
    assert "a scene in red" in told.out and "failed" in told.out
    assert told.err.startswith("videominer: ") and "absent.mp4: no such file" in told.err


def test_bad_rows_stop_before_a_model_is_loaded_or_are_skipped_and_told(models, films, tmp_path, capsys):
    path = manifest(tmp_path, row("one"), row("one"), {"id": "x"})
    argv = ["mine", "--manifest", path, "--out", str(tmp_path / "out"), *FAST]
    assert main(argv) == 1
    assert "questions.jsonl:2: id 'one' already occurs at" in capsys.readouterr().err
    assert not models and not (tmp_path / "out").exists()
    assert main([*argv, "--bad-rows", "skip"]) == 0
    assert "1 rows: 1 mined, 0 failed, 2 bad ones skipped" in capsys.readouterr().out


def test_a_model_that_dies_ends_the_run_with_what_came_before_on_disk(models, films, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lmms_videominer.selectors.selector.Selector.questions_at_once", 1)
    generate = ColourVLM.generate

    def dying(self, requests):
        if len(self.calls) > 1:
            raise RuntimeError("device-side assert")
        return generate(self, requests)

    monkeypatch.setattr(ColourVLM, "generate", dying)
    path = manifest(tmp_path, row("one"), row("two", "b.mp4"))
    assert main(["mine", "--manifest", path, "--out", str(tmp_path / "out"), *FAST]) == 1
    assert "device-side assert" in capsys.readouterr().err
    assert [line["id"] for line in lines(tmp_path / "out")] == ["one"]


def test_the_folder_of_another_run_is_refused_before_a_model_is_loaded(models, films, tmp_path, capsys):
    argv = ["mine", "--manifest", manifest(tmp_path, row("one")), "--out", str(tmp_path / "out"), *FAST]
    assert main(argv) == 0 and len(models) == 1
    assert main([*argv, "--seed", "3"]) == 1 and len(models) == 1
    assert "seed was 0, is 3" in capsys.readouterr().err
    assert main([*argv, "--seed", "3", "--dry-run"]) == 1
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / RESULTS).write_text("of another program\n")
    assert main([*argv[:3], "--out", str(foreign), *FAST]) == 1
    assert [path.name for path in foreign.iterdir()] == [RESULTS]


def test_a_dry_run_says_what_is_to_do_and_what_it_may_cost_and_writes_nothing(models, films, tmp_path, capsys):
    rows = [row("one"), row("two", "b.mp4"), row("gone", "absent.mp4")]
    argv = ["mine", "--manifest", manifest(tmp_path, *rows), "--out", str(tmp_path / "out"), *FAST]
    assert main([*argv, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "3 rows on 3 videos" in told and "0 done, 3 to do" in told and "1 row will fail" in told
    assert "To mine: 2 rows on 2 videos, 12 s of film" in told and "~" in told
    assert not models and not (tmp_path / "out").exists()
    main(argv)
    capsys.readouterr()
    path = manifest(tmp_path, *rows, *(row(f"more {i}") for i in range(4)))
    assert main(["mine", "--manifest", path, "--out", str(tmp_path / "out"), *FAST, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "2 done, 5 to do, with 1 row that failed before" in told and "like the 2 done" in told
    captions = next(line for line in told.splitlines() if "captions" in line)
    assert [cell.strip() for cell in captions.split("│")[2:4]] == ["16", "16"]  # 4 events each
    assert "~" not in told  # measured


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--manifest", "q.jsonl", "film.mp4", "--out", "o"], "leave VIDEO, --question and --option out"),
        (["--manifest", "q.jsonl", "--question", "?", "--out", "o"], "leave VIDEO, --question and --option out"),
        (["--manifest", "q.jsonl"], "--manifest needs --out DIR"),
        (["--manifest", "q.jsonl", "--out", "o", "--json", "tree.json"], "--json is for one question on one VIDEO"),
        (["a.mp4", "b.mp4", "--question", "?", "--frames-dir", "f"], "--frames-dir is for one question on one VIDEO"),
        (["a.mp4", "--question", "?", "--out", "o", "--sheet", "s.jpg"], "--sheet is for one question on one VIDEO"),
        (["a.mp4", "b.mp4"], "--question is missing"),
        (["--question", "?"], "name a VIDEO and a --question, or a --manifest"),
        (["a.mp4", "--question", "?", "--bad-rows", "skip"], "--bad-rows belongs to --manifest"),
    ],
)
def test_arguments_that_do_not_go_together_are_a_usage_error(argv, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert usage_error("mine", *argv) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
