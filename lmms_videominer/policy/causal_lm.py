"""A causal language model as policy: any Hugging Face name or folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmms_videominer.policy.policy import PolicyCompletion

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class CausalLMPolicy:
    """Generates completions with a causal LM, with its chat template where it has one.

    Args:
        model: The model, on its device.
        tokenizer: Its tokenizer.
        identity: Changes with the weights; computed from the model's weights at each use when ``None``.
        max_new_tokens: Most tokens of a completion.
        batch_size: Prompts a forward pass.

    Attributes:
        truncated: How many prompts were longer than the model's context and lost their middle.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, identity: str | None = None,
                 max_new_tokens: int = 160, batch_size: int = 16):
        raise NotImplementedError

    @classmethod
    def from_pretrained(cls, name: str, device: str | None = None, dtype: str = "auto", max_new_tokens: int = 160,
                        batch_size: int = 16, trust_remote_code: bool = False) -> CausalLMPolicy:
        """Load by folder or hub name; the device defaults to CUDA where there is one.

        Raises:
            ModelError: The model is absent or cannot be loaded.
        """
        raise NotImplementedError

    @property
    def identity(self) -> str:
        raise NotImplementedError

    def decide(self, prompts: Sequence[str], temperature: float = 0.0, seed: int = 0) -> list[PolicyCompletion]:
        """One completion a prompt, in order; see ``Policy.decide``."""
        raise NotImplementedError
