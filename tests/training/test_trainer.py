"""The invariants of the trainer, each on real runs of a few steps."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from support.scripted import colour_video  # noqa: E402
from support.tiny_training import MINING, ONE_DECISION, QUICK, films, policy_folder, trainer  # noqa: E402
from transformers import TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

from lmms_videominer.errors import ConfigError, TrainingError  # noqa: E402
from lmms_videominer.selectors.settings import configured  # noqa: E402
from lmms_videominer.store.selection_json import load  # noqa: E402
from lmms_videominer.training import run as training_run  # noqa: E402
from lmms_videominer.training import trainer as tgrpo  # noqa: E402
from lmms_videominer.training.config import TGRPOConfig  # noqa: E402
from lmms_videominer.training.reward_file import shown_trees  # noqa: E402


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    return policy_folder(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return films(tmp_path_factory.mktemp("films"))


def weights(run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def losses(run) -> list[float]:
    return [entry["loss"] for entry in run.state.log_history if "loss" in entry]


# what a log holds that a resumed run may differ in: times, and captions that the cache knew
PASSING = ("second", "time", "vlm_calls")


class Recorder(TrainerCallback):
    """Keeps the rows of each rollout, and the rewards that they earned, in the order of the dataset's rows."""

    def __init__(self):
        self.rollouts, self.run = [], None

    def on_step_begin(self, args, state, control, **kwargs):
        grouped, run = self.run._roll_out, self.run

        def recorded(inputs):
            groups = grouped(inputs)
            self.rollouts.append([sample for group in groups for tree in group.trees for sample in tree.decisions])
            run._roll_out = grouped
            return groups

        run._roll_out = recorded


@pytest.mark.parametrize(
    "settings",
    [{"loss_type": "grpo"}, {"loss_type": "dapo"}, {"loss_type": "dr_grpo"}, {"scale_rewards": "none"}],
    ids=str,
)
def test_one_decision_a_tree_trains_exactly_as_grpo(policy, questions, tmp_path, settings):
    recorder = Recorder()
    settings = {"loss_type": "grpo", **settings}
    ours = trainer(policy, questions, tmp_path / "ours", ONE_DECISION, [recorder], forward_batch_size=8, **settings)
    recorder.run = ours
    ours.train()
    assert [len(samples) for samples in recorder.rollouts] == [8, 8]  # 8 trees of one decision

    pending = []

    def rollout(prompts, trainer):
        pending[:] = recorder.rollouts[trainer.state.global_step]
        ids = [list(sample.completion_ids) for sample in pending]
        return {"prompt_ids": [list(sample.prompt_ids) for sample in pending], "completion_ids": ids, "logprobs": None}

    def reward(completions, **columns):
        return [sample.rewards.total for sample in pending]

    args = GRPOConfig(output_dir=str(tmp_path / "trl"), **{**QUICK, **settings})
    theirs = GRPOTrainer(
        policy, reward, args, questions.add_column("prompt", questions["question"]), rollout_func=rollout
    )
    start = weights(theirs)
    theirs.train()
    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-6)
    assert (weights(theirs) - start).abs().max() > 1e-3  # there was something to learn
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=2e-6)


class Sampler(dict):
    """What vLLM would say of its tokens: all a little less likely than they are to the policy, some not scored."""

    def __bool__(self):
        return True

    def __missing__(self, key):
        _, completion = key
        return [None if i == 1 and token % 2 else -0.25 - 0.01 * token for i, token in enumerate(completion)]


