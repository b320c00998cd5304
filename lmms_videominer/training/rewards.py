"""The rewards of T-GRPO (arXiv 2510.06040, section 3.2): one pure function per equation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.errors import ConfigError
from lmms_videominer.types import Action, Reading
from lmms_videominer.verdict import chosen_option

# How far delta_d lies above, and delta_a below, their mean: the paper gives the order, not the size.
DELETE_OVER_ACCEPT = 0.1


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class RewardConfig:
    """Settings of the rewards, in interpretable units; the three deltas of r_action follow from lambda alone.

    ``delta_d = 1.1 lambda s``, ``delta_a = 0.9 lambda s``, ``delta_c = s`` with ``s = 3 / (2 lambda + 1)``. Their
    mean is 1 for every lambda, so lambda only trades the actions against each other.

    Raises:
        ConfigError: A value is out of range; the message quotes it.
    """

    reward: str = _option(
        "t-grpo",
        "t-grpo: format + (length + action) * R_tree; rf: the same without R_tree; format: the first term only.",
    )
    lambda_auxin: float = _option(1.0, "(delta_d + delta_a) / (2 delta_c): trees grow below 1, stop early above.")
    target_length: float = _option(96.0, "l_t: completion length with the full length reward, in tokens.")
    length_sigma: float = _option(48.0, "sigma: width of the length reward, in tokens.")
    length_weight: float = _option(0.5, "rho: the length reward at the target length.")
    format_full: float = _option(1.0, "delta_max: reward of a completion that follows the format fully.")
    format_partial: float = _option(0.5, "delta_corr: reward if an action is recovered from a partly correct one.")

    def __post_init__(self) -> None:
        if self.reward not in ("t-grpo", "rf", "format"):
            raise ConfigError(f"reward={self.reward!r}: one of t-grpo, rf, format")
        for name in ("lambda_auxin", "length_sigma"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)}: must be above 0")
        for name in ("target_length", "length_weight", "format_full", "format_partial"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)}: cannot be negative")
        if self.format_partial > self.format_full:
            raise ConfigError(
                f"format_partial={self.format_partial} exceeds format_full={self.format_full}: "
                "a partly correct completion would earn more than a correct one"
            )

    @property
    def deltas(self) -> dict[Action, float]:
        """delta_d, delta_a, delta_c."""
        s = 3.0 / (2.0 * self.lambda_auxin + 1.0)
        return {
            Action.DELETE: (1.0 + DELETE_OVER_ACCEPT) * self.lambda_auxin * s,
            Action.ACCEPT: (1.0 - DELETE_OVER_ACCEPT) * self.lambda_auxin * s,
            Action.CONTINUE: s,
        }


def auxin(delta_d: float, delta_a: float, delta_c: float) -> float:
    """``lambda_auxin = (delta_d + delta_a) / (2 delta_c)``, which controls the growth of trees."""
    return (delta_d + delta_a) / (2.0 * delta_c)


def format_reward(reading: Reading, config: RewardConfig) -> float:
    """``r_format``: delta_max for the full format, delta_corr if an action could be recovered, else 0."""
    return {Reading.STRICT: config.format_full, Reading.LENIENT: config.format_partial, Reading.DEFAULT: 0.0}[reading]


def length_reward(tokens: int, config: RewardConfig) -> float:
    """``r_length(l) = rho exp(-(l - l_t)^2 / (2 sigma^2))``, where ``l`` is the completion's length in tokens."""
    distance = (tokens - config.target_length) / config.length_sigma
    return config.length_weight * math.exp(-distance * distance / 2.0)


def action_reward(action: Action, config: RewardConfig) -> float:
    """``r_action``: delta_d, delta_a or delta_c."""
    return config.deltas[action]


def tree_reward(answer: str | None, options: Sequence[str], right: int | str) -> float:
    """``R_tree``: 1 if the answer from the tree's key frames is correct, else 0.

    Args:
        answer: The video LLM's answer.
        options: The question's options; empty for an open-ended question.
        right: The correct option by index or letter; for an open-ended question, the correct answer, which the
            answer must equal up to letter case, punctuation at the ends and white space.
    """
    if not options:
        return float(answer is not None and _normalised(answer) == _normalised(str(right)))
    index = ord(right.strip().upper()) - ord("A") if isinstance(right, str) else right
    return float(chosen_option(answer, options) == index)


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'")


def total_reward(format: float, length: float, action: float, tree: float, config: RewardConfig) -> float:
    """``R_total = r_format + (r_length + r_action) R_tree``.

    With ``reward="rf"`` R_tree is replaced by 1; with ``reward="format"`` only r_format remains.
    """
    return format + (length + action) * {"t-grpo": tree, "rf": 1.0, "format": 0.0}[config.reward]
