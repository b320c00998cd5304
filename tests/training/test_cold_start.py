from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml
from support.mined import mined_selection, node
from support.read_prompts import read_policy_prompt
from support.tiny_models import tiny_qwen2_lm

from lmms_videominer.cli import main
from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.policy.prompt import judge_prompt, part_body, policy_completion, policy_prompt, several_prompt
from lmms_videominer.store.selection_json import save
from lmms_videominer.training import run as training_run
from lmms_videominer.training.cold_start import ColdStartConfig, parse, tokenized
from lmms_videominer.training.lessons import Lesson, read_lessons
from lmms_videominer.types import Action, Reading, Selection

# on one core and without a GPU; steps long enough to learn two sentences by heart
QUICK = {
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
    "learning_rate": 0.02,
    "max_steps": 60,
    "per_device_train_batch_size": 2,
    "logging_steps": 60,
}
LESSONS = [
    Lesson(policy_prompt("Where is the disc?", "a red disc", 1, 2), policy_completion("it is here", Action.ACCEPT)),
    Lesson(policy_prompt("Where is the disc?", "a wall", 1, 2), policy_completion("no disc", Action.DELETE)),
]


def tree(answer: str = "C", captions: tuple[str, ...] = ("a star", "snow"), **changes) -> Selection:
    """One level, whose decisions hold their prompts; the question's right answer is C."""
    nodes = [node("0", None, (0, 3600))]
    for i, caption in enumerate(captions):
        made = node(f"0.{i}", Action.ACCEPT, (100 * i, 100 * i + 50), caption=caption)
        decision = dataclasses.replace(made.decision, prompt=policy_prompt("Which sign?", caption, 1, 3))
        nodes.append(dataclasses.replace(made, decision=decision))
    return dataclasses.replace(mined_selection(), nodes=tuple(nodes), answer=answer, **changes)


def captions_of(lessons: list[Lesson]) -> list[str]:
    return [read_policy_prompt(lesson.prompt).caption for lesson in lessons]


@pytest.fixture(scope="module")
def policy_folder(tmp_path_factory) -> str:
    return tiny_qwen2_lm(tmp_path_factory.mktemp("policy"), seed=2)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "lessons.jsonl"
    path.write_text("".join(json.dumps(dataclasses.asdict(lesson)) + "\n" for lesson in LESSONS))
    return path


# lessons


def test_a_tree_gives_one_lesson_a_decision(tmp_path):
    save(tree(), tmp_path / "tree.json")
    found = read_lessons([tmp_path / "tree.json"], keep="all")
    assert [lesson.completion for lesson in found.lessons] == [
        "<think>it shows a star</think><action>accept</action>",
        "<think>it shows snow</think><action>accept</action>",
    ]
    assert found.lessons[0].prompt == policy_prompt("Which sign?", "a star", 1, 3) and found.trees == 1


BODIES = [part_body(caption, 1, 3) for caption in ("a star", "snow")]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (several_prompt("Which sign?", BODIES), "decisions about several parts at once"),
        (several_prompt("Which sign?", BODIES, reasoning=False), "decisions about several parts at once"),
        (judge_prompt("Which sign?", 1, 3), "decisions of the captioner"),
    ],
)
def test_a_part_of_a_joint_reply_and_a_verdict_of_the_captioner_are_no_lessons(tmp_path, prompt, reason):
    whole = tree()
    other = dataclasses.replace(whole.nodes[1], decision=dataclasses.replace(whole.nodes[1].decision, prompt=prompt))
    save(dataclasses.replace(whole, nodes=(whole.nodes[0], other, whole.nodes[2])), tmp_path / "tree.json")
    found = read_lessons([tmp_path / "tree.json"], keep="all")
    assert captions_of(found.lessons) == ["snow"] and found.left_out == {reason: 1}


def test_only_right_trees_of_a_training_or_difficulty_run_are_taken(tmp_path):
    save(tree(captions=("a star",)), tmp_path / "q.tree-0.right.json")
    save(tree(captions=("snow",)), tmp_path / "deep" / "q.tree-1.wrong.json")
    found = read_lessons([tmp_path])
    assert captions_of(found.lessons) == ["a star"] and found.left_out == {"trees with a wrong answer": 1}
    assert sorted(captions_of(read_lessons([tmp_path], keep="all").lessons)) == ["a star", "snow"]