@pytest.mark.parametrize("mode", ["token_truncate", "sequence_mask"])
def test_metrics_of_sampling_and_of_ends_are_those_of_trl(policy, questions, tmp_path, mode):
    """vLLM itself needs a GPU: what it returns is given here, to both trainers alike."""
    recorder = Recorder()
    settings = {"max_steps": 1, "vllm_importance_sampling_mode": mode}
    ours = trainer(policy, questions, tmp_path / "ours", ONE_DECISION, [recorder], forward_batch_size=8, **settings)
    recorder.run = ours
    ours.use_vllm, ours._policy.logprobs = True, Sampler()
    ours.train()
    [samples] = recorder.rollouts

    def rollout(prompts, trainer):
        ids = [list(sample.completion_ids) for sample in samples]
        logprobs = [Sampler()[sample.prompt_ids, sample.completion_ids] for sample in samples]
        return {
            "prompt_ids": [list(sample.prompt_ids) for sample in samples],
            "completion_ids": ids,
            "logprobs": logprobs,
        }

    def reward(completions, **columns):
        return [sample.rewards.total for sample in samples]

    args = GRPOConfig(output_dir=str(tmp_path / "trl"), **{**QUICK, "loss_type": "grpo", **settings})
    rows = questions.add_column("prompt", questions["question"])
    theirs = GRPOTrainer(policy, reward, args, rows, rollout_func=rollout)
    theirs.use_vllm, theirs._last_loaded_step = True, 0
    theirs.train()
    names = {name for name in theirs.state.log_history[0] if name.startswith(("sampling/", "completions/"))}
    assert {"sampling/sampling_logp_difference/mean", "completions/clipped_ratio"} < names and len(names) == 12
    found, expected = (run.state.log_history[0] for run in (ours, theirs))
    assert {name: found[name] for name in names} == pytest.approx({name: expected[name] for name in names}, abs=1e-5)
    assert 0 < found["completions/clipped_ratio"] < 1 and found["sampling/sampling_logp_difference/mean"] > 0
    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-6)


def test_batch_one_times_eight_equals_eight_times_one(policy, questions, tmp_path):
    whole = trainer(policy, questions, tmp_path / "8x1", per_device_train_batch_size=8)
    parts = trainer(
        policy,
        questions,
        tmp_path / "1x8",
        per_device_train_batch_size=1,
        gradient_accumulation_steps=8,
        forward_batch_size=3,
    )
    whole.train(), parts.train()
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=1e-5)


def test_every_decision_weighs_the_same_whatever_its_tree(policy, questions, tmp_path):
    run = trainer(policy, questions, tmp_path, max_steps=1)
    run.train()
    rows = run._rows["train"]
    trees = {(row.question_id, row.tree) for row in rows}
    sizes = [sum((row.question_id, row.tree) == tree for row in rows) for tree in trees]
    assert len(trees) == 8 and len(set(sizes)) > 1  # trees of different sizes
    # policy, reference and sampler are the same model in the first step: the loss is the mean of -advantage
    assert losses(run)[0] == pytest.approx(-sum(row.advantage for row in rows) / len(rows), abs=1e-6)
    assert run.state.log_history[0]["decisions"] == len(rows) == sum(sizes)


def test_equal_replies_are_run_once_and_train_as_if_each_were_run(policy, questions, tmp_path, monkeypatch):
    run = trainer(policy, questions, tmp_path, max_steps=1, loss_type="grpo", beta=0.1)
    run.train()
    rows = run._rows["train"]
    others = [dataclasses.replace(row, tree=9, advantage=0.3 - 2 * row.advantage) for row in rows]
    lines = []
    run.model.register_forward_hook(
        lambda model, _, inputs, out: lines.append(len(inputs["input_ids"])), with_kwargs=True
    )

    def learn() -> tuple[float, torch.Tensor, int]:
        batch = run._batch(rows + others)
        batch["old_per_token_logps"] = run._logprobs(run.model, batch).detach() - 0.5  # the ratio is clipped for some
        lines.clear()
        run.model.zero_grad()
        loss = run._compute_loss(run.model, batch)
        loss.backward()
        return loss.item(), torch.cat([p.grad.flatten() for p in run.model.parameters()]), sum(lines)

    loss, gradient, run_over = learn()
    monkeypatch.setattr(tgrpo, "equal_rows", lambda rows: [[i] for i in range(len(rows))])
    monkeypatch.delattr(tgrpo.TGRPOTrainer, "_get_per_token_logps_and_entropies")
    expected, expected_gradient, all_of_them = learn()
    replies = {(row.prompt_ids, row.completion_ids) for row in rows}
    assert (run_over, all_of_them) == (len(replies), 2 * len(rows))
    assert loss == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
    assert expected_gradient.abs().max() > 1e-3


