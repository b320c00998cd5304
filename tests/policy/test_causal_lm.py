from __future__ import annotations

import logging
from collections import Counter

import pytest
import torch
from support.tiny_models import tiny_qwen2_lm
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from lmms_videominer.errors import ModelError
from lmms_videominer.models.identity import model_identity
from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.policy.prompt import policy_prompt
from lmms_videominer.policy.seeded_sampling import GumbelNoise

CAPTIONS = ["a red disc", "", "two frames that show the letter A " * 5, "A", "a red disc"]
PROMPTS = [policy_prompt("Where is the red disc?", caption, depth, 3) for depth, caption in enumerate(CAPTIONS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_qwen2_lm(tmp_path_factory.mktemp("lm"))


@pytest.fixture
def policy(folder):
    return CausalLM.from_pretrained(folder, device="cpu", dtype="float32", max_new_tokens=12)


def ending_with(policy, token_id):
    """The policy with ``token_id`` as its end-of-sequence token."""
    policy.model.generation_config.eos_token_id = token_id
    return policy


def test_a_batch_gives_what_each_prompt_gives_alone(policy):
    together = policy.complete(PROMPTS)
    alone = [policy.complete([prompt])[0] for prompt in PROMPTS]
    assert together == alone
    assert len({completion.text for completion in together}) > 1  # the texts do depend on the prompts


def test_the_size_of_the_batch_changes_nothing(policy):
    whole = policy.complete(PROMPTS)
    policy.batch_size = 2
    assert policy.complete(PROMPTS) == whole


def test_long_prompts_share_a_pass_as_far_as_their_tokens_allow(policy, monkeypatch):
    whole = policy.complete(PROMPTS)
    lengths = sorted(len(completion.prompt_ids) for completion in whole)
    seen = []
    policy.model.get_input_embeddings().register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    for most, passes in (
        (3 * lengths[2], [(3, lengths[2]), (2, lengths[4])]),
        (lengths[0], [(1, length) for length in lengths]),  # a prompt longer than that goes by itself
    ):
        monkeypatch.setattr("lmms_videominer.policy.causal_lm.MOST_TOKENS", most)
        assert policy.complete(PROMPTS) == whole
        assert [tuple(shape) for shape in seen if shape[1] > 1] == passes
        seen.clear()


@pytest.mark.parametrize(("temperature", "seeds", "rows"), [(0.0, [0, 1, 2, 3], 2), (1.0, [7, 7, 8, 7], 3)])
def test_what_is_asked_twice_is_completed_once(policy, temperature, seeds, rows):
    prompts = [PROMPTS[0], PROMPTS[0], PROMPTS[0], PROMPTS[2]]
    alone = [policy.complete([prompt], temperature, [seed])[0] for prompt, seed in zip(prompts, seeds)]
    seen = []
    policy.model.get_input_embeddings().register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    assert policy.complete(prompts, temperature, seeds) == alone
    assert set(seen) == {rows}


def test_greedy_completions_are_the_models_own(policy, folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(f"<|im_start|>user\n{PROMPTS[0]}<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    expected = []
    with torch.no_grad():
        for _ in range(12):
            expected.append(int(model(torch.tensor([ids + expected])).logits[0, -1].argmax()))
    completion = policy.complete(PROMPTS[:1])[0]
    assert completion.prompt_ids == tuple(ids)
    assert completion.completion_ids == tuple(expected)
    assert completion.text == tokenizer.decode(expected, skip_special_tokens=True).strip()


SEEDS = [11, 12, 13, 14, 15]


def test_sampling_repeats_with_the_seeds_whatever_the_global_generator(policy):
    torch.manual_seed(1)
    first = policy.complete(PROMPTS, temperature=1.0, seeds=SEEDS)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    assert policy.complete(PROMPTS, temperature=1.0, seeds=SEEDS) == first
    assert torch.equal(torch.random.get_rng_state(), state)  # and leaves that generator alone
    others = policy.complete(PROMPTS, temperature=1.0, seeds=[seed + 100 for seed in SEEDS])
    assert all(a.completion_ids != b.completion_ids for a, b in zip(first, others))


def test_a_sample_depends_on_its_prompt_and_seed_alone(policy):
    together = policy.complete(PROMPTS, temperature=1.0, seeds=SEEDS)
    alone = [policy.complete([prompt], temperature=1.0, seeds=[seed])[0] for prompt, seed in zip(PROMPTS, SEEDS)]
    assert together == alone
    policy.batch_size = 2
    turned = policy.complete([*PROMPTS[::-1], "x"], temperature=1.0, seeds=[*SEEDS[::-1], 3])
    assert turned[:-1] == together[::-1]


def test_equal_prompts_sample_alike_with_one_seed_and_apart_with_several(policy):
    same = policy.complete(PROMPTS[:1] * 3, temperature=2.0, seeds=[4] * 3)
    assert len({completion.completion_ids for completion in same}) == 1
    apart = policy.complete(PROMPTS[:1] * 3, temperature=2.0, seeds=[4, 5, 6])
    assert len({completion.completion_ids for completion in apart}) == 3


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_samples_have_the_distribution_of_the_softmax(policy, temperature):
    policy.max_new_tokens, policy.batch_size = 1, 500
    check_frequencies(policy, policy.complete(["x"] * 6000, temperature, range(6000)), temperature, position=0)


def test_later_tokens_have_the_distribution_that_the_earlier_ones_leave(policy):
    policy.max_new_tokens, policy.batch_size = 2, 500
    completions = policy.complete(["x"] * 6000, 0.25, range(6000))
    [(first, count)] = Counter(completion.completion_ids[0] for completion in completions).most_common(1)
    assert count > 1000
    check_frequencies(policy, [c for c in completions if c.completion_ids[0] == first], 0.25, position=1)


def check_frequencies(policy, completions, temperature, position):
    """Chi-square of the tokens at ``position`` against the model's own softmax, rare tokens taken together."""
    ids = completions[0].prompt_ids + completions[0].completion_ids[:position]
    with torch.no_grad():
        p = (policy.model(torch.tensor([ids])).logits[0, -1].double() / temperature).softmax(-1)  # [V]
    seen = Counter(completion.completion_ids[position] for completion in completions)
    observed = torch.tensor([float(seen[token]) for token in range(len(p))])
    expected = p * len(completions)
    common = expected >= 5
    pairs = [(observed[common], expected[common]), (observed[~common].sum(), expected[~common].sum())]
    chi_square = sum(((o - e).square() / e).sum() for o, e in pairs)
    cells = int(common.sum()) + 1
    assert cells > 3
    assert chi_square < cells - 1 + 5 * (2 * (cells - 1)) ** 0.5  # five standard deviations above its mean
    assert chi_square > cells - 1 - 5 * (2 * (cells - 1)) ** 0.5


def test_sampling_without_a_seed_a_prompt_is_refused(policy):
    with pytest.raises(ValueError, match="1 seeds for 5 prompts"):
        policy.complete(PROMPTS, temperature=1.0, seeds=[1])


def test_the_model_may_be_another_one_at_every_call(policy, tmp_path):
    other = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path, seed=1), device="cpu", max_new_tokens=12)
    expected = other.complete(PROMPTS)
    assert policy.complete(PROMPTS) != expected
    policy.model = other.model
    assert policy.complete(PROMPTS) == expected


def test_what_decides_a_completion_is_in_the_identity(folder, tmp_path):
    def held() -> CausalLM:
        return CausalLM(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))

    policies = [held() for _ in range(5)]
    policies[1].max_new_tokens = 7
    policies[2].tokenizer.chat_template = "{{ messages[0].content }}"
    policies[3].model.generation_config.eos_token_id = [5, 6]
    policies[4].model = AutoModelForCausalLM.from_pretrained(tiny_qwen2_lm(tmp_path, seed=1))
    assert len({policy.identity for policy in policies}) == 5 and held().identity == policies[0].identity
    named = CausalLM.from_pretrained(folder, device="cpu")
    before = named.identity
    named.model = policies[4].model
    assert named.identity not in ("", before)


def test_what_cannot_be_told_from_parameters_has_no_identity(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.device("meta"):
        offloaded = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    adapted = AutoModelForCausalLM.from_pretrained(folder)
    adapted.peft_config = {}
    assert [CausalLM(model, tokenizer).identity for model in (offloaded, adapted)] == ["", ""]


def test_a_model_in_training_learns_on_after_it_has_sampled(folder):
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    policy = CausalLM(model, AutoTokenizer.from_pretrained(folder), max_new_tokens=8)
    completion = policy.complete(PROMPTS[:1], temperature=1.0, seeds=[1])[0]
    model(torch.tensor([completion.prompt_ids + completion.completion_ids])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_sampling_ignores_the_models_own_generation_settings(policy):
    plain = policy.complete(PROMPTS, temperature=1.0, seeds=SEEDS)
    policy.model.generation_config.update(top_k=1, top_p=0.1, repetition_penalty=5.0)
    assert policy.complete(PROMPTS, temperature=1.0, seeds=SEEDS) == plain


def test_a_completion_ends_with_its_eos_token_and_holds_no_padding(policy):
    free = policy.complete(PROMPTS)
    end = free[0].completion_ids[3]
    ended = ending_with(policy, end).complete(PROMPTS)
    assert ended[0].completion_ids == free[0].completion_ids[: free[0].completion_ids.index(end) + 1]
    for before, after in zip(free, ended):
        ids = before.completion_ids
        assert after.completion_ids == (ids[: ids.index(end) + 1] if end in ids else ids)
        assert policy.tokenizer.pad_token_id not in after.prompt_ids


def test_special_tokens_do_not_show_in_the_text(policy):
    end = policy.tokenizer.eos_token_id
    with torch.no_grad():
        policy.model.lm_head.weight = torch.nn.Parameter(policy.model.lm_head.weight.clone())
        policy.model.lm_head.weight.zero_()[end] = 0  # all logits equal: the first token, a special one, wins
    completion = policy.complete(["x"])[0]
    assert completion.completion_ids and completion.text == ""


def test_a_prompt_beyond_the_context_loses_its_middle_is_counted_and_logged_once(tmp_path, caplog):
    policy = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path, context=300), device="cpu", max_new_tokens=100)
    prompts = [policy_prompt("Where?", "first " + "word " * n + "last", 1, 3) for n in (2000, 3000)]
    with caplog.at_level(logging.WARNING, logger="lmms_videominer"):
        completions = policy.complete(prompts)
    assert policy.truncated == 2 and len(caplog.records) == 1
    for completion in completions:
        assert len(completion.prompt_ids) == 200
        text = policy.tokenizer.decode(completion.prompt_ids)
        assert text.startswith("<|im_start|>user\nYou search")
        assert text.endswith(" last<|im_end|>\n<|im_start|>assistant\n")
        assert len(completion.completion_ids) <= 100


def test_a_model_without_chat_template_gets_the_prompt_itself(tmp_path):
    policy = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path, chat=False), device="cpu", max_new_tokens=4)
    assert policy.tokenizer.decode(policy.complete(["Where?"])[0].prompt_ids) == "Where?\n"


