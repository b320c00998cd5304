"""A causal language model from transformers, by Hugging Face name or folder."""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lmms_videominer.models.identity import model_identity, module_identity
from lmms_videominer.models.loading import default_device, loading
from lmms_videominer.models.plain_text import THINK, ControlTokens, pieces_to_ids, unused_character
from lmms_videominer.policy.language_model import Completion, check_seeds, in_order
from lmms_videominer.policy.prompt import INSTRUCTIONS
from lmms_videominer.policy.seeded_sampling import GumbelNoise

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MOST_TOKENS = 32_768  # prompt tokens of one forward pass, with padding; prompts of LLoVi have 20 000 each

logger = logging.getLogger(__name__)


class CausalLM:
    """Generates completions with a causal LM, with its chat template if it has one.

    Generation is plain: the most likely token, or a sample at the given temperature from the whole
    vocabulary; top-k, top-p and penalties of the model's generation configuration are ignored. A
    sample depends only on its prompt and its seed, not on the split into batches and processes.

    Args:
        model: The model, on its device; in evaluation mode while it generates. The attribute may be set to another
            model between calls, as training does with the unwrapped model.
        tokenizer: Its tokenizer.
        identity: Identity of ``model`` with ``tokenizer``; computed from both at each use if it is ``None``, or once
            ``model`` has been replaced.
        max_new_tokens: Maximum number of tokens of a completion.
        batch_size: Maximum number of prompts of a forward pass; fewer if they are long (``MOST_TOKENS``), so that
            memory does not depend on the number of prompts in a call.

    Attributes:
        truncated: Number of prompts that were too long for the model's context and lost their middle.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        identity: str | None = None,
        max_new_tokens: int = 160,
        batch_size: int = 16,
    ):
        self.model: Any = model  # transformers mixes generate() in where a type checker cannot see it
        self.tokenizer = tokenizer
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self.truncated = 0
        self._identity, self._named = identity, model

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        device: str | None = None,
        dtype: str = "auto",
        max_new_tokens: int = 160,
        batch_size: int = 16,
        trust_remote_code: bool = False,
    ) -> CausalLM:
        """Load by folder or hub name; the device defaults to CUDA if available.

        Raises:
            ModelError: The model is missing or cannot be loaded.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        with loading("policy", name):
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
            model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, trust_remote_code=trust_remote_code)
        return cls(model.to(default_device(device)).eval(), tokenizer, model_identity(name), max_new_tokens, batch_size)

    @property
    def identity(self) -> str:
        """Empty for a model in memory whose parameters do not identify it: with adapters, or with weights elsewhere."""
        named = self._identity if self.model is self._named else None
        if named is None and (hasattr(self.model, "peft_config") or _is_elsewhere(self.model)):
            return ""
        return f"{named or self._read_identity()}:{self.max_new_tokens}"

    def _read_identity(self) -> str:
        text = repr((self.tokenizer.chat_template, self._eos_ids, self._vocabulary))
        return f"{module_identity(self.model)}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @functools.cached_property
    def _vocabulary(self) -> str:
        """sha256 over the tokens; cached, since there may be 150 000."""
        return hashlib.sha256(repr(sorted(self.tokenizer.get_vocab().items())).encode()).hexdigest()

    @property
    def at_once(self) -> int:
        """How many requests it serves at once."""
        return self.batch_size

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion per prompt, in order; see ``LanguageModel.complete``. Seeds are optional at temperature 0."""
        return in_order(self.stream(prompts, temperature, seeds), len(prompts))

    def stream(
        self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()
    ) -> Iterator[dict[int, Completion]]:
        """The completions of ``complete`` by position, one forward pass after the other."""
        check_seeds(prompts, temperature, seeds)
        ids = [self._prompt_ids(prompt) for prompt in prompts]
        # repeats are completed once: a greedy completion depends on the prompt alone, a sample also on its seed
        keys = [(tuple(row), seeds[i] if temperature else 0) for i, row in enumerate(ids)]
        positions: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for i, key in enumerate(keys):
            positions.setdefault(key, []).append(i)
        order = sorted(positions, key=lambda key: (len(key[0]), key))  # similar lengths together, for little padding
        for batch in self._batches(order):
            noise = GumbelNoise([seed for _, seed in batch], temperature, self.model.device) if temperature else None
            with _evaluating(self.model):
                completions = self._complete([list(row) for row, _ in batch], noise)
            yield {i: done for key, done in zip(batch, completions, strict=True) for i in positions[key]}

    def _batches(self, order: Sequence[tuple[tuple[int, ...], int]]) -> Iterator[list[tuple[tuple[int, ...], int]]]:
        """Split ``order``, prompts with their seeds by ascending length, into one batch per forward pass."""
        batch: list[tuple[tuple[int, ...], int]] = []
        for key in order:
            if batch and (len(batch) == self.batch_size or (len(batch) + 1) * len(key[0]) > MOST_TOKENS):
                yield batch
                batch = []
            batch.append(key)
        if batch:
            yield batch

    @functools.cached_property
    def _in_prompts(self) -> ControlTokens:
        return ControlTokens.of(self.tokenizer, own=rf"\A(?:{'|'.join(map(re.escape, INSTRUCTIONS))})")

    @functools.cached_property
    def _in_completions(self) -> ControlTokens:
        return ControlTokens.of(self.tokenizer, own=THINK)

    def _prompt_ids(self, prompt: str) -> list[int]:
        """The ids of ``prompt`` as the user's turn; special tokens in it are text."""
        if not self.tokenizer.chat_template:
            return self._fitting(self.tokenizer(prompt + "\n", split_special_tokens=True)["input_ids"])
        mark = unused_character(prompt)
        messages = [{"role": "user", "content": self._in_prompts.broken(prompt, mark)}]
        # templates without a thinking mode ignore the flag; the reasoning belongs in <think> of the format
        text: Any = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return self._fitting(pieces_to_ids(self.tokenizer, text.split(mark)))

    def completion_ids(self, completion: str) -> list[int]:
        """The ids that the model would have written for ``completion``, without an end; special tokens are text."""
        mark = unused_character(completion)
        return pieces_to_ids(self.tokenizer, self._in_completions.broken(completion, mark).split(mark))

    def _fitting(self, ids: list[int]) -> list[int]:
        """``ids``, with the middle cut out if the model's context cannot hold them and the completion."""
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        room = max(2, context - self.max_new_tokens) if context else len(ids)
        if len(ids) <= room:
            return ids
        if not self.truncated:
            logger.warning(
                "A policy prompt of %d tokens exceeds the %d that the model's context leaves for it: its middle "
                "is cut; further prompts are counted, not logged",
                len(ids),
                room,
            )
        self.truncated += 1
        head = room // 2
        return ids[:head] + ids[len(ids) - (room - head) :]

    def _complete(self, batch: list[list[int]], noise: GumbelNoise | None) -> list[Completion]:
        import torch

        input_ids, mask = self._left_padded(batch)  # [B, P]
        with torch.no_grad():  # not inference_mode: a model in training uses these tensors later
            output = self.model.generate(
                input_ids=input_ids,
                attention_mask=mask,
                generation_config=self._generation(),
                logits_processor=[noise] if noise else None,
            )  # [B, P + C]
        completions = [self._until_eos(row) for row in output[:, input_ids.shape[1] :].tolist()]
        texts = self.tokenizer.batch_decode(completions, skip_special_tokens=True)
        return [
            Completion(text.strip(), tuple(prompt), tuple(completion))
            for text, prompt, completion in zip(texts, batch, completions)
        ]

    def _left_padded(self, batch: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and attention mask, each int64 [B, longest], padding on the left."""
        import torch

        longest = max(len(ids) for ids in batch)
        rows = [[self._pad_id] * (longest - len(ids)) + ids for ids in batch]
        masks = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in batch]
        return torch.tensor(rows, device=self.model.device), torch.tensor(masks, device=self.model.device)

    def _generation(self) -> Any:
        from transformers import GenerationConfig

        # set explicitly: missing values are filled in from the model's own generation configuration
        return GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            pad_token_id=self._pad_id,
            eos_token_id=self._eos_ids,
            do_sample=False,  # a sample is the most likely token after adding noise
            repetition_penalty=1.0,
        )

    @property
    def _eos_ids(self) -> list[int]:
        """All tokens that end a completion: those of the generation configuration and that of the tokenizer."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids = configured if isinstance(configured, list) else [configured]
        return [i for i in dict.fromkeys([*ids, self.tokenizer.eos_token_id]) if i is not None]

    @property
    def _pad_id(self) -> int:
        if self.tokenizer.pad_token_id is not None:
            return self.tokenizer.pad_token_id
        return self._eos_ids[0] if self._eos_ids else 0

    def _until_eos(self, ids: list[int]) -> list[int]:
        """``ids`` up to its first end-of-sequence token, that token included."""
        ends = [i for i, token in enumerate(ids) if token in self._eos_ids]
        return ids[: ends[0] + 1] if ends else ids


def _is_elsewhere(model: PreTrainedModel) -> bool:
    """Whether parameters are offloaded, or partitioned over other processes by ZeRO-3."""
    return any(value.is_meta or not value.numel() for value in model.parameters())


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode within the block, then the mode of before: the trainer passes a model in training mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