def test_the_order_of_trees_in_a_group_changes_nothing(policy, questions, tmp_path, monkeypatch):
    results = []
    for reverse in (False, True):
        run = trainer(policy, questions, tmp_path / str(reverse), max_steps=1)
        if reverse:
            jobs = run._jobs
            monkeypatch.setattr(run, "_jobs", lambda inputs, jobs=jobs: list(reversed(jobs(inputs))))
        run.train()
        results.append((losses(run), weights(run)))
    assert results[0][0] == pytest.approx(results[1][0], abs=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"per_device_train_batch_size": 4, "steps_per_generation": 2},  # two optimizer steps a rollout
        {"num_iterations": 2},  # each rollout twice
    ],
)
def test_old_log_probabilities_are_those_of_the_policy_that_generated(policy, questions, tmp_path, settings):
    run = trainer(policy, questions, tmp_path, max_steps=2, beta=0.0, **settings)
    seen = []
    compute = run._compute_loss

    def watched(model, inputs):
        ids, attended = (
            torch.cat([inputs[f"{side}_{what}"] for side in ("prompt", "completion")], 1) for what in ("ids", "mask")
        )
        mask = inputs["completion_mask"].bool()
        with torch.no_grad():  # all at once, with all their padding
            now = run._get_per_token_logps_and_entropies(run.model, ids, attended, mask.shape[1])[0]
        seen.append((inputs["old_per_token_logps"] - now)[mask].abs().max().item())
        return compute(model, inputs)

    run._compute_loss = watched
    run.train()
    assert seen[0] < 1e-4 < 1e-2 < seen[1]  # the same policy in the first step, a trained one in the second


def test_resuming_goes_on_identically(policy, questions, tmp_path):
    # 4 questions, 2 a step: the checkpoint at step 3 lies in the middle of the second of three epochs
    whole = trainer(
        policy, questions, tmp_path / "whole", max_steps=6, learning_rate=0.05, save_strategy="steps", save_steps=3
    )
    whole.train()
    shutil.copytree(tmp_path / "whole" / "checkpoint-3", tmp_path / "part" / "checkpoint-3")
    part = trainer(
        policy, questions, tmp_path / "part", max_steps=6, learning_rate=0.05, save_strategy="steps", save_steps=3
    )
    part.train(resume_from_checkpoint=True)
    logs = [
        [
            {name: value for name, value in entry.items() if not any(word in name for word in PASSING)}
            for entry in run.state.log_history
            if entry["step"] > 3 and "loss" in entry
        ]
        for run in (whole, part)
    ]
    assert len(logs[0]) == 3 and logs[0] == logs[1]
    assert all(entry["grad_norm"] > 0.1 for entry in logs[0])
    assert torch.equal(weights(whole), weights(part))


def test_a_video_that_fails_drops_its_group_and_is_named(policy, questions, tmp_path, caplog):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(Path(questions[0]["video"]).read_bytes()[:300])
    rows = questions.map(lambda row: {"video": str(broken) if row["id"] == "film-1" else row["video"]})
    run = trainer(policy, rows, tmp_path / "run", per_device_train_batch_size=16, max_steps=1)
    run.train()
    entry = run.state.log_history[0]
    assert entry["groups/failed"] == 1 and math.isfinite(entry["loss"])
    assert {row.question_id for row in run._rows["train"]} == {"film-0", "film-2", "film-3"}
    assert "film-1" in caplog.text and "broken.mp4" in caplog.text


