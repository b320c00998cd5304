from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest
from support.scripted import ColourEmbedder, ColourScorer, ColourVLM, SamplingPolicy, always, finder

from lmms_videominer.cli import main
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.policy.text_only_vlm import TextOnlyVLM
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.settings import configured
from lmms_videominer.store.selection_json import load
from lmms_videominer.training.data import read_questions
from lmms_videominer.training.difficulty import DifficultyConfig, DifficultyFilter
from lmms_videominer.training.verdicts import Verdict, VerdictFile
from lmms_videominer.types import Action

MINING = MinerConfig(
    search="plain",
    frames=2,
    events=4,
    scan_frames=64,
    caption_frames=2,
    max_depth=2,
    clustering="none",
    cache_dir="off",
)
CONFIG = DifficultyConfig(trees=3, uniform_frames=2, questions_at_once=2)


def asked(film: str, id: str, right: str) -> QuestionRow:
    """With an answer that the colours' video LLM can give, and one that it cannot."""
    return QuestionRow(id, film, "What is there?", (f"a scene in {right}", "a scene in pink"), "A")


@pytest.fixture(scope="module")
def questions(film) -> list[QuestionRow]:
    """Two uniform frames of 35 s are at 8.75 s and 26.25 s: green and yellow."""
    broken = dataclasses.replace(asked(film, "broken", "yellow"), video=str(Path(film).with_name("none.mp4")))
    return [
        asked(film, "easy", "green and yellow"),
        asked(film, "kept", "yellow"),
        asked(film, "hard", "pink and red"),
        broken,
    ]


class Hesitant:
    """Finds yellow, except that of each three trees that grow together the first deletes everything."""

    identity = "hesitant"

    def complete(self, prompts, temperature, seeds):
        seen = Counter()
        replies = []
        for prompt in prompts:
            errs = "Depth: 1 " in prompt and seen[prompt] % 3 == 0
            seen[prompt] += 1
            policy = always(Action.DELETE) if errs else finder("yellow")
            replies += policy.complete([prompt], temperature, [0])
        return replies


def make(path: Path, policy=None, config: DifficultyConfig = CONFIG, trees_dir: Path | None = None, **settings):
    mining = dataclasses.replace(MINING, **settings)
    stages = build_stages(mining, ColourVLM(), policy or Hesitant())
    return DifficultyFilter(stages, mining, VerdictFile(path), config, trees_dir)


def ids(questions: list[QuestionRow]) -> list[str]:
    return [question.id for question in questions]


def test_questions_are_told_apart_by_what_solves_them(questions, tmp_path):
    report = make(tmp_path / "v.jsonl").run(questions)
    assert (ids(report.easy), ids(report.kept), ids(report.hard), ids(report.failed)) == (
        ["easy"],
        ["kept"],
        ["hard"],
        ["broken"],
    )
    assert "none.mp4" in report.failures["broken"]
    assert str(report) == (
        "kept 1 of 4 questions: 1 are solved by 2 uniform frames, 0 by all and 1 by none of 3 trees, 1 cannot be mined"
    )


def test_what_all_trees_solve_is_dropped_and_counted(questions, tmp_path):
    report = make(tmp_path / "v.jsonl", finder("yellow")).run(questions)
    assert (ids(report.easy), ids(report.solved), ids(report.kept), ids(report.hard)) == (
        ["easy"],
        ["kept"],
        [],
        ["hard"],
    )
    assert "1 by all and 1 by none of 3 trees" in str(report)


def test_what_the_only_tree_solves_is_kept(questions, tmp_path):
    config = dataclasses.replace(CONFIG, trees=1)  # nothing says that another tree would solve it, too
    report = make(tmp_path / "v.jsonl", finder("yellow"), config).run(questions[:3])
    assert (ids(report.kept), ids(report.solved)) == (["kept"], [])