def test_questions_tell_which_mined_trees_were_right(tmp_path):
    save(tree("C", ("a star",)), tmp_path / "one.json")
    save(tree("it is a circle (A)", ("snow",)), tmp_path / "two.json")
    asked = mined_selection().question
    known = QuestionRow("q", "/elsewhere/" + asked.video, asked.text, asked.options, "C")
    found = read_lessons([tmp_path], questions=[known])
    assert captions_of(found.lessons) == ["a star"] and found.left_out == {"trees with a wrong answer": 1}


def test_trees_without_a_verdict_are_refused_with_the_way_out(tmp_path):
    save(tree(), tmp_path / "tree.json")
    with pytest.raises(ConfigError, match=r"1 trees without a verdict.*questions=FILE.*keep=all"):
        read_lessons([tmp_path])


def test_samples_logged_by_lmms_eval_tell_their_trees_and_verdicts(tmp_path, monkeypatch):
    trees = tmp_path / "results" / "videominer" / "videominer-1234" / "task"
    save(tree("C", ("a star",)), trees / "0.json")
    save(tree("A", ("snow",)), trees / "1.json")
    save(tree("a star", ("rain",)), trees / "2.json")
    (trees / "videominer_summary.json").write_text('{"config": {}, "tasks": {}}')
    log = tmp_path / "results" / "model" / "20260101_000000_samples_task.jsonl"
    log.parent.mkdir()
    samples = [  # as lmms-eval 0.7 writes them
        {
            "doc_id": i,
            "target": "C",
            "filtered_resps": reply,
            "accuracy": 0.0,
            "input": "Which sign?",
            "token_counts": [
                {"videominer": {"how": "mined", "tree": str((trees / f"{i}.json").relative_to(tmp_path))}}
            ],
        }
        for i, reply in enumerate(["C", "A", "a star"])
    ]
    samples.append(
        {
            "doc_id": 3,
            "target": "C",
            "filtered_resps": "C",
            "token_counts": [{"videominer": {"how": "passed", "tree": ""}}],
        }
    )
    log.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    for source in (log, tmp_path / "results"):
        found = read_lessons([source])
        assert captions_of(found.lessons) == ["a star", "rain"] and found.left_out == {"trees with a wrong answer": 1}


def test_completions_that_do_not_follow_the_format_are_left_out(tmp_path):
    selection = tree(captions=("a star", "snow", "rain"))
    half = dataclasses.replace(selection.nodes[2].decision, text="Action: accept", reading=Reading.LENIENT)
    nodes = (*selection.nodes[:2], dataclasses.replace(selection.nodes[2], decision=half), selection.nodes[3])
    save(dataclasses.replace(selection, nodes=nodes), tmp_path / "tree.right.json")
    found = read_lessons([tmp_path])
    assert captions_of(found.lessons) == ["a star", "rain"]
    assert str(found) == "2 lessons from 1 trees; left out: 1 decisions that do not follow the format"


def test_what_several_trees_say_alike_is_learnt_once(tmp_path):
    for number in range(3):
        save(tree(captions=("a star", f"snow {number}")), tmp_path / f"{number}.right.json")
    assert len(read_lessons([tmp_path]).lessons) == 4


def test_lessons_written_by_hand_are_taken_as_they_are(rows):
    assert read_lessons([rows]).lessons == LESSONS


@pytest.mark.parametrize("line", ['{"prompt": "What?"}', '{"prompt": "What?", "completion": ""}', '["What?"]'])
def test_a_line_that_is_no_lesson_is_named(rows, line):
    rows.write_text(rows.read_text() + line + "\n")
    with pytest.raises(ConfigError, match=r"lessons\.jsonl:3: not a lesson .*prompt.*completion"):
        read_lessons([rows])