def test_a_video_too_short_for_a_search_teaches_nothing_is_counted_and_named_once(policy, questions, tmp_path, caplog):
    short = colour_video(tmp_path / "short.mp4", [("red", 4.0), ("blue", 4.0)])
    rows = questions.map(lambda row: {"video": short if row["id"] == "film-1" else row["video"]})
    mining = dataclasses.replace(MINING, grain_s=2.0)  # 8 s; the other films last 10
    run = trainer(policy, rows, tmp_path / "run", mining, per_device_train_batch_size=16, max_steps=2)
    run.train()
    assert [entry["groups/no_decision"] for entry in run.state.log_history[:2]] == [1.0, 1.0]
    assert {row.question_id for row in run._rows["train"]} == {"film-0", "film-2", "film-3"}
    told = [record.getMessage() for record in caplog.records if "no decisions to learn" in record.getMessage()]
    assert len(told) == 1 and "film-1" in told[0] and "film-0" not in told[0] and "grain_s=2" in told[0]


def test_without_a_single_tree_a_step_changes_nothing(policy, questions, tmp_path):
    rows = questions.map(lambda row: {"video": str(tmp_path / "missing.mp4")})
    run = trainer(policy, rows, tmp_path, max_steps=1)
    start = weights(run)
    run.train()
    assert run.state.log_history[0]["groups/failed"] == 2 and losses(run) == [0.0]
    assert torch.equal(weights(run), start)


def test_a_reward_that_is_no_number_names_its_decision(policy, questions, tmp_path, monkeypatch):
    monkeypatch.setattr("lmms_videominer.training.rollout.length_reward", lambda tokens, config: math.nan)
    with pytest.raises(TrainingError, match=r"question film-\d, tree 0, node 0\.0: the reward is nan"):
        trainer(policy, questions, tmp_path, max_steps=1).train()


def test_a_loss_that_is_no_number_names_its_decisions(policy, questions, tmp_path):
    run = trainer(policy, questions, tmp_path, max_steps=1)
    logprobs = run._get_per_token_logps_and_entropies

    def broken(model, ids, *rest, **named):
        values = logprobs(model, ids, *rest, **named)
        poisoned = torch.where((ids == 0).all(1, keepdim=True) | (torch.arange(len(ids)) == 1)[:, None], torch.nan, 1.0)
        return (values[0] * poisoned, *values[1:])

    run._get_per_token_logps_and_entropies = broken
    with pytest.raises(TrainingError, match=r"not finite at step 0; from: question film-\d, tree \d, node 0\.\d"):
        run.train()


def test_logs_and_trees_tell_what_happened(policy, questions, tmp_path):
    run = trainer(policy, questions, tmp_path, max_steps=2, tree_log_steps=2, log_completions=True)
    run.train()
    entry = run.state.log_history[0]
    assert entry["action/accept"] + entry["action/continue"] + entry["action/delete"] == pytest.approx(1.0)
    assert entry["reading/strict"] + entry["reading/lenient"] + entry["reading/default"] == pytest.approx(1.0)
    assert 0 <= entry["tree/reward"] <= 1 and 1 <= entry["tree/depth"] <= 2 and entry["tree/nodes"] >= 4
    assert entry["completions/max_length"] <= 3 and 0 <= entry["groups/no_signal"] <= 1
    assert entry["seconds/rollout"] >= entry["seconds/generation"] > 0 and entry["seconds/update"] > 0
    rows = run._rows["train"]  # of the last rollout
    assert run.state.log_history[-2]["replies"] == len({(row.prompt_ids, row.completion_ids) for row in rows})
    for part in ("reward", "reward/format", "reward/length", "reward/action", "kl", "num_tokens"):
        assert part in entry
    saved = sorted((tmp_path / "trees").rglob("*.json"))
    assert [path.parent.name for path in saved] == ["step-000000"] * 4  # steps 0, 2, ...: one question's trees