@pytest.mark.parametrize(("frames", "asked_for", "easy"), [(2, None, True), (1, None, False), (1, 2, True)])
def test_uniform_frames_are_as_many_as_the_fallback_shows_unless_told_otherwise(
    questions, tmp_path, frames, asked_for, easy
):
    config = DifficultyConfig(trees=1, uniform_frames=asked_for)
    judge = make(tmp_path / "v.jsonl", always(Action.DELETE), config, frames=frames)
    report = judge.run(questions[:1])  # right with two uniform frames, not with one
    assert (ids(report.easy) == ["easy"]) is easy
    assert f"solved by {asked_for or frames} uniform frames" in str(report)


def test_a_question_on_which_nothing_is_decided_is_not_kept(questions, tmp_path):
    report = make(tmp_path / "v.jsonl", grain_s=9.0).run(questions)  # 4 events x 9 s cover the 35 s without a tree
    assert (ids(report.easy), ids(report.short), ids(report.kept)) == (["easy"], ["kept", "hard"], [])
    assert str(report).endswith("1 cannot be mined, 2 are too short to be searched")


def test_one_right_tree_among_many_is_enough(film, tmp_path):
    question = asked(film, "q", "blue and yellow")
    filter_ = make(tmp_path / "v.jsonl", SamplingPolicy(), DifficultyConfig(trees=16, uniform_frames=2))
    report = filter_.run([question])
    verdict = filter_.verdicts.get(filter_.key("trees", question))
    assert verdict.of == 16 and 0 < verdict.solved < 16 and ids(report.kept) == ["q"]


def test_a_second_run_asks_no_model_again(questions, tmp_path):
    first = make(tmp_path / "v.jsonl").run(questions)
    policy = always(Action.DELETE)
    policy.identity = Hesitant().identity
    again = make(tmp_path / "v.jsonl", policy)
    assert again.run(questions[:3]) == dataclasses.replace(first, failed=[], failures={})
    assert not policy.calls and not again.stages.vlm.calls


