"""Resumes from complete checkpoints, and only with the settings that they were trained with."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.store.atomic import written
from lmms_videominer.training.rewards import RewardConfig

logger = logging.getLogger("lmms_videominer.training")

SETTINGS = "settings.json"  # in output_dir
STATE = "trainer_state.json"  # in a checkpoint; transformers writes it last
# settings that define a run and must not change; length, number of processes and logging may
FIXED = {
    "model_name_or_path",
    "questions",
    "split",
    "lessons",
    "keep",
    "video_llm",
    "use_peft",
    "lora_r",
    "lora_alpha",
    "learning_rate",
    "lr_scheduler_type",
    "optim",
    "weight_decay",
    "max_grad_norm",
    "beta",
    "epsilon",
    "loss_type",
    "num_generations",
    "num_iterations",
    "generation_batch_size",
    "max_completion_length",
    "max_length",
    *(field.name for field in fields(RewardConfig)),
    *MinerConfig.names(),
} - {"cache_dir", "reader"}


def settings_of(*parts: Any) -> dict[str, Any]:
    """The fields of ``parts`` that must not change on resuming, as JSON values; the first of fields with one name."""
    settings = {name: value for part in reversed(parts) for name, value in vars(part).items() if name in FIXED}
    return json.loads(json.dumps(settings, default=str))


def whole_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in ``folder``, by step; a warning names the incomplete ones."""
    checkpoints = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    checkpoints.sort(key=lambda path: int(path.name.removeprefix("checkpoint-")))
    for path in checkpoints:
        if not (path / STATE).is_file():
            logger.warning("%s is incomplete and is ignored", path)
    return [path for path in checkpoints if (path / STATE).is_file()]


def checkpoint_of(args: Any, settings: Mapping[str, Any]) -> str | None:
    """The checkpoint to resume from: the given folder, or for ``auto`` the last complete one in ``output_dir``, if any.

    Args:
        args: ``output_dir`` and ``resume_from_checkpoint``.
        settings: The result of ``settings_of``.

    Raises:
        ConfigError: The run in ``output_dir`` has other settings; the message quotes them.
    """
    if args.resume_from_checkpoint != "auto":
        return args.resume_from_checkpoint
    folder = Path(args.output_dir or ".")
    checkpoints = whole_checkpoints(folder)
    if checkpoints:
        _check_unchanged(folder, settings)
        logger.info("Resuming from %s", checkpoints[-1])
    else:
        logger.info("Starting from step 0: there is no checkpoint yet")
    return str(checkpoints[-1]) if checkpoints else None


def save_settings(folder: str | None, settings: Mapping[str, Any]) -> None:
    """Save the settings of a run next to its checkpoints."""
    with written(Path(folder or ".") / SETTINGS) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def is_finished(args: Any, checkpoint: str | None) -> bool:
    """Whether ``checkpoint`` is the last one of the run and the trained policy is already saved."""
    if checkpoint is None:
        return False
    state = _state(checkpoint)
    same_end = args.num_train_epochs == state.get("num_train_epochs")
    last = args.max_steps if args.max_steps > 0 else state["max_steps"] if same_end else 0
    saved = any((Path(args.output_dir or ".") / name).is_file() for name in ("config.json", "adapter_config.json"))
    return saved and 0 < last <= state["global_step"]


def warn_inside_rollout(args: Any, checkpoint: str | None) -> None:
    """Warn if ``checkpoint`` lies within a rollout, as the last one of a run may."""
    if checkpoint is None:
        return
    batches = _state(checkpoint)["global_step"] * args.gradient_accumulation_steps
    if batches % (args.steps_per_generation * args.num_iterations):
        logger.warning(
            "%s lies within a rollout: its trees are grown again, so the run will differ from one that was not "
            "interrupted",
            checkpoint,
        )


def _state(checkpoint: str) -> dict[str, Any]:
    try:
        return json.loads((Path(checkpoint) / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"resume_from_checkpoint={checkpoint}: not a complete checkpoint ({error}). Set it to a folder "
            f"checkpoint-N that has a {STATE}, or to auto"
        ) from error


def _check_unchanged(folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        before = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return  # a run of an earlier version
    changed = [name for name in settings if name in before and before[name] != settings[name]]
    if changed:
        changes = ", ".join(f"{name}={before[name]!r} (now {settings[name]!r})" for name in changed)
        raise ConfigError(
            f"{folder}: its run has {changes}. Choose another output_dir, or delete the folder to start over"
        )
