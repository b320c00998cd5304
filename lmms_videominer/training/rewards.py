"""The rewards of T-GRPO (arXiv 2510.06040, section 3.2): one pure function per equation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.config import check_finite
from lmms_videominer.errors import ConfigError
from lmms_videominer.types import Action, KeyFrame, Reading, Span, merge_spans
from lmms_videominer.verdict import chosen_option

# How far delta_d lies above, and delta_a below, their mean: the paper gives the order, not the size.
DELETE_OVER_ACCEPT = 0.1
REACH_S = 1.0  # a key frame shows what happens up to this many seconds before and after it
CHOICES = {
    "reward": ("t-grpo", "rf", "format"),
    "advantages": ("paper", "floor", "apart", "unscaled"),
    "answer_reward": ("correct", "probability"),
    "fallback_reward": ("paper", "none", "above_uniform"),
}


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
    advantages: str = _option(
        "paper",
        "How the rewards of a group are normalised. paper: by their standard deviation; floor: by no less than one "
        "wrong tree among right ones would give; apart: R_tree and the rewards of decisions apart; "
        "unscaled: not at all, as by scale_rewards=none.",
    )
    answer_reward: str = _option(
        "correct",
        "What an answer earns. correct: 1 if it is the right one, else 0; probability: the probability that the video "
        "LLM gives to the right option (it must give probabilities).",
    )
    evidence_target: float = _option(
        0.0,
        "Share of the evidence's time that key frames must show for the full R_tree, for questions that have evidence; "
        "less earns in proportion. 0: the answer alone counts.",
    )
    evidence_ungated: float = _option(
        0.2, "With evidence_target, the share of R_tree that shown evidence earns even if the answer is wrong."
    )
    call_price: float = _option(
        0.0,
        "What captions cost a tree: R_tree is multiplied by 1 - call_price * (captions / max_vlm_calls), so that of "
        "two trees that are right the cheaper one earns more. 0: nothing.",
    )
    fallback_reward: str = _option(
        "paper",
        "R_tree of a tree that accepts nothing, so that a fallback chose its frames. paper: as of any other; none: 0; "
        "above_uniform: less what uniform frames earn, but not below 0.",
    )

    def __post_init__(self) -> None:
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise ConfigError(f"{name}={getattr(self, name)!r}: one of {', '.join(valid)}")
        check_finite(vars(self))
        for name in ("lambda_auxin", "length_sigma"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)}: must be above 0")
        for name in ("evidence_target", "evidence_ungated", "call_price"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)}: a share, from 0 to 1")
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

    def factor(self, tree: float) -> float:
        """What r_length and r_action are multiplied by where R_tree is ``tree``: R_tree, or what replaces it."""
        return {"t-grpo": tree, "rf": 1.0, "format": 0.0}[self.reward]


@dataclass(frozen=True)
class DecisionRewards:
    """The rewards of one decision, by part: ``tree`` is R_tree of its tree, ``total`` comes from ``total_reward``."""

    format: float
    length: float
    action: float
    tree: float
    total: float

    @property
    def node(self) -> float:
        """``r_length + r_action``."""
        return self.length + self.action


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


def answer_reward(answer: str | None, options: Sequence[str], right: int | str) -> float:
    """1 if the answer from the tree's key frames is correct, else 0.

    Args:
        answer: The video LLM's answer.
        options: The question's options; empty for an open-ended question.
        right: The correct option by index or letter; for an open-ended question, the correct answer, which the
            answer must equal up to letter case, punctuation at the ends and white space.
    """
    if not options:
        return float(answer is not None and _normalised(answer) == _normalised(str(right)))
    return float(chosen_option(answer, options) == option_index(right))


def option_index(right: int | str) -> int:
    """The index of the correct option, given by index or letter."""
    return ord(right.strip().upper()) - ord("A") if isinstance(right, str) else right


def evidence_shown(key_frames: Sequence[KeyFrame], evidence: Sequence[Span]) -> float:
    """The share of the evidence that ``key_frames`` show: of each window the share of its time, and their mean.

    A frame shows the time up to ``REACH_S`` before and after it, and times that several frames show count once. Windows
    that overlap or touch are one. Key frames are measured, and not accepted nodes, since the answer comes from them:
    accepting the whole video would hold all of the evidence and show almost none, and how little more than the evidence
    is accepted does not matter once its frames are close together.

    Args:
        key_frames: The frames that the answer comes from.
        evidence: At least one window; one without length is shown or not.
    """
    shown = merge_spans([Span(max(0.0, frame.time_s - REACH_S), frame.time_s + REACH_S) for frame in key_frames])
    windows = merge_spans(evidence)
    return math.fsum(_share_shown(window, shown) for window in windows) / len(windows)


def _share_shown(window: Span, shown: Sequence[Span]) -> float:
    if not window.duration_s:
        return float(any(span.start_s <= window.start_s <= span.end_s for span in shown))
    overlaps = (min(span.end_s, window.end_s) - max(span.start_s, window.start_s) for span in shown)
    return math.fsum(overlap for overlap in overlaps if overlap > 0) / window.duration_s


def grounded_reward(answer: float, shown: float, config: RewardConfig) -> float:
    """``((1 - u) answer + u) min(1, shown / target)``: what an answer earns by the evidence that was shown.

    A right answer that no evidence was shown for earns nothing, and a wrong one from all the evidence ``u``.

    Args:
        answer: ``answer_reward``, or the right option's probability.
        shown: ``evidence_shown``.
        config: ``evidence_target`` (above 0) and ``evidence_ungated``, u.
    """
    ungated = config.evidence_ungated
    return ((1 - ungated) * answer + ungated) * min(1.0, shown / config.evidence_target)


def tree_reward(answer: float, config: RewardConfig, in_fallback: bool = False, uniform: float = 0.0) -> float:
    """``R_tree``, in [0, 1]: what the tree's answer earns, or in a fallback what the settings leave of it.

    Args:
        answer: ``answer_reward``, the right option's probability, or ``grounded_reward``.
        config: Its ``fallback_reward`` applies to a tree that is ``in_fallback``.
        in_fallback: Whether the tree accepted nothing (``FALLBACKS``).
        uniform: With ``above_uniform``, what as many uniform frames earn.
    """
    if in_fallback:
        return {"paper": answer, "none": 0.0, "above_uniform": max(0.0, answer - uniform)}[config.fallback_reward]
    return answer


def priced_reward(tree: float, spent: float, config: RewardConfig) -> float:
    """``R_tree (1 - price spent)``: what is left of R_tree after the captions are paid.

    It is a factor, not a difference: a wrong tree earns nothing however cheap it is, and no price makes a right tree
    earn less than a wrong one.

    Args:
        tree: ``tree_reward``.
        spent: Captions over their limit, in [0, 1]; cached ones count.
        config: ``call_price``, in [0, 1].
    """
    return tree * (1.0 - config.call_price * min(1.0, spent))


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'")


def total_reward(format: float, length: float, action: float, tree: float, config: RewardConfig) -> float:
    """``R_total = r_format + (r_length + r_action) R_tree``.

    With ``reward="rf"`` R_tree is replaced by 1; with ``reward="format"`` only r_format remains.
    """
    return format + (length + action) * config.factor(tree)