def test_no_prompt_gives_no_completion(policy):
    assert policy.complete([]) == []


def test_a_model_in_training_is_used_in_evaluation_mode_and_trains_on(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, attention_dropout=0.5).train()
    policy = CausalLM(model, AutoTokenizer.from_pretrained(folder), max_new_tokens=8)
    assert policy.complete(PROMPTS) == policy.complete(PROMPTS)
    assert model.training


def test_the_identity_is_the_folders_or_follows_the_weights_in_memory(policy, folder):
    assert policy.identity == f"{model_identity(folder)}:{policy.max_new_tokens}"  # a longer reply is another one
    held = CausalLM(policy.model, policy.tokenizer)
    before = held.identity
    with torch.no_grad():
        policy.model.model.norm.weight.add_(0.1)
    assert held.identity != before


@pytest.mark.parametrize("content", [None, "", "{}", "not JSON"])
def test_what_is_no_model_is_named_with_the_way_out(tmp_path, content, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    path = tmp_path / "nowhere"
    if content is not None:
        path.mkdir()
        (path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"policy '.*nowhere'.*HF_HUB_OFFLINE"):
        CausalLM.from_pretrained(str(path))


def test_damaged_weights_are_an_error_that_names_the_folder(tmp_path):
    folder = tiny_qwen2_lm(tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cut"):
        CausalLM.from_pretrained(folder)


def test_a_sequence_without_a_seed_of_its_own_is_refused():
    noise = GumbelNoise([1, 2], 1.0, "cpu")
    with pytest.raises(ValueError, match="shorter"):
        noise(torch.zeros(3, 1, dtype=torch.long), torch.zeros(3, 5))
