"""Cold start: supervised fine-tuning on trees with TRL's SFTTrainer, for the format and an initial policy.

``python -m lmms_videominer.training.cold_start CONFIG.yaml [--SETTING VALUE ...]``, also under ``torchrun``,
``accelerate launch`` and ``deepspeed``. The policy is trained on the same tokens that it reads and generates in a tree:
with its chat template, its truncation of long prompts, and the token that ends a completion.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import ModelConfig, SFTConfig

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.training.checkpoints import WholeCheckpoints
from lmms_videominer.training.lessons import Lesson, LessonSet, read_lessons
from lmms_videominer.training.resume import checkpoint_of, is_finished, save_settings, settings_of

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import SFTTrainer

    from lmms_videominer.policy.causal_lm import CausalLM

logger = logging.getLogger("lmms_videominer.training")


@dataclass
class ColdStartArguments:
    """The lessons; the policy to train is ``model_name_or_path``."""

    lessons: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Trees, folders of trees, samples logged by lmms-eval, .jsonl files of prompts and completions."
        },
    )
    keep: str = field(default="right", metadata={"help": "right: trees with a correct answer; all: every tree."})
    questions: str = field(
        default="",
        metadata={"help": "Questions with their answers, for trees without a verdict on theirs."},
    )
    media_root: str = field(default="", metadata={"help": "Root folder for relative paths of the questions' videos."})
    policy_tokens: int = field(
        default=MinerConfig.policy_tokens,
        metadata={
            "help": "Tokens of context reserved for a completion: longer prompts lose their middle, as in a tree."
        },
    )


@dataclass
class ColdStartConfig(SFTConfig):
    """``SFTConfig`` without a length limit and with the loss on completions only.

    Truncation at 1024 tokens would cut completions, not prompts. On tokenized rows, TRL computes the loss on prompts
    too, unless ``completion_only_loss`` is set.
    """

    completion_only_loss: bool | None = field(
        default=True, metadata={"help": "Do not change: the loss is on completions only."}
    )
    max_length: int | None = field(default=None, metadata={"help": "Longer lessons are skipped; none: no limit."})

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, refused in (("packing", True), ("assistant_only_loss", True), ("completion_only_loss", False)):
            if getattr(self, name) is refused:
                raise ConfigError(
                    f"{name}={refused}: a lesson is one prompt, with the loss on its completion only; omit {name}"
                )


def main(argv: Sequence[str] | None = None) -> int:
    """Train and return the exit code, 0 or 1. A process that fails prints its error."""
    from lmms_videominer.training.run import leave

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    try:
        cold_start(*parse(sys.argv[1:] if argv is None else argv))
    except VideoMinerError as error:
        print(f"videominer cold-start: {error}", file=sys.stderr)
        return 1
    leave()
    return 0


def parse(argv: Sequence[str]) -> tuple[ColdStartConfig, ModelConfig, ColdStartArguments]:
    """Parse a YAML file of settings, overridden by the ``--SETTING VALUE`` pairs that follow it.

    Raises:
        ConfigError: The file cannot be read, a setting is unknown, or settings are incompatible.
    """
    from lmms_videominer.training.run import parsed

    args, model, arguments = parsed(argv, (ColdStartConfig, ModelConfig, ColdStartArguments))
    if isinstance(arguments.lessons, str):  # a single name in the YAML file
        arguments.lessons = [arguments.lessons]
    return args, model, arguments


def cold_start(args: ColdStartConfig, model: ModelConfig, arguments: ColdStartArguments) -> LessonSet:
    """Read the lessons, train, and save the policy to ``output_dir`` as a standard checkpoint, with adapters merged.

    Returns:
        The lessons.

    Raises:
        VideoMinerError: The lessons or the model cannot be used.
    """
    if not model.model_name_or_path:
        raise ConfigError("model_name_or_path is empty: set it to the causal LM to train")
    settings = settings_of(args, model, arguments)
    checkpoint = checkpoint_of(args, settings)
    lesson_set = read_lessons(arguments.lessons, arguments.keep, _questions(arguments))
    logger.info("%s", lesson_set)
    if is_finished(args, checkpoint):
        logger.info("%s: all steps are done, nothing is left to do", args.output_dir)
        return lesson_set
    policy = _policy(model, arguments, args.trust_remote_code)
    rows = tokenized(lesson_set.lessons, policy, args.max_length)

    from trl import SFTTrainer, get_peft_config

    class Trainer(WholeCheckpoints, SFTTrainer):
        """``SFTTrainer`` with checkpoints that tell whether they are whole."""

    trainer = Trainer(
        policy.model, args, train_dataset=rows, processing_class=policy.tokenizer, peft_config=get_peft_config(model)
    )
    if trainer.is_world_process_zero():
        save_settings(args.output_dir, settings)
    trainer.train(resume_from_checkpoint=checkpoint)
    _save(trainer, policy.tokenizer, Path(str(args.output_dir)))
    if args.push_to_hub and trainer.is_world_process_zero():
        _push(trainer)
    logger.info("The policy is in %s: use it with policy=%s", args.output_dir, args.output_dir)
    return lesson_set


def _questions(arguments: ColdStartArguments) -> list[Any]:
    from lmms_videominer.training.data import read_questions

    if not arguments.questions:
        return []
    return read_questions(arguments.questions, media_root=arguments.media_root, bad_rows="skip").questions


def _policy(model: ModelConfig, arguments: ColdStartArguments, trust_remote_code: bool) -> CausalLM:
    """The model to train, as a policy; in float32 by default, as in T-GRPO."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lmms_videominer.models.loading import loading
    from lmms_videominer.policy.causal_lm import CausalLM
    from lmms_videominer.training.run import model_settings

    name = str(model.model_name_or_path)
    with loading("policy", name):
        tokenizer = AutoTokenizer.from_pretrained(
            name, revision=model.model_revision, trust_remote_code=trust_remote_code
        )
        causal_lm = AutoModelForCausalLM.from_pretrained(
            name, trust_remote_code=trust_remote_code, **model_settings(model)
        )
    return CausalLM(causal_lm, tokenizer, name, arguments.policy_tokens)


