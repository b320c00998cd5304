"""Going on from a checkpoint: from a whole one, and only with the settings that it was made with."""

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
STATE = "trainer_state.json"  # of a checkpoint; transformers writes it last
# what a run is trained with: another value is another run. How long, on how many processes and with what log may change
KEPT = {
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
    """What of the fields of ``parts`` a continuation must not change, as JSON has it; of one name the first."""
    found = {name: value for part in reversed(parts) for name, value in vars(part).items() if name in KEPT}
    return json.loads(json.dumps(found, default=str))


def whole_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of ``folder`` that were written to the end, by step; others are named in a warning."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    found.sort(key=lambda path: int(path.name.removeprefix("checkpoint-")))
    for path in found:
        if not (path / STATE).is_file():
            logger.warning("%s was not written to its end, and is passed over", path)
    return [path for path in found if (path / STATE).is_file()]


def checkpoint_of(args: Any, settings: Mapping[str, Any]) -> str | None:
    """The checkpoint to go on from: the folder named, or with ``auto`` the last whole one of ``output_dir``, if any.

    Args:
        args: ``output_dir`` and ``resume_from_checkpoint``.
        settings: Of ``settings_of``.

    Raises:
        ConfigError: The run in ``output_dir`` was made with other settings; the message quotes them.
    """
    if args.resume_from_checkpoint != "auto":
        return args.resume_from_checkpoint
    folder = Path(args.output_dir or ".")
    found = whole_checkpoints(folder)
    if found:
        _check_same(folder, settings)
    logger.info("Going on from %s", found[-1] if found else "the start: there is no checkpoint yet")
    return str(found[-1]) if found else None


def save_settings(folder: str | None, settings: Mapping[str, Any]) -> None:
    """Keep what a run is trained with beside its checkpoints."""
    with written(Path(folder or ".") / SETTINGS) as part:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def is_finished(args: Any, checkpoint: str | None) -> bool:
    """Whether ``checkpoint`` is the end of the run, and the trained policy is saved already."""
    if checkpoint is None:
        return False
    state = _state(checkpoint)
    same_end = args.num_train_epochs == state.get("num_train_epochs")
    last = args.max_steps if args.max_steps > 0 else state["max_steps"] if same_end else 0
    saved = any((Path(args.output_dir or ".") / name).is_file() for name in ("config.json", "adapter_config.json"))
    return saved and 0 < last <= state["global_step"]


def warn_inside_rollout(args: Any, checkpoint: str | None) -> None:
    """Say so where ``checkpoint`` lies inside a rollout, as the one at the end of a run may."""
    if checkpoint is None:
        return
    batches = _state(checkpoint)["global_step"] * args.gradient_accumulation_steps
    if batches % (args.steps_per_generation * args.num_iterations):
        logger.warning(
            "%s lies inside a rollout: its trees are grown anew, and the run goes on differently from one "
            "that was not interrupted",
            checkpoint,
        )


def _state(checkpoint: str) -> dict[str, Any]:
    try:
        return json.loads((Path(checkpoint) / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"resume_from_checkpoint={checkpoint}: no whole checkpoint ({error}). Name a folder "
            f"checkpoint-N that holds {STATE}, or auto"
        ) from error


def _check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        before = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return  # a run of an earlier version
    changed = [name for name in settings if name in before and before[name] != settings[name]]
    if changed:
        told = ", ".join(f"{name}={before[name]!r} (now {settings[name]!r})" for name in changed)
        raise ConfigError(
            f"{folder}: the run there was made with {told}. Name another output_dir, or delete the folder to start anew"
        )