def test_another_policy_is_judged_anew_uniform_frames_are_not(questions, tmp_path):
    make(tmp_path / "v.jsonl").run(questions[:2])
    policy = always(Action.DELETE)
    policy.identity = "another"
    other = make(tmp_path / "v.jsonl", policy)
    other.run(questions[:2])
    steps = [json.loads(line)["step"] for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert steps.count("uniform") == 2 and steps.count("trees") == 2 and policy.calls


@pytest.mark.parametrize("change", [{"max_depth": 1}, {"frames": 3}, {"seed": 1}])
def test_other_settings_give_other_keys(questions, tmp_path, change):
    one, other = make(tmp_path / "v.jsonl"), make(tmp_path / "v.jsonl", **change)
    assert one.key("trees", questions[0]) != other.key("trees", questions[0])
    assert one.key("uniform", questions[0]) == other.key("uniform", questions[0])


def test_another_image_text_model_is_judged_anew_uniform_frames_are_not(questions, tmp_path):
    def keys(scorer: ColourScorer | None) -> list[str]:
        mining = dataclasses.replace(MINING, search="best-first" if scorer else "plain")
        stages = build_stages(mining, ColourVLM(), Hesitant(), ColourEmbedder(), scorer=scorer)
        filter_ = DifficultyFilter(stages, mining, VerdictFile(tmp_path / "v.jsonl"), CONFIG)
        return [filter_.key(step, questions[0]) for step in ("trees", "uniform")]

    one, other, same = (keys(ColourScorer(identity)) for identity in ("one", "other", "one"))
    assert one == same and one[0] != other[0] and one[1] == other[1]


def test_a_run_that_is_killed_keeps_the_batches_that_were_done(questions, film, tmp_path):
    class Killed(BaseException):
        pass

    policy = finder("yellow")
    rule, policy.rule = policy.rule, None

    def dies_later(caption, depth):
        if sum(len(call) for call in policy.calls) > 60:
            raise Killed
        return rule(caption, depth)

    policy.rule = dies_later
    many = [asked(film, f"q{i}", "yellow") for i in range(8)]
    with pytest.raises(Killed):
        make(tmp_path / "v.jsonl", policy).run(many)
    done = [json.loads(line)["id"] for line in (tmp_path / "v.jsonl").read_text().splitlines() if '"trees"' in line]
    assert done and len(done) < 8
    policy.rule = rule
    policy.calls.clear()
    report = make(tmp_path / "v.jsonl", policy).run(many)
    assert len(report.solved) == 8
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert sorted(line["id"] for line in lines if line["step"] == "trees") == sorted(ids(many))


def test_parts_share_the_questions_and_the_file(questions, tmp_path):
    one = make(tmp_path / "v.jsonl").run(questions, part=(1, 2))
    assert ids(one.undecided) == ["kept", "broken"] and "2 are left to other parts" in str(one)
    two = make(tmp_path / "v.jsonl").run(questions, part=(2, 2))
    assert (ids(two.easy), ids(two.kept), ids(two.hard), ids(two.failed)) == (["easy"], ["kept"], ["hard"], ["broken"])


def test_a_video_that_failed_is_tried_again(questions, film, tmp_path):
    path = tmp_path / "late.mp4"
    late = dataclasses.replace(questions[1], video=str(path))
    assert ids(make(tmp_path / "v.jsonl").run([late]).failed) == ["kept"]
    path.write_bytes(Path(film).read_bytes())
    assert ids(make(tmp_path / "v.jsonl").run([late]).kept) == ["kept"]


def test_trees_are_saved_with_their_verdict(questions, tmp_path):
    make(tmp_path / "v.jsonl", trees_dir=tmp_path / "trees").run(questions[:3])
    names = sorted(path.name for path in (tmp_path / "trees").iterdir())
    right = {"kept.tree-1", "kept.tree-2"}
    trees = [f"{id}.tree-{tree}" for id in ("hard", "kept") for tree in range(3)]
    assert names == [f"{tree}.{'right' if tree in right else 'wrong'}.json" for tree in trees]
    assert load(tmp_path / "trees" / names[-1]).answer == "a scene in yellow"


# the file of verdicts


def test_processes_that_write_at_once_lose_no_line(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "v.jsonl"
    files = [VerdictFile(path) for _ in range(4)]

    def write(number: int) -> None:
        for i in range(20):
            files[number].add([Verdict(f"{number}-{i}-{k}", "q" * 200, "trees", i, 8) for k in range(3)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    read = VerdictFile(path)
    assert all(read.get(f"{n}-{i}-{k}").solved == i for n in range(4) for i in range(20) for k in range(3))
    assert len(path.read_text().splitlines()) == 240


def test_a_line_that_a_killed_process_left_unfinished_is_skipped(tmp_path, caplog):
    path = tmp_path / "v.jsonl"
    VerdictFile(path).add([Verdict("a", "a", "trees", 1, 8)])
    path.write_text(path.read_text() + path.read_text()[:25])
    file = VerdictFile(path)
    file.add([Verdict("b", "b", "trees", 2, 8)])
    assert (file.get("a").solved, file.get("b").solved, VerdictFile(path).get("b").solved) == (1, 2, 2)
    assert "1 lines are not verdicts" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "[]",
        '{"key": "b"}',
        '{"key": "b", "id": "b", "step": "trees", "solved": %s, "of": 8, "failure": ""}' % ("9" * 6000),
        '{"key": "b", "id": "b", "step": "trees", "solved": NaN, "of": 8, "failure": ""}',
        '{"key": "b", "id": "b", "step": "trees", "solved": true, "of": 8, "failure": ""}',
        '{"key": "b", "id": "b", "step": "trees", "solved": 1, "of": "8", "failure": ""}',
        '{"key": "b", "id": "b", "step": "trees", "solved": -1, "of": 8, "failure": ""}',
        '{"key": ["b"], "id": "b", "step": "trees", "solved": 1, "of": 8, "failure": ""}',
        '{"key": "b", "id": "b", "step": 3, "solved": 1, "of": 8, "failure": ""}',
        "\x00\x01",
    ],
)
def test_a_foreign_line_is_skipped_and_told(line, tmp_path, caplog):
    path = tmp_path / "v.jsonl"
    VerdictFile(path).add([Verdict("a", "a", "trees", 1, 8)])
    path.write_text(line + "\n" + path.read_text())
    file = VerdictFile(path)
    assert file.get("a").solved == 1 and file.get("b") is None
    assert "1 lines are not verdicts" in caplog.text


# bad input, command line


def test_verdicts_of_the_captioner_are_none_of_the_policy_to_train(tmp_path):
    judged = configured(MINING, videominer_judge="caption")
    stages = build_stages(judged, ColourVLM(), finder("yellow"))
    with pytest.raises(ConfigError, match="videominer_judge=caption: T-GRPO learns from the policy's decisions"):
        DifficultyFilter(stages, judged, VerdictFile(tmp_path / "v.jsonl"))


def test_the_video_llm_itself_is_no_policy_to_train(tmp_path):
    stages = build_stages(MINING, ColourVLM(), TextOnlyVLM(ColourVLM()))
    with pytest.raises(ConfigError, match="--policy"):
        DifficultyFilter(stages, MINING, VerdictFile(tmp_path / "v.jsonl"))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"trees": 0}, "trees=0"),
        ({"uniform_frames": 0}, "uniform_frames=0"),
        ({"temperature": 0.0}, "grows the same tree 8 times"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, told):
    with pytest.raises(ConfigError, match=told):
        DifficultyConfig(**setting)