def test_sources_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(SchemaError, match=r"other\.json"):
        read_lessons([tmp_path / "other.json"])
    with pytest.raises(ConfigError, match=r"none\.json: cannot be read"):
        read_lessons([tmp_path / "none.json"])
    with pytest.raises(ConfigError, match="no lesson to learn"):
        read_lessons([tmp_path])
    with pytest.raises(ConfigError, match="keep='best': one of right, all"):
        read_lessons([tmp_path], keep="best")


# tokens


@pytest.mark.parametrize("chat", [True, False])
def test_tokens_are_those_that_the_policy_sees(tmp_path, chat):
    policy = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path, chat=chat), max_new_tokens=4)
    [made] = policy.complete([LESSONS[0].prompt])
    [row] = tokenized(LESSONS[:1], policy)
    prompt = tuple(token for token, learnt in zip(row["input_ids"], row["completion_mask"]) if not learnt)
    completion = row["input_ids"][len(prompt) :]
    assert prompt == made.prompt_ids and row["completion_mask"] == [0] * len(prompt) + [1] * len(completion)
    assert policy.tokenizer.decode(completion) == LESSONS[0].completion + policy.tokenizer.eos_token


def test_a_prompt_beyond_the_context_is_cut_as_in_a_tree(tmp_path):
    policy = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path, context=256), max_new_tokens=100)
    [row] = tokenized(LESSONS[:1], policy)
    assert row["completion_mask"].count(0) == 156


def test_lessons_beyond_max_length_are_left_out_and_counted(policy_folder, caplog):
    policy = CausalLM.from_pretrained(policy_folder)
    short = Lesson("Short?", LESSONS[0].completion)
    assert len(tokenized([*LESSONS, short], policy, max_length=150)) == 1
    assert "2 of 3 lessons are longer than max_length=150" in caplog.text
    with pytest.raises(ConfigError, match="max_length=10: every lesson is longer"):
        tokenized(LESSONS, policy, max_length=10)


# training


def run(tmp_path: Path, policy_folder: str, *lessons: Path, **settings) -> tuple[int, Path]:
    out, config = tmp_path / "out", tmp_path / "sft.yaml"
    values = {"lessons": [str(path) for path in lessons], "model_name_or_path": policy_folder, "output_dir": str(out)}
    config.write_text(yaml.safe_dump({**values, **QUICK, **settings}))
    return main(["cold-start", str(config)]), out


def test_the_policy_says_what_it_learnt_and_the_folder_is_an_ordinary_one(tmp_path, policy_folder, rows):
    code, out = run(tmp_path, policy_folder, rows)
    assert code == 0
    policy = CausalLM.from_pretrained(str(out), max_new_tokens=80)
    made = policy.complete([lesson.prompt for lesson in LESSONS])
    assert [completion.text for completion in made] == [lesson.completion for lesson in LESSONS]
    assert all(completion.completion_ids[-1] == policy.tokenizer.eos_token_id for completion in made)


def test_the_loss_is_that_of_the_completions_alone(tmp_path, policy_folder, rows):
    code, out = run(tmp_path, policy_folder, rows, max_steps=1, logging_steps=1)
    logged = json.loads((out / "trainer_state.json").read_text())["log_history"][0]["loss"]
    policy = CausalLM.from_pretrained(policy_folder)
    told = []
    for row in tokenized(LESSONS, policy):
        ids, learnt = torch.tensor(row["input_ids"]), torch.tensor(row["completion_mask"]).bool()
        logprobs = policy.model(ids[None]).logits[0, :-1].log_softmax(-1)
        told += logprobs[torch.arange(len(ids) - 1), ids[1:]][learnt[1:]].tolist()
    assert code == 0 and logged == pytest.approx(-sum(told) / len(told), abs=1e-3)


def test_one_name_of_lessons_needs_no_list(tmp_path, policy_folder, rows):
    (tmp_path / "sft.yaml").write_text(f"lessons: {rows}\noutput_dir: {tmp_path / 'out'}\nbf16: false\n")
    assert parse([str(tmp_path / "sft.yaml")])[2].lessons == [str(rows)]


