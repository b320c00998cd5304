"""Rolls out trees as training samples: grows n trees per question with the code of inference, answers and rewards."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.search.answers import answer_selections
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.key_frames import FALLBACKS
from lmms_videominer.search.option_probabilities import option_probabilities
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.selectors.settings import configured
from lmms_videominer.selectors.uniform import UniformSelector
from lmms_videominer.selectors.videominer import CAPTIONER, VideoMinerSelector
from lmms_videominer.training.rewards import (
    DecisionRewards,
    RewardConfig,
    action_reward,
    answer_reward,
    evidence_shown,
    format_reward,
    grounded_reward,
    length_reward,
    option_index,
    priced_reward,
    total_reward,
    tree_reward,
)
from lmms_videominer.types import Action, Node, Question, Reading, Selection
from lmms_videominer.vlm.vlm import VLM, ScoringVLM

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RolloutJob:
    """One tree to roll out.

    Attributes:
        question: The question and its video.
        answer: Index or letter of the correct option; for an open question the correct answer.
        question_id: Id of the group, whose trees are compared with one another.
        tree: Number of the tree in its group.
        seed: Seed of the tree's decisions: equal jobs give equal trees, independently of the other jobs of the call.
    """

    question: Question
    answer: str | int
    question_id: str
    tree: int
    seed: int


@dataclass(frozen=True)
class DecisionSample:
    """One decision of a tree: one training sample.

    Attributes:
        node_id, depth: Its place in the tree.
        prompt_ids, completion_ids: Tokens as the policy saw and generated them, without padding.
        action, reading: The action, and how it was parsed from the completion.
        rewards: Its rewards, by part.
    """

    node_id: str
    depth: int
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    action: Action
    reading: Reading
    rewards: DecisionRewards


@dataclass(frozen=True)
class TreeRollout:
    """One tree, grown and answered.

    Attributes:
        question_id, tree: Those of its job.
        selection: The tree, its key frames, its answer and their cost.
        correct: Whether the answer is.
        tree_reward: R_tree.
        decisions: By level and order; empty if the video is too short to be searched (``grain_s``).
    """

    question_id: str
    tree: int
    selection: Selection
    correct: bool
    tree_reward: float
    decisions: tuple[DecisionSample, ...]

    @property
    def in_fallback(self) -> bool:
        """Whether the tree accepted nothing, so that a fallback chose its key frames."""
        return in_fallback(self.selection)


def roll_out(
    jobs: Sequence[RolloutJob], stages: Stages, config: MinerConfig, reward_config: RewardConfig
) -> list[TreeRollout | VideoMinerError]:
    """Grow, answer and reward one tree per job (arXiv 2510.06040, section 3.2), all trees together.

    Captions, embeddings, segmentations and answers go through the cache of ``stages``: the requests of another tree
    or an earlier epoch are not repeated. The policy is called exactly ``rounds_at_most`` times (see
    ``VideoMinerSelector``) for any jobs, even none, so that processes that generate together stay in step.

    Args:
        jobs: The trees to roll out; those of one question may be spread over the calls of several processes.
        stages: The frozen video LLM and embedder, and the policy, which must return token ids.
        config: Settings of mining; ``temperature`` is the policy's.
        reward_config: Settings of the rewards.

    Returns:
        One entry per job, in order. If a video or question cannot be used, every job of that question in this
        call gets the error, which is logged once per question.

    Raises:
        ConfigError: The policy returns no token ids.
    """
    results = _selections(jobs, stages, config)
    earned = _earned(jobs, results, stages, config, reward_config)
    by_uniform: list[float | VideoMinerError] = [0.0] * len(jobs)
    if reward_config.fallback_reward == "above_uniform":
        by_uniform = _earned_by_uniform(jobs, results, stages, config, reward_config)
    failed = _failed([*jobs, *jobs], [*earned, *by_uniform])
    return [
        failed.get(job.question_id) or _rollout(job, result, answer, uniform, reward_config)
        for job, result, answer, uniform in zip(jobs, results, earned, by_uniform, strict=True)
    ]


def check_policy_decides(config: MinerConfig) -> None:
    """Refuse settings of mining under which there is nothing to learn.

    Raises:
        ConfigError: The captioner decides.
    """
    if VideoMinerSelector.settings_of(config).judge == CAPTIONER:
        raise ConfigError(
            f"videominer_judge={CAPTIONER}: T-GRPO learns from the policy's decisions, and here the captioner makes "
            "them; leave it out, or set videominer_judge=policy"
        )


def in_fallback(selection: Selection) -> bool:
    """Whether the tree of ``selection`` accepted nothing, so that a fallback chose its key frames."""
    return not FALLBACKS.isdisjoint(selection.fallbacks)


def answer_from_uniform(
    questions: Sequence[Question], stages: Stages, config: MinerConfig
) -> list[Selection | VideoMinerError]:
    """Each question answered from ``config.frames`` uniform frames: those of the fallback of a tree without nodes."""
    settings = configured(config, selector="uniform")
    results = list(UniformSelector(stages, settings).select(questions))
    return _answered(results, stages, settings)


def _selections(jobs: Sequence[RolloutJob], stages: Stages, config: MinerConfig) -> list[Selection | VideoMinerError]:
    """The answered selection of each job's tree, or its error."""
    searches = [Job(job.question, job.seed) for job in jobs]
    selector = VideoMinerSelector(stages, config)
    results = run(selector, searches, decisions_in_step=selector.rounds_at_most(config))
    return _answered(results, stages, config)


