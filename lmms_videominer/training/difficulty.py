"""The difficulty filter: drops questions that uniform frames already solve, and that none or all sampled trees solve.

A group whose trees all get the same result has no signal, or none but a preference between actions. This step finds
such questions before training. It saves each verdict as it comes, and resumes where it was stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.config import HOW_ASKED, MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.search.seeds import seed_of
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.selectors.settings import configured, flat
from lmms_videominer.store.cache import Cache
from lmms_videominer.training.metrics import save_trees
from lmms_videominer.training.rewards import RewardConfig, answer_reward
from lmms_videominer.training.rollout import (
    RolloutJob,
    TreeRollout,
    answer_from_uniform,
    check_policy_decides,
    roll_out,
)
from lmms_videominer.training.verdicts import Verdict, VerdictFile
from lmms_videominer.types import WHOLE, Selection

UNIFORM_AT_ONCE = 16  # questions whose frames are in memory at once
# mining settings that do not change a verdict, or are covered by the models' identities
_NOT_IN_KEYS = ("selector", "policy", "embedder", "scorer", "reader", "cache_dir", *HOW_ASKED)


@dataclass(frozen=True)
class DifficultyConfig:
    """Settings of the filter.

    Attributes:
        trees: Sampled trees of a question.
        uniform_frames: Uniform frames that must not solve it; ``None``: as many as a tree has key frames, so those
            that a tree falls back to if it deletes everything.
        temperature: The policy's.
        questions_at_once: Their trees grow in one batch; a killed run loses at most this many.

    Raises:
        ConfigError: A value is out of range; the message quotes it.
    """

    trees: int = 8
    uniform_frames: int | None = None
    temperature: float = 1.0
    questions_at_once: int = 4

    def __post_init__(self) -> None:
        for name in ("trees", "uniform_frames", "questions_at_once"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least 1")
        if self.trees > 1 and not self.temperature > 0:
            raise ConfigError(
                f"temperature={self.temperature}: a greedy policy grows the same tree {self.trees} "
                "times; set it above 0, or trees=1"
            )


@dataclass
class Report:
    """The questions by verdict, each list in the original order.

    Attributes:
        config: The settings, with the number of uniform frames.
        kept: Some trees solve it, and some do not; uniform frames do not.
        easy: Uniform frames solve it.
        solved: All of the trees solve it, and there is more than one.
        hard: None of the trees solves it.
        short: Its trees have no decisions: its video is too short to be searched.
        failed: Its video cannot be used; ``failures`` has the reason by the question's id.
        undecided: It is left to the other parts.
    """

    config: DifficultyConfig
    kept: list[QuestionRow] = field(default_factory=list)
    easy: list[QuestionRow] = field(default_factory=list)
    solved: list[QuestionRow] = field(default_factory=list)
    hard: list[QuestionRow] = field(default_factory=list)
    short: list[QuestionRow] = field(default_factory=list)
    failed: list[QuestionRow] = field(default_factory=list)
    undecided: list[QuestionRow] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lists = ("kept", "easy", "solved", "hard", "short", "failed", "undecided")
        total = sum(len(getattr(self, name)) for name in lists)
        text = (
            f"kept {len(self.kept)} of {total} questions: {len(self.easy)} are solved by "
            f"{self.config.uniform_frames} uniform frames, {len(self.solved)} by all and {len(self.hard)} by none of "
            f"{self.config.trees} trees, {len(self.failed)} cannot be mined"
        )
        text += f", {len(self.short)} are too short to be searched" if self.short else ""
        return text + (f"; {len(self.undecided)} are left to other parts" if self.undecided else "")


class DifficultyFilter:
    """Judges each question once for the given models and settings.

    Args:
        stages: The models and the cache; the policy is the one to train.
        mining: Settings of mining; the temperature is taken from ``config``.
        verdicts: The file of verdicts, shared by any number of processes.
        config: Settings of the filter.
        trees_dir: Folder to save every tree to as JSON, for a cold start; ``None``: trees are not saved.

    Raises:
        ConfigError: The policy cannot be trained.
    """

    def __init__(
        self,
        stages: Stages,
        mining: MinerConfig,
        verdicts: VerdictFile,
        config: DifficultyConfig | None = None,
        trees_dir: Path | None = None,
    ):
        check_policy_decides(configured(mining, selector="videominer"))
        policy = needed(stages.policy, "policy")
        if _video_llm_decides(stages):
            raise ConfigError(
                "the video LLM is its own policy: choose the causal language model to train with --policy"
            )
        identity = policy.identity
        if not identity:
            raise ConfigError("the policy has no identity to file verdicts under: save it to a folder and pass that")
        self.stages, self.verdicts, self.trees_dir = stages, verdicts, trees_dir
        config = config or DifficultyConfig()
        self.config = dataclasses.replace(config, uniform_frames=config.uniform_frames or mining.frames)
        self.mining = configured(mining, selector="videominer", temperature=self.config.temperature)
        self._vlm = needed(stages.vlm, "video LLM")
        self._models = {
            "vlm": self._vlm.identity,
            "policy": identity,
            "embedder": stages.embedder.identity if stages.embedder else "",
            "scorer": stages.scorer.identity if stages.scorer else "",
        }

    def run(self, questions: Sequence[QuestionRow], part: tuple[int, int] = (1, 1), progress: bool = False) -> Report:
        """Judge the questions that have no verdict yet, and report on all questions.

        Args:
            questions: The questions, with unique ids.
            part: ``(i, n)``: judge only every n-th question, from the i-th on, as one of n processes.
            progress: Show progress bars on stderr.

        Raises:
            ConfigError: The verdicts cannot be saved.
        """
        share = list(questions)[part[0] - 1 :: part[1]]
        uniform = self._judge("uniform", share, UNIFORM_AT_ONCE, self._uniform, progress)
        unsolved = [
            question
            for question, verdict in zip(share, uniform, strict=True)
            if not verdict.failure and not verdict.solved
        ]
        self._judge("trees", unsolved, self.config.questions_at_once, self._trees, progress)
        return self._report(questions)

    def _judge(
        self, step: str, questions: Sequence[QuestionRow], at_once: int, judge: Any, progress: bool
    ) -> list[Verdict]:
        """The verdict on each question. Questions without one, or that failed, are judged in batches and saved."""
        from tqdm import tqdm

        keys = [self.key(step, question) for question in questions]
        before = {key: verdict for key in keys if (verdict := self.verdicts.get(key)) and not verdict.failure}
        pending = [(key, question) for key, question in zip(keys, questions) if key not in before]
        with tqdm(total=len(questions), initial=len(before), desc=step, unit="question", disable=not progress) as bar:
            for start in range(0, len(pending), at_once):
                batch = pending[start : start + at_once]
                self.verdicts.refresh()  # another process may have judged some of them
                todo = [(key, question) for key, question in batch if self._is_pending(key)]
                outcomes = judge([question for _, question in todo]) if todo else []
                self.verdicts.add(
                    Verdict(key, question.id, step, *outcome)
                    for (key, question), outcome in zip(todo, outcomes, strict=True)
                )
                bar.update(len(batch))
        verdicts = [self.verdicts.get(key) for key in keys]
        return [verdict for verdict in verdicts if verdict is not None]

    def _is_pending(self, key: str) -> bool:
        verdict = self.verdicts.get(key)
        return verdict is None or bool(verdict.failure)

    def key(self, step: str, question: QuestionRow) -> str:
        """The key of a verdict: the question, the models of the step, and all settings that can change its outcome."""
        content: dict[str, Any] = {
            "id": question.id,
            "video": Path(question.video).name,
            "text": question.text,
            "options": question.options,
            "answer": question.answer,
        }
        if (question.start_s, question.end_s) != tuple(WHOLE.values()):
            content["part"] = (question.start_s, question.end_s)
        if step == "uniform":
            return Cache.key(step=step, question=content, vlm=self._models["vlm"], frames=self.config.uniform_frames)
        settings = {name: value for name, value in flat(self.mining).items() if name not in _NOT_IN_KEYS}
        return Cache.key(step=step, question=content, models=self._models, settings=settings, trees=self.config.trees)

    def _uniform(self, questions: Sequence[QuestionRow]) -> list[tuple[int, int, str]]:
        """``solved``, ``of`` and ``failure`` of each question, answered once from uniform frames."""
        settings = configured(self.mining, frames=self.config.uniform_frames)
        results = answer_from_uniform([question.question for question in questions], self.stages, settings)
        return [_outcome([(result, question)]) for result, question in zip(results, questions, strict=True)]

    def _trees(self, questions: Sequence[QuestionRow]) -> list[tuple[int, int, str]]:
        """``solved``, ``of`` and ``failure`` of each question, answered from the key frames of each of its trees."""
        n = self.config.trees
        jobs = [
            RolloutJob(question.question, question.answer, question.id, tree, self._seed(question, tree))
            for question in questions
            for tree in range(n)
        ]
        rollouts = roll_out(jobs, self.stages, self.mining, RewardConfig())
        if self.trees_dir is not None:
            save_trees([rollout for rollout in rollouts if isinstance(rollout, TreeRollout)], self.trees_dir)
        groups = [rollouts[i * n : (i + 1) * n] for i in range(len(questions))]
        return [_trees_outcome(group, question) for group, question in zip(groups, questions, strict=True)]

    def _seed(self, question: QuestionRow, tree: int) -> int:
        return seed_of(self.mining.seed, "difficulty", question.id, tree)

    def _report(self, questions: Sequence[QuestionRow]) -> Report:
        self.verdicts.refresh()
        report = Report(self.config)
        for question in questions:
            uniform, trees = (self.verdicts.get(self.key(step, question)) for step in ("uniform", "trees"))
            failure = next((verdict.failure for verdict in (uniform, trees) if verdict and verdict.failure), "")
            if failure:
                report.failed.append(question)
                report.failures[question.id] = failure
            elif uniform and uniform.solved:
                report.easy.append(question)
            elif trees is None:
                report.undecided.append(question)
            elif not trees.of:
                report.short.append(question)
            elif not trees.solved:
                report.hard.append(question)
            else:
                (report.solved if trees.solved == trees.of > 1 else report.kept).append(question)
        return report


def _video_llm_decides(stages: Stages) -> bool:
    """Whether the language model is the video LLM without frames."""
    from lmms_videominer.policy.cached import uncached
    from lmms_videominer.policy.served_lm import ServedLM
    from lmms_videominer.policy.text_only_vlm import TextOnlyVLM

    model = uncached(stages.language_model)
    return isinstance(model, TextOnlyVLM) or (
        isinstance(model, ServedLM) and model.server is getattr(stages.vlm, "server", None)
    )


def _trees_outcome(rollouts: Sequence[TreeRollout | VideoMinerError], question: QuestionRow) -> tuple[int, int, str]:
    """See ``_outcome``; ``of`` is 0 if no tree has a decision, since there is nothing to learn."""
    trees = [rollout for rollout in rollouts if isinstance(rollout, TreeRollout)]
    if len(trees) == len(rollouts) and not any(rollout.decisions for rollout in trees):
        return 0, 0, ""
    return _outcome(
        [(rollout.selection if isinstance(rollout, TreeRollout) else rollout, question) for rollout in rollouts]
    )


def _outcome(results: Sequence[tuple[Selection | VideoMinerError, QuestionRow]]) -> tuple[int, int, str]:
    """How many of the results are correct, of how many, and the reason if there are none."""
    failure = next((str(result) for result, _ in results if isinstance(result, VideoMinerError)), "")
    if failure:
        return 0, 0, failure
    rewards = [
        answer_reward(result.answer, question.options, question.answer)
        for result, question in results
        if isinstance(result, Selection)
    ]
    return int(sum(rewards)), len(rewards), ""