@pytest.mark.parametrize("kind", ["floor", "apart"])
def test_advantages_of_every_kind_train_and_are_logged(policy, questions, tmp_path, kind):
    run = trainer(policy, questions, tmp_path, max_steps=1, advantages=kind, fallback_reward="none")
    run.train()
    entry = run.state.log_history[0]
    shares = [entry[f"groups/{name}"] for name in ("all_right", "all_wrong")] + [entry["tree/fallback"]]
    assert all(0 <= share <= 1 for share in shares) and entry["tree/reward"] <= entry["tree/correct"]
    means = [entry[f"action/{a}"] * entry.get(f"advantage/{a}", 0.0) for a in ("accept", "continue", "delete")]
    assert sum(means) == pytest.approx(0.0, abs=1e-6) and any(means)
    assert losses(run)[0] == pytest.approx(
        -sum(row.advantage for row in run._rows["train"]) / entry["decisions"], abs=1e-6
    )


def test_trees_are_saved_in_the_first_rollout_of_every_so_many_steps(policy, questions, tmp_path):
    rollouts_at = {"per_device_train_batch_size": 4, "steps_per_generation": 2}  # steps 0, 2, 4
    trainer(policy, questions, tmp_path, max_steps=6, tree_log_steps=3, **rollouts_at).train()
    assert sorted(path.name for path in (tmp_path / "trees").iterdir()) == ["step-000000", "step-000004"]


def test_the_trees_of_the_log_can_be_read_again_with_their_rewards(policy, questions, tmp_path):
    trainer(policy, questions, tmp_path, max_steps=1, tree_log_steps=1).train()
    saved = sorted((tmp_path / "trees").rglob("*.json"))
    assert load(saved[0]).nodes[1].decision.completion_ids
    trees = shown_trees(tmp_path / "trees")
    for tree in trees:
        decided = {node.id for node in tree.selection.nodes if node.decision}
        assert tree.rewards.keys() == decided and {reward.tree for reward in tree.rewards.values()} <= {0.0, 1.0}
    advantages = [reward.advantage for tree in trees for reward in tree.rewards.values()]
    assert math.fsum(advantages) == pytest.approx(0.0, abs=1e-6)  # over all decisions of a group


def test_what_is_saved_is_an_ordinary_folder(policy, questions, tmp_path):
    from lmms_videominer.policy.causal_lm import CausalLM

    run = trainer(policy, questions, tmp_path, max_steps=1)
    run.train()
    run.save_model(str(tmp_path / "final"))
    loaded = CausalLM.from_pretrained(str(tmp_path / "final"), device="cpu", max_new_tokens=3)
    assert torch.equal(torch.cat([p.flatten() for p in loaded.model.parameters()]), weights(run))
    assert len(loaded.complete(["a prompt"])[0].completion_ids) > 0


