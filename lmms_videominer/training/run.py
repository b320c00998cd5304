"""Runs T-GRPO from a YAML file: loads settings, questions and models, trains, and saves the policy."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import MinerConfig, nearest
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.models.resolve import ModelNames, resolve
from lmms_videominer.selectors.settings import own_names
from lmms_videominer.training.data import DataArguments
from lmms_videominer.training.resume import (
    checkpoint_of,
    is_finished,
    save_settings,
    settings_of,
    warn_inside_rollout,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import ModelConfig

    from lmms_videominer.search.stages import Stages
    from lmms_videominer.training.config import TGRPOConfig
    from lmms_videominer.vlm.vlm import VLM

logger = logging.getLogger("lmms_videominer.training")


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class RunArguments(DataArguments):
    """The questions to train on, and the frozen models. The policy is ``model_name_or_path``."""

    eval_questions: str = _option("", "Questions to evaluate on, in the same format; empty: none.")
    eval_split: str = _option("", "Split of these in a hub dataset; empty: that of the training questions.")
    video_llm: str = _option(BUNDLED, "Frozen video LLM, or a bundle with policy and embedder.")
    embedder: str = _option("", "sentence-transformers model; empty: the bundle's, or all-MiniLM-L6-v2.")


@dataclass(frozen=True)
class Run:
    """The settings of a run, checked as far as possible without models and data."""

    args: TGRPOConfig
    model: ModelConfig
    arguments: RunArguments
    mining: MinerConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and return the exit code, 0 or 1. Errors are printed by the process that raises them."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    try:
        train(parse(sys.argv[1:] if argv is None else argv))
    except VideoMinerError as error:
        print(f"videominer train: {error}", file=sys.stderr)
        return 1
    leave()
    return 0


def parse(argv: Sequence[str]) -> Run:
    """The settings of a YAML file, overridden by ``--SETTING VALUE`` arguments after it.

    Raises:
        ConfigError: The file cannot be read, a setting is unknown, settings cannot work together, or a package
            that training needs is not installed.
    """
    try:
        from trl import ModelConfig

        from lmms_videominer.training.config import MiningArguments, TGRPOConfig
    except ImportError as error:
        raise ConfigError(f"training needs {error.name or error}: pip install '.[train]' in a clone") from error

    types: Any = (TGRPOConfig, ModelConfig, RunArguments, MiningArguments)
    args, model, arguments, mining = parsed(argv, types)
    if arguments.eval_questions and args.eval_strategy == "no":
        raise ConfigError(
            f"eval_questions={arguments.eval_questions!r} with eval_strategy='no': nothing would be "
            "evaluated; set eval_strategy to steps or epoch"
        )
    return Run(args, model, arguments, MinerConfig(**vars(mining)))


def parsed(argv: Sequence[str], types: Sequence[Any]) -> tuple[Any, ...]:
    """The settings of ``types`` from a file and the arguments after it.

    Raises:
        ConfigError: See ``parse``.
    """
    from trl import ModelConfig, TrlParser

    try:
        parts = TrlParser(list(types)).parse_args_and_config(checked_settings(argv, types))
    except ValueError as error:  # from the parser, or from settings that TRL or transformers refuse
        raise ConfigError(str(error)) from error
    for part in parts:
        if isinstance(part, ModelConfig) and (part.load_in_4bit or part.load_in_8bit):
            raise ConfigError(
                "load_in_4bit and load_in_8bit are not supported: use LoRA (use_peft) with dtype=bfloat16"
            )
    return parts


def checked_settings(argv: Sequence[str], types: Sequence[Any]) -> list[str]:
    """``argv`` in the form of ``TrlParser``, after checking that all names in the file are settings."""
    import yaml

    argv = [text for text in argv if not text.startswith("--local_rank")]  # added by the deepspeed launcher
    if not argv or argv[0].startswith("-"):
        return argv
    try:
        values = yaml.safe_load(Path(argv[0]).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{argv[0]}: cannot be read as YAML ({error}). Name a file of settings, such as examples/train_world.yaml"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{argv[0]}: has no settings; write one 'name: value' per line")
    known = {"env", *(name for kind in types for name in kind.__dataclass_fields__)}
    for name in values:
        if name not in known:
            if name in own_names():
                raise ConfigError(f"{argv[0]}: {name} is no setting of training, which keeps its default; leave it out")
            raise ConfigError(f"{argv[0]}: there is no setting {name!r}{nearest(name, known)}")
    return ["--config", *argv]


def train(run: Run) -> None:
    """Load the data and models of the run, train, and save the policy to ``output_dir``.

    Raises:
        VideoMinerError: Data or models cannot be used, or a reward or loss is not finite.
    """
    settings = settings_of(run.args, run.model, run.arguments, run.mining)
    checkpoint = checkpoint_of(run.args, settings)
    warn_inside_rollout(run.args, checkpoint)
    if is_finished(run.args, checkpoint):
        logger.info("%s has finished all its steps: nothing is left to do", run.args.output_dir)
        return
    questions, held_out = _questions(run)
    policy = _policy_name(run)
    stages = _stages(run)

    from trl import get_peft_config

    from lmms_videominer.training.trainer import TGRPOTrainer

    init_kwargs: Any = run.args.model_init_kwargs or {}  # a dictionary once GRPOConfig has read it
    run.args.model_init_kwargs = {**model_settings(run.model), **init_kwargs}
    trainer = TGRPOTrainer(
        policy, run.args, stages, questions, run.mining, eval_dataset=held_out, peft_config=get_peft_config(run.model)
    )
    if trainer.is_world_process_zero():
        save_settings(run.args.output_dir, settings)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(run.args.output_dir)
    trainer.save_state()
    if run.args.push_to_hub:
        trainer.push_to_hub()
    logger.info("The policy is in %s: use it with policy=%s", run.args.output_dir, run.args.output_dir)


def _questions(run: Run) -> tuple[Dataset, Dataset | None]:
    data = run.arguments
    if not data.questions:
        raise ConfigError("questions is empty: name a JSONL file, a folder of a world or a dataset")
    questions = data.load()
    run.args.check_questions(questions["id"])
    if not data.eval_questions:
        return questions, None
    held_out = dataclasses.replace(data, questions=data.eval_questions, split=data.eval_split or data.split)
    return questions, held_out.load()


def _names(run: Run) -> ModelNames:
    return resolve(run.arguments.video_llm, run.mining, embedder=run.arguments.embedder)


def _policy_name(run: Run) -> str:
    name = run.model.model_name_or_path or _names(run).start
    if not name:
        raise ConfigError(
            f"model_name_or_path is empty, and video_llm={run.arguments.video_llm!r} is not a bundle with a "
            "policy: name the causal LM to train"
        )
    return str(name)


def model_settings(model: ModelConfig) -> dict[str, Any]:
    """The arguments to load the policy with; float32 by default, as in ``GRPOTrainer``."""
    settings = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype or "float32",
    }
    return {name: value for name, value in settings.items() if value is not None}


def _stages(run: Run) -> Stages:
    """The frozen models, each loaded completely in every process, on its device."""
    from lmms_videominer.selectors.building import build_stages
    from lmms_videominer.training.policy_in_training import each_process_alone

    with each_process_alone():
        names, device, config = _names(run), str(run.args.device), run.args.mining(run.mining)
        return build_stages(config, _video_llm(run), embedder=names.embedder, device=device, scorer=names.scorer)


def _video_llm(run: Run) -> VLM:
    from lmms_videominer.selectors.building import load_vlm

    return load_vlm(_names(run).vlm, run.mining, str(run.args.device))


def leave() -> None:
    """Destroy the process group: otherwise gloo under ZeRO-2 aborts at exit."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