def _answered(
    results: Sequence[Selection | VideoMinerError], stages: Stages, config: MinerConfig
) -> list[Selection | VideoMinerError]:
    """``results`` with the answer of each selection, or the error of its answer."""
    answered = list(results)
    selections = {i: result for i, result in enumerate(results) if isinstance(result, Selection)}
    vlm = needed(stages.vlm, "video LLM")
    answers = answer_selections(list(selections.values()), vlm, stages.cache, config.reader)
    for i, result in zip(selections, answers, strict=True):
        answered[i] = result
    return answered


def scoring_vlm(vlm: VLM | None) -> ScoringVLM:
    """``vlm``, which must give probabilities.

    Raises:
        ConfigError: It does not.
    """
    if not isinstance(vlm, ScoringVLM):
        raise ConfigError(
            f"answer_reward='probability': the video LLM ({type(vlm).__name__}) gives no probabilities of replies. "
            "Use a video LLM of transformers, or answer_reward=correct"
        )
    return vlm


def _earned(
    jobs: Sequence[RolloutJob],
    results: Sequence[Selection | VideoMinerError],
    stages: Stages,
    config: MinerConfig,
    rewards: RewardConfig,
) -> list[float | VideoMinerError]:
    """What each answer earns by itself and by the evidence that its key frames show; the error of one without."""
    earned: list[float | VideoMinerError] = [
        result
        if isinstance(result, VideoMinerError)
        else answer_reward(result.answer, job.question.options, job.answer)
        for job, result in zip(jobs, results, strict=True)
    ]
    if rewards.answer_reward == "probability":
        asked = {i: r for i, r in enumerate(results) if isinstance(r, Selection) and r.question.options}
        vlm = scoring_vlm(stages.vlm)
        found = option_probabilities(list(asked.values()), vlm, stages.cache, config.reader)
        for i, made in zip(asked, found, strict=True):
            earned[i] = made if isinstance(made, VideoMinerError) else made[option_index(jobs[i].answer)]
    if not rewards.evidence_target:
        return earned
    return [
        grounded_reward(answer, evidence_shown(result.key_frames, job.question.evidence), rewards)
        if isinstance(result, Selection) and not isinstance(answer, VideoMinerError) and job.question.evidence
        else answer
        for job, result, answer in zip(jobs, results, earned, strict=True)
    ]


def _earned_by_uniform(
    jobs: Sequence[RolloutJob],
    results: Sequence[Selection | VideoMinerError],
    stages: Stages,
    config: MinerConfig,
    rewards: RewardConfig,
) -> list[float | VideoMinerError]:
    """What uniform frames earn for the question of each job, or the error; 0 where no tree of it ended in a fallback.

    Each question is answered once.
    """
    asked = {
        job.question_id: job
        for job, result in zip(jobs, results, strict=True)
        if isinstance(result, Selection) and in_fallback(result)
    }
    answers = answer_from_uniform([job.question for job in asked.values()], stages, config)
    earned = dict(zip(asked, _earned(list(asked.values()), answers, stages, config, rewards), strict=True))
    return [earned.get(job.question_id, 0.0) for job in jobs]


def _failed(jobs: Sequence[RolloutJob], earned: Sequence[float | VideoMinerError]) -> dict[str, VideoMinerError]:
    """The first error of each question that has one: its whole group fails, since trees are compared within a group."""
    failed: dict[str, VideoMinerError] = {}
    for job, answer in zip(jobs, earned, strict=True):
        if isinstance(answer, VideoMinerError) and job.question_id not in failed:
            failed[job.question_id] = answer
            logger.warning("Question %s is left out of this rollout: %s", job.question_id, answer)
    return failed


def _rollout(
    job: RolloutJob,
    selection: Selection | VideoMinerError,
    answer: float | VideoMinerError,
    uniform: float | VideoMinerError,
    config: RewardConfig,
) -> TreeRollout | VideoMinerError:
    if isinstance(selection, VideoMinerError):
        return selection
    if isinstance(answer, VideoMinerError):
        return answer
    if isinstance(uniform, VideoMinerError):
        return uniform
    correct = bool(answer_reward(selection.answer, job.question.options, job.answer))
    usage = selection.usage
    spent = (usage.vlm_calls + usage.vlm_calls_cached) / selection.config["max_vlm_calls"]
    tree = priced_reward(tree_reward(answer, config, in_fallback(selection), uniform), spent, config)
    decisions = tuple(_sample(node, tree, config) for node in selection.nodes if node.decision)
    return TreeRollout(job.question_id, job.tree, selection, correct, tree, decisions)


def _sample(node: Node, tree: float, config: RewardConfig) -> DecisionSample:
    decision = node.decision
    assert decision is not None
    if not decision.completion_ids:
        raise ConfigError(
            f"node {node.id}: the policy returned no token ids to train on. Use a causal language model as policy"
        )
    format = format_reward(decision.reading, config)
    length = length_reward(len(decision.completion_ids), config)
    # the whole video cannot be deleted: it is searched as if the policy had continued, and earns no more than that
    whole_deleted = not node.depth and decision.action is Action.DELETE
    action = action_reward(Action.CONTINUE if whole_deleted else decision.action, config)
    rewards = DecisionRewards(format, length, action, tree, total_reward(format, length, action, tree, config))
    return DecisionSample(
        node.id, node.depth, decision.prompt_ids, decision.completion_ids, decision.action, decision.reading, rewards
    )