def test_lora_and_checkpointing_and_bf16_train(policy, questions, tmp_path):
    from peft import LoraConfig

    run = trainer(
        policy,
        questions,
        tmp_path,
        max_steps=2,
        bf16=True,
        gradient_checkpointing=True,
        rest={"peft_config": LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")},
    )
    before = {name: p.clone() for name, p in run.model.named_parameters()}
    run.train()
    changed = {name for name, p in run.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("lora" in name for name in changed)
    assert all(math.isfinite(loss) for loss in losses(run)) and "kl" in run.state.log_history[0]


@pytest.mark.parametrize(("dropout", "warned"), [(0.05, True), (0.0, False)])
def test_dropout_of_an_adapter_is_warned_of(policy, questions, tmp_path, caplog, dropout, warned):
    from peft import LoraConfig

    adapter = LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=dropout, task_type="CAUSAL_LM")
    trainer(policy, questions, tmp_path, rest={"peft_config": adapter})
    assert ("lora_dropout=0.05" in caplog.text and "Set lora_dropout to 0" in caplog.text) is warned


def test_the_reference_of_an_adapter_is_the_model_without_it(policy, questions, tmp_path):
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    adapter = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    run = trainer(policy, questions, tmp_path, max_steps=3, rest={"peft_config": adapter})
    batches = []
    known = run._known_logprobs
    run._known_logprobs = lambda batch, share: batches.append((batch, known(batch, share))) or batches[-1][1]
    run.train()
    kl = [entry["kl"] for entry in run.state.log_history if "kl" in entry]
    assert kl[0] == pytest.approx(0.0, abs=1e-6) and kl[2] > 1e-4  # the adapter starts as nothing, and then differs
    batch, found = batches[-1]
    base = AutoModelForCausalLM.from_pretrained(policy)
    mask = batch["completion_mask"].bool()
    ids, attended = (
        torch.cat([batch[f"{side}_{what}"] for side in ("prompt", "completion")], 1) for what in ("ids", "mask")
    )
    with torch.no_grad():
        logprobs = base(ids, attention_mask=attended).logits.log_softmax(-1)  # [R, P + C, V]
    expected = logprobs[:, :-1].gather(-1, ids[:, 1:, None])[:, -mask.shape[1] :, 0]
    torch.testing.assert_close(found["ref_per_token_logps"][mask], expected[mask], rtol=0, atol=1e-4)


def completions(run) -> dict[tuple[str, int, str], tuple[int, ...]]:
    """What the policy wrote in the last rollout, by question, tree and node."""
    return {(row.question_id, row.tree, row.node_id): row.completion_ids for row in run._rows["train"]}


def test_trees_are_sampled_at_the_temperature_of_the_settings(policy, questions, tmp_path):
    cold = trainer(policy, questions, tmp_path / "cold", ONE_DECISION, max_steps=1, temperature=0.001)
    hot = trainer(policy, questions, tmp_path / "hot", ONE_DECISION, max_steps=1, temperature=2.0)
    cold.train(), hot.train()
    for run, one_each in ((cold, True), (hot, False)):
        written = completions(run)
        groups = {
            name: {ids for (question, _, _), ids in written.items() if question == name} for name, _, _ in written
        }
        assert all((len(group) == 1) is one_each for group in groups.values())  # 4 trees a group


def test_a_question_is_sampled_anew_at_every_step_and_alike_at_every_evaluation(policy, questions, tmp_path):
    two = questions.select([0, 1])
    seen, evaluated = [], []
    run = trainer(
        policy,
        two,
        tmp_path,
        max_steps=2,
        learning_rate=0.0,  # the policy stays the same: what differs is the sampling
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=8,
        rest={"eval_dataset": two},
    )
    batch = run._batch

    def watched(rows):
        (seen if run.model.training else evaluated).append(
            {(row.question_id, row.tree, row.node_id): row.completion_ids for row in rows}
        )
        return batch(rows)

    run._batch = watched
    run.train()
    first, second = seen
    assert first.keys() & second.keys() and first != second
    assert evaluated[0] and evaluated[0] == evaluated[1]
    assert len({name for name, _, _ in first}) == 2 and {tree for _, tree, _ in first} == {0, 1, 2, 3}


def test_completions_without_an_end_leave_the_loss_and_those_with_one_stay(policy, questions, tmp_path):
    run = trainer(policy, questions, tmp_path, max_steps=1, mask_truncated_completions=True)
    batches = []
    batch = run._batch
    run._batch = lambda rows: batches.append(batch(rows)) or batches[-1]
    run.train()
    rows, made = run._rows["train"], batches[0]
    ended = [row.completion_ids[-1] == run.processing_class.eos_token_id for row in rows]
    assert len(set(ended)) == 2  # there are both
    counted = {
        i: bool(mask.any()) for numbers, mask in zip(made["row"].tolist(), made["completion_mask"]) for i in numbers
    }
    assert [counted[i] for i in range(len(rows))] == ended
    assert made["num_items_in_batch"] == sum(len(row.completion_ids) for row, ends in zip(rows, ended) if ends)
    whole = trainer(policy, questions, tmp_path, max_steps=1)
    whole._rows["train"] = rows
    assert whole._batch(rows)["num_items_in_batch"] == sum(len(row.completion_ids) for row in rows)


def test_every_epoch_has_an_order_of_its_own(policy, questions, tmp_path):
    run = trainer(policy, questions, tmp_path, ONE_DECISION, max_steps=8)  # 4 epochs of two steps of two questions
    asked = []
    jobs = run._jobs
    run._jobs = lambda inputs: asked.append([row["id"] for row in inputs[::4]]) or jobs(inputs)
    run.train()
    epochs = [asked[i] + asked[i + 1] for i in range(0, 8, 2)]
    assert all(sorted(epoch) == sorted(questions["id"]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 2


def test_evaluation_grows_trees_too(policy, questions, tmp_path):
    run = trainer(
        policy,
        questions,
        tmp_path,
        max_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        num_generations_eval=2,
        per_device_eval_batch_size=4,
        rest={"eval_dataset": questions},
    )
    run.train()
    entry = next(entry for entry in run.state.log_history if "eval_loss" in entry)
    assert math.isfinite(entry["eval_loss"]) and 0 <= entry["eval_tree/reward"] <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_generations": 1}, "num_generations=1"),
        ({"num_generations": 3}, r"generation_batch_size \(8\) must be divisible by num_generations \(3\)"),
        ({"length_sigma": 0.0}, "length_sigma=0.0"),
        ({"lambda_auxin": -1.0}, "lambda_auxin=-1.0"),
        ({"loss_type": "bnpo"}, "loss_type='bnpo'"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"top_p": 0.9}, "top_p=0.9"),
        ({"forward_batch_size": 0}, "forward_batch_size=0"),
        ({"scale_rewards": "batch"}, "scale_rewards='batch'"),
        ({"scale_rewards": "none", "advantages": "floor"}, "scale_rewards='none' with advantages='floor'"),
        ({"deepspeed": "zero3"}, "use_cpu=True with deepspeed='zero3'"),
        ({"ds3_gather_for_generation": False}, "ds3_gather_for_generation=False"),
        (
            {"steps_per_generation": 2, "save_strategy": "steps", "save_steps": 3, "per_device_train_batch_size": 4},
            "save_steps=3 x gradient_accumulation_steps=1 is not a multiple of steps_per_generation=2",
        ),
        ({"save_strategy": "steps", "save_steps": 0.1}, "save_steps=0.1: must be a number of steps"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile=0.2"),
        ({"sync_ref_model": True}, "sync_ref_model=True"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_their_values(settings, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        TGRPOConfig(output_dir=str(tmp_path), **{**QUICK, **settings})


def test_a_captioner_that_decides_is_refused_since_the_policy_would_learn_nothing(tmp_path):
    args = TGRPOConfig(output_dir=str(tmp_path), **QUICK)
    with pytest.raises(ConfigError, match="videominer_judge=caption: T-GRPO learns from the policy's decisions"):
        args.mining(configured(videominer_judge="caption"))
    file = tmp_path / "train.yaml"
    file.write_text("videominer_judge: caption\n")
    with pytest.raises(ConfigError, match="videominer_judge is no setting of training, which keeps its default"):
        training_run.parse([str(file)])


def test_probabilities_from_a_video_llm_that_gives_none_are_refused_before_the_model_loads(questions, tmp_path):
    with pytest.raises(ConfigError, match=r"answer_reward='probability'.*ColourVLM.*answer_reward=correct"):
        trainer("no/such-model", questions, tmp_path, answer_reward="probability")


def test_data_that_cannot_work_is_refused_before_the_model_loads(questions, tmp_path):
    with pytest.raises(ConfigError, match=r"1 questions cannot fill one rollout of 2"):
        trainer("no/such-model", questions.select([0]), tmp_path)
    with pytest.raises(ConfigError, match="'film-1' occurs twice"):
        trainer("no/such-model", questions.select([0, 1, 1, 2]), tmp_path)
