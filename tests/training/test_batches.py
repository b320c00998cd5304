"""Dealing, padding and cutting lose no decision and add none; vLLM's correction by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from lmms_videominer.training import policy_in_training  # noqa: E402
from lmms_videominer.training.batches import (  # noqa: E402
    PADDING,
    batch_of,
    by_row,
    deal,
    equal_rows,
    forward_passes,
    sampler_logprobs,
)
from lmms_videominer.training.groups import Row  # noqa: E402
from lmms_videominer.training.policy_in_training import (  # noqa: E402
    PolicyInTraining,
    PolicyInVLLM,
    importance_ratio,
    sampling_metrics,
)

TOKENS = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)
ROWS = st.lists(
    st.builds(Row, st.just("q"), st.integers(0, 3), st.just("0.1"), TOKENS, TOKENS, st.floats(-2, 2)),
    min_size=1,
    max_size=12,
)


@given(st.integers(0, 200), st.integers(1, 9), st.integers(1, 9))
def test_every_decision_is_dealt_to_one_process(count, processes, steps):
    shares = [deal(count, process, processes, steps) for process in range(processes)]
    assert {len(share) for share in shares} == {len(shares[0])} and len(shares[0]) % steps == 0 < len(shares[0])
    assert sorted(i for share in shares for i in share if i != PADDING) == list(range(count))
    assert count == 0 or sum(share.count(PADDING) for share in shares) < processes * steps


@settings(deadline=None)
@given(ROWS, st.integers(1, 5), st.integers(0, 3))
def test_forward_passes_hold_every_row_once_and_every_reply_once(rows, size, fill):
    replies = equal_rows(rows) + [[]] * fill
    passes = forward_passes(batch_of(rows, replies, 0, "cpu") | {"num_decisions": torch.tensor(len(rows))}, size)
    assert len(passes) == math.ceil(len(replies) / size)
    assert (
        sum(len(part["row"]) for part in passes) == len({(row.prompt_ids, row.completion_ids) for row in rows}) + fill
    )
    found, empty = {}, 0
    for part in map(by_row, passes):
        assert part["num_decisions"] == len(rows)
        for k, i in enumerate(part["row"].tolist()):
            prompt = part["prompt_ids"][k][part["prompt_mask"][k].bool()].tolist()
            completion = part["completion_ids"][k][part["completion_mask"][k].bool()].tolist()
            assert part["prompt_mask"][k, -1] == 1  # padded on the left
            if i == PADDING:
                assert completion == [] and part["advantages"][k] == 0
                empty += 1
            else:
                found[i] = (tuple(prompt), tuple(completion), part["advantages"][k].item())
    assert empty == fill
    assert found == {
        i: (row.prompt_ids, row.completion_ids, pytest.approx(row.advantage)) for i, row in enumerate(rows)
    }


def test_a_forward_pass_is_no_wider_than_its_longest_rows():
    rows = [Row("q", 0, "0.0", (1,) * 7, (2,), 0.0), Row("q", 0, "0.1", (1,), (2,) * 3, 0.0)]
    batch = batch_of(rows, [[0], [1]], 0, "cpu")
    batch["ref_per_token_logps"] = torch.arange(6.0).reshape(2, 3)
    long, short = forward_passes(batch, 1)
    assert (long["prompt_ids"].shape, long["completion_ids"].shape) == ((1, 7), (1, 1))
    assert (short["prompt_ids"].shape, short["completion_ids"].shape) == ((1, 1), (1, 3))
    assert long["ref_per_token_logps"].tolist() == [[0.0]] and short["ref_per_token_logps"].tolist() == [[3, 4, 5]]


def test_a_batch_by_hand():
    rows = [
        Row("q", 0, "0.0", (1, 2, 3), (4,), 0.5),
        Row("q", 1, "0.1", (5,), (6, 7), -1.5),
        Row("q", 1, "0.0", (1, 2, 3), (4,), -0.25),  # the first again, in another tree
        Row("q", 2, "0.0", (1, 2), (3, 4), 1.0),  # the same tokens, but otherwise divided
    ]
    replies = equal_rows(rows)
    assert replies == [[0, 2], [1], [3]]
    batch = batch_of(rows, [replies[1], replies[0], []], 9, "cpu")
    assert {name: value.tolist() for name, value in batch.items()} == {
        "prompt_ids": [[9, 9, 5], [1, 2, 3], [9, 9, 9]],
        "prompt_mask": [[0, 0, 1], [1, 1, 1], [0, 0, 1]],
        "completion_ids": [[6, 7], [4, 9], [9, 9]],
        "completion_mask": [[1, 1], [1, 0], [0, 0]],
        "advantages": [[-1.5, 0.0], [0.5, -0.25], [0.0, 0.0]],
        "row": [[1, PADDING], [0, 2], [PADDING, PADDING]],
    }
    assert batch["advantages"].dtype == torch.float32
    assert {value.dtype for name, value in batch.items() if name != "advantages"} == {torch.int64}
    rowwise = by_row(batch)
    assert rowwise["row"].tolist() == [1, 0, 2, PADDING]
    assert rowwise["advantages"].tolist() == [-1.5, 0.5, -0.25, 0.0]
    assert rowwise["prompt_ids"].tolist() == [[9, 9, 5], [1, 2, 3], [1, 2, 3], [9, 9, 9]]
    assert "tool_mask" not in rowwise
    padded = by_row(batch, with_padding=True)
    assert padded["row"].tolist() == [1, PADDING, 0, 2, PADDING, PADDING]
    assert padded["tool_mask"].tolist() == [[1], [0], [1], [1], [1], [0]]
    assert padded["completion_ids"].tolist() == [[6, 7], [6, 7], [4, 9], [4, 9], [9, 9], [9, 9]]
    wider = batch_of(rows, [replies[1]], 9, "cpu", most=3)  # another process has a reply of three rows
    assert wider["row"].tolist() == [[1, PADDING, PADDING]] and wider["advantages"].tolist() == [[-1.5, 0.0, 0.0]]


def test_decisions_are_dealt_in_turns():
    assert [deal(5, process, 2, 2) for process in (0, 1)] == [[0, 2, 4, PADDING], [1, 3, PADDING, PADDING]]
    assert deal(0, 1, 2, 3) == [PADDING] * 3


def test_the_longest_rows_come_first_and_equal_ones_in_their_order():
    lengths = [(1, 1), (3, 1), (1, 1), (1, 3), (2, 3)]  # of prompt and completion
    rows = [
        Row("q", 0, str(i), (1,) * prompt, (2,) * completion, 0.0) for i, (prompt, completion) in enumerate(lengths)
    ]
    parts = forward_passes(batch_of(rows, [[i] for i in range(5)], 0, "cpu"), 2)
    assert [part["row"].tolist() for part in parts] == [[[4], [1]], [[3], [0]], [[2]]]
    assert [part["prompt_ids"].shape[1] for part in parts] == [3, 1, 1]
    assert [part["completion_ids"].shape[1] for part in parts] == [3, 3, 1]


def test_truncated_completions_can_be_left_out():
    rows = [Row("q", 0, "0.0", (1,), (2, 3), 1.0), Row("q", 0, "0.1", (1,), (2,), 1.0)]
    assert batch_of(rows, [[0], [1]], 0, "cpu", [True, False])["completion_mask"].tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token_truncate", [[2.0, 0.5]]),  # e^ln4 = 4 is clamped to 2
        ("token_mask", [[0.0, 0.5]]),
        ("sequence_truncate", [[2.0]]),  # e^(ln4 - ln2) = 2
        ("sequence_mask", [[2.0]]),
    ],
)
def test_importance_ratio_by_hand(mode, expected):
    old, sampled = torch.tensor([[math.log(4), 0.0, 9.0]]), torch.tensor([[0.0, math.log(2), 0.0]])
    ratio = importance_ratio(old, sampled, torch.tensor([[1, 1, 0]]), mode, None, 2.0)
    torch.testing.assert_close(ratio[:, : len(expected[0])], torch.tensor(expected))


@pytest.mark.parametrize(
    ("mode", "low", "high", "expected"),
    [
        ("token_truncate", 1.0, None, [[4.0, 1.0]]),  # 1/2 is raised to 1, 4 has no limit
        ("token_mask", 1.0, None, [[4.0, 0.0]]),
        ("token_truncate", 0.75, 3.0, [[3.0, 0.75]]),
        ("sequence_truncate", 3.0, None, [[3.0]]),
        ("sequence_mask", 3.0, None, [[0.0]]),
        ("sequence_mask", None, 1.0, [[0.0]]),
    ],
)
def test_both_limits_of_the_importance_ratio_hold(mode, low, high, expected):
    old = torch.tensor([[math.log(4), 0.0]], dtype=torch.float64)
    sampled = torch.tensor([[0.0, math.log(2)]], dtype=torch.float64)
    ratio = importance_ratio(old, sampled, torch.tensor([[1, 1]]), mode, low, high)
    torch.testing.assert_close(ratio, torch.tensor(expected, dtype=torch.float64))


def test_a_limit_of_the_importance_ratio_is_inside():
    same = torch.zeros(1, 1)
    assert importance_ratio(same, same, torch.ones(1, 1), "token_mask", 1.0, 1.0).tolist() == [[1.0]]


def test_padding_has_no_part_in_the_ratio_of_a_sequence():
    old, sampled = torch.tensor([[math.log(2), 5.0]]), torch.zeros(1, 2)
    ratio = importance_ratio(old, sampled, torch.tensor([[1, 0]]), "sequence_truncate", None, None)
    torch.testing.assert_close(ratio, torch.tensor([[2.0]]))


def test_a_token_that_the_sampler_could_not_score_is_not_corrected():
    ratio = importance_ratio(
        torch.tensor([[0.3]]), torch.tensor([[math.nan]]), torch.tensor([[1]]), "token_mask", None, 2.0
    )
    assert ratio.tolist() == [[1.0]]


def test_sampler_logprobs_are_padded_as_the_completions():
    row = Row("q", 0, "0.0", (1,), (2, 3), 0.0, (-0.5, -1.0))
    assert sampler_logprobs([row, None], torch.zeros(2, 3)).tolist() == [[-0.5, -1.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_token_without_a_log_probability_is_not_a_number_and_is_not_corrected():
    row = Row("q", 0, "0.0", (1,), (2, 3), 0.0, (-0.5, None))  # as TRL hands vLLM's NaN
    sampled = sampler_logprobs([row], torch.zeros(1, 2))
    assert sampled[0, 0] == -0.5 and sampled[0, 1].isnan()
    ratio = importance_ratio(torch.zeros(1, 2), sampled, torch.ones(1, 2), "token_truncate", None, 3.0)
    assert ratio.tolist() == [[pytest.approx(math.exp(0.5)), 1.0]]


def test_sampling_metrics_by_hand():
    old = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 0.0, 0.0]])
    sampled = torch.tensor([[-1.5, math.nan, -2.0], [-1.25, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    ratio = importance_ratio(old, sampled, mask, "token_mask", None, None)
    found = {name: float(v) for name, v in sampling_metrics(old, sampled, mask, ratio, "token_mask").items()}
    ratios = [math.exp(0.5), 1.0, math.exp(-1.0), math.exp(0.25)]
    assert found == pytest.approx(
        {
            "sampling/sampling_logp_difference/mean": (0.5 + 1.0 + 0.25) / 3,
            "sampling/sampling_logp_difference/max": 1.0,
            "sampling/importance_sampling_ratio/min": math.exp(-1.0),
            "sampling/importance_sampling_ratio/mean": sum(ratios) / 4,
            "sampling/importance_sampling_ratio/max": math.exp(0.5),
        }
    )
    nothing = sampling_metrics(*(part[:0] for part in (old, sampled, mask, ratio)), "token_mask")
    assert all(value.isnan() for value in nothing.values())


def test_vllm_is_asked_for_every_prompt_and_its_log_probabilities_are_kept(tmp_path, monkeypatch):
    """vLLM itself needs a GPU: what ``GRPOTrainer`` returns from it is given here."""
    from support.tiny_training import REPLIES, policy_folder
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = policy_folder(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reply = tokenizer.convert_tokens_to_ids(REPLIES[0])
    asked = []

    def generate(ids, images, fields, number):
        asked.append(ids)
        return [[reply, tokenizer.eos_token_id] for _ in ids], [[-0.25, -0.5] for _ in ids]

    trainer = SimpleNamespace(
        model=AutoModelForCausalLM.from_pretrained(folder),
        processing_class=tokenizer,
        args=SimpleNamespace(max_completion_length=3, rollout_batch_size=8),
        accelerator=SimpleNamespace(unwrap_model=lambda model: model),
        _generate_single_turn=generate,
    )
    policy = PolicyInVLLM(trainer)
    made = policy.complete(["red scene", "blue"], 1.0, [0, 1])
    assert [completion.text for completion in made] == [REPLIES[0]] * 2
    assert policy.logprobs[made[1].prompt_ids, made[1].completion_ids] == [-0.25, -0.5]
    assert policy.complete([], 1.0, []) == [] and len(asked) == 1  # nobody has anything to decide
    monkeypatch.setattr(policy_in_training, "gather_object", lambda counts: [2, *counts])  # another process has
    assert policy.complete([], 1.0, []) == [] and len(asked[1]) == 2  # in step with fillers


def test_under_zero_3_no_weights_are_gathered_where_no_process_has_a_prompt(monkeypatch):
    """Of several processes; ``test_distributed_training`` launches them."""
    plugin = SimpleNamespace(zero_stage=3)
    trainer = SimpleNamespace(accelerator=SimpleNamespace(state=SimpleNamespace(deepspeed_plugin=plugin)), args=None)
    policy = PolicyInTraining(trainer)
    assert policy.complete([], 1.0, []) == []
    for stage, counts in ((3, [2]), (2, [])):
        plugin.zero_stage = stage
        monkeypatch.setattr(policy_in_training, "gather_object", lambda own, others=counts: [*others, *own])
        with pytest.raises(AttributeError, match="model_wrapped"):  # of which the weights would be
            policy.complete([], 1.0, [])