def test_an_adapter_is_merged_into_the_folder_and_kept_beside_it(tmp_path, policy_folder, rows):
    code, out = run(tmp_path, policy_folder, rows, use_peft=True, lora_r=4, max_steps=3, learning_rate=0.5)
    assert code == 0 and (out / "adapter" / "adapter_config.json").is_file()
    assert not (out / "adapter_config.json").exists()
    before, after = (CausalLM.from_pretrained(folder, max_new_tokens=8) for folder in (policy_folder, str(out)))
    assert [name for name, _ in after.model.named_parameters()] == [name for name, _ in before.model.named_parameters()]
    assert before.identity != after.identity
    beside = CausalLM.from_pretrained(str(out / "adapter"), max_new_tokens=8)  # as T-GRPO leaves one
    assert beside.complete([LESSONS[0].prompt]) == after.complete([LESSONS[0].prompt])
    changed = {
        name for name, value in after.model.named_parameters() if not value.equal(before.model.get_parameter(name))
    }
    assert changed and all("_proj" in name for name in changed)


def test_settings_on_the_command_line_replace_those_of_the_file(tmp_path, policy_folder, rows):
    run(tmp_path, policy_folder, rows, max_steps=1)
    elsewhere = tmp_path / "elsewhere"
    assert main(["cold-start", str(tmp_path / "sft.yaml"), "--output_dir", str(elsewhere)]) == 0
    assert (elsewhere / "model.safetensors").is_file()


def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path, policy_folder, rows):
    more = {"save_strategy": "steps", "save_steps": 2, "resume_from_checkpoint": "auto"}
    assert run(tmp_path, policy_folder, rows, **more, max_steps=2)[0] == 0
    code, out = run(tmp_path, policy_folder, rows, **more, max_steps=4)
    state = json.loads((out / "trainer_state.json").read_text())
    assert code == 0 and state["global_step"] == 4 and (out / "checkpoint-2").is_dir()


def test_a_damaged_checkpoint_of_a_cold_start_is_passed_over(tmp_path, policy_folder, rows, caplog):
    more = {"save_strategy": "steps", "save_steps": 2, "resume_from_checkpoint": "auto"}
    _, out = run(tmp_path, policy_folder, rows, **more, max_steps=4)
    (out / "checkpoint-4" / "trainer_state.json").write_text("")
    assert run(tmp_path, policy_folder, rows, **more, max_steps=6)[0] == 0
    assert "checkpoint-4 is incomplete and is ignored" in caplog.text
    assert json.loads((out / "trainer_state.json").read_text())["global_step"] == 6
    assert all((out / f"checkpoint-{step}" / "files.json").stat().st_size for step in (2, 4, 6))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model_name_or_path": ""}, "model_name_or_path is empty"),
        ({"lessons": []}, "lessons is empty"),
        ({"packing": True}, "packing=True"),
        ({"load_in_4bit": True}, "load_in_4bit and load_in_8bit are not supported"),
        ({"learning_rat": 1}, "there is no setting 'learning_rat'; did you mean 'learning_rate'?"),
        ({"model_name_or_path": "no/such-model"}, "no/such-model"),
    ],
)
def test_what_cannot_work_is_told(tmp_path, policy_folder, rows, settings, told, capsys):
    assert run(tmp_path, policy_folder, rows, **settings)[0] == 1
    assert told in capsys.readouterr().err


def test_lessons_are_not_cut_by_default(tmp_path):
    assert ColdStartConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none").max_length is None


def test_a_setting_that_there_is_not_is_told_on_the_command_line_too(tmp_path, policy_folder, rows, capsys):
    run(tmp_path, policy_folder, rows, max_steps=1)
    assert main(["cold-start", str(tmp_path / "sft.yaml"), "--learning_ratee", "1"]) == 1
    assert "--learning_ratee" in capsys.readouterr().err


ON_A_CPU = ["--bf16", "false", "--gradient_checkpointing", "false", "--use_cpu", "true"]


@pytest.mark.parametrize(
    ("name", "parse_file"),
    [
        ("cold_start", parse),
        ("train_world", training_run.parse),
        ("train_qwen", training_run.parse),
    ],
)
def test_the_examples_are_settings(name, parse_file):
    parse_file([str(Path(__file__).parents[2] / "examples" / f"{name}.yaml"), *ON_A_CPU])