def tokenized(lessons: Sequence[Lesson], policy: CausalLM, max_length: int | None = None) -> Dataset:
    """Rows for ``SFTTrainer``: ``input_ids``, and ``completion_mask`` with 1 for tokens in the loss.

    Args:
        lessons: Prompts and completions.
        policy: Tokenizes them; a completion ends with its tokenizer's end-of-sequence token.
        max_length: Longer lessons are skipped, with a warning that counts them; ``None``: no limit.

    Raises:
        ConfigError: The tokenizer has no end-of-sequence token, or no lesson is short enough.
    """
    from datasets import Dataset

    end = policy.tokenizer.eos_token_id
    if end is None:
        raise ConfigError(
            f"{policy.identity}: its tokenizer has no end-of-sequence token, so the policy could not learn "
            "to end a completion. Set eos_token in its tokenizer_config.json"
        )
    rows = []
    for lesson in lessons:
        prompt = policy._prompt_ids(lesson.prompt)
        completion = [*policy.completion_ids(lesson.completion), end]
        rows.append({"input_ids": prompt + completion, "completion_mask": [0] * len(prompt) + [1] * len(completion)})
    short_rows = [row for row in rows if max_length is None or len(row["input_ids"]) <= max_length]
    if len(short_rows) < len(rows):
        logger.warning(
            "%d of %d lessons are longer than max_length=%d tokens and are skipped",
            len(rows) - len(short_rows),
            len(rows),
            max_length,
        )
    if not short_rows:
        raise ConfigError(
            f"max_length={max_length}: every lesson is longer, the shortest "
            f"{min(len(row['input_ids']) for row in rows)} tokens; raise it or omit it"
        )
    return Dataset.from_list(short_rows)


def _save(trainer: SFTTrainer, tokenizer: Any, folder: Path) -> None:
    """Save the model and its tokenizer; with an adapter, save it to ``adapter`` and the merged model to ``folder``."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "merge_and_unload") or trainer.is_deepspeed_enabled:
        trainer.save_model(str(folder))  # under DeepSpeed an adapter is not merged: its base model is sharded
    else:
        trainer.save_model(str(folder / "adapter"))
        if trainer.is_world_process_zero():
            model.merge_and_unload().save_pretrained(str(folder))
            tokenizer.save_pretrained(str(folder))
    trainer.save_state()


def _push(trainer: SFTTrainer) -> None:
    """Push the folder as it is: ``trainer.push_to_hub`` would add the adapter to the model it is merged into."""
    from huggingface_hub import HfApi

    HfApi(token=trainer.args.hub_token).upload_folder(
        repo_id=str(trainer.hub_model_id),
        folder_path=str(trainer.args.output_dir),
        ignore_patterns=["checkpoint-*", "adapter/*"],
        commit_message="Cold start",
    )


if __name__ == "__main__":
    sys.exit(main())