def test_the_command_writes_what_is_kept_and_says_how_many_of_each(questions, film, tmp_path, capsys, tiny_miner):
    rows = tmp_path / "train.jsonl"
    rows.write_text("".join(json.dumps(question.row()) + "\n" for question in questions[:3]))
    command = [
        "difficulty",
        str(rows),
        "--out",
        str(tmp_path / "kept.jsonl"),
        "--trees",
        "2",
        "--uniform-frames",
        "2",
        "--save-trees",
        str(tmp_path / "trees"),
        "--quiet",
        *tiny_miner,
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "of 3 questions" in printed and str(tmp_path / "kept.jsonl") in printed
    assert (tmp_path / "kept.verdicts.jsonl").is_file() and (tmp_path / "kept.jsonl").is_file()
    before = (tmp_path / "kept.verdicts.jsonl").read_text()
    assert main(command) == 0 and (tmp_path / "kept.verdicts.jsonl").read_text() == before
    if (tmp_path / "kept.jsonl").read_text():
        assert read_questions(tmp_path / "kept.jsonl").questions


def test_the_command_stops_at_a_bad_row_before_it_loads_a_model(tmp_path, capsys):
    rows = tmp_path / "train.jsonl"
    rows.write_text('{"video": "none.mp4", "question": "What?", "answer": "x"}\n')
    assert main(["difficulty", str(rows), "--out", str(tmp_path / "kept.jsonl"), "--model", "no/such-model"]) == 1
    assert f"{rows}:1: video none.mp4 is not at" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["0/2", "3/2", "half"])
def test_a_part_that_cannot_be_is_a_wrong_command_line(tmp_path, part, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["difficulty", "train.jsonl", "--out", str(tmp_path / "kept.jsonl"), "--part", part])
    assert stopped.value.code == 2 and "1/2" in capsys.readouterr().err


@pytest.fixture(scope="module")
def tiny_miner(tmp_path_factory) -> list[str]:
    """Flags that name tiny models."""
    from support.tiny_models import tiny_qwen2_lm, tiny_qwen2_vl

    folder = tmp_path_factory.mktemp("tiny")
    settings = [
        "search=plain",
        "events=4",
        "scan_frames=32",
        "max_depth=1",
        "clustering=none",
        "cache_dir=off",
        "policy_tokens=8",
        "caption_tokens=4",
        "caption_frames=1",
    ]
    return [
        "--model",
        tiny_qwen2_vl(folder / "vl"),
        "--policy",
        tiny_qwen2_lm(folder / "lm"),
        "--frames",
        "2",
        *(part for setting in settings for part in ("--set", setting)),
    ]
