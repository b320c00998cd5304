"""Resumes from complete checkpoints, and only with the settings that they were trained with."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lmms_videominer.config import HOW_ASKED, MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.store.atomic import written
from lmms_videominer.training.checkpoints import STATE, checkpoints, damage, damaged_file
from lmms_videominer.training.rewards import RewardConfig

logger = logging.getLogger("lmms_videominer.training")

SETTINGS = "settings.json"  # in output_dir
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
    "scale_rewards",
    *(field.name for field in fields(RewardConfig)),
    *MinerConfig.names(),
} - {"cache_dir", "reader", *HOW_ASKED}


def settings_of(*parts: Any) -> dict[str, Any]:
    """The fields of ``parts`` that must not change on resuming, as JSON values; the first of fields with one name."""
    settings = {name: value for part in reversed(parts) for name, value in vars(part).items() if name in FIXED}
    return json.loads(json.dumps(settings, default=str))


def checkpoint_of(args: Any, settings: Mapping[str, Any]) -> str | None:
    """The checkpoint to resume from: the given folder, or for ``auto`` the newest whole one in ``output_dir``, if any.

    A warning names the checkpoints that are passed over, with the reason. All processes get the same answer: a
    checkpoint that one of them finds damaged is passed over by all.

    Args:
        args: ``output_dir`` and ``resume_from_checkpoint``; ``true`` means ``auto``, and ``false`` none.
        settings: The result of ``settings_of``.

    Raises:
        ConfigError: The given checkpoint is damaged, or the run in ``output_dir`` has other settings; the message
            quotes the reason.
    """
    wanted = str(args.resume_from_checkpoint or "")
    if wanted.lower() in ("", "false", "none"):
        return None
    if wanted.lower() not in ("auto", "true"):
        return _given(wanted)
    folder = Path(args.output_dir or ".")
    found = _agreed({str(path): damage(path) for path in checkpoints(folder)})
    newest = next((path for path in reversed(found) if not found[path]), None)
    for path in [path for path in found if found[path]] if _is_first() else ():
        logger.warning("%s is incomplete and is ignored: %s", path, found[path])
    if newest:
        _check_unchanged(folder, settings)
        logger.info("Resuming from %s", newest)
    elif found:
        logger.warning("%s has no complete checkpoint: training starts from step 0", folder)
    else:
        logger.info("Starting from step 0: there is no checkpoint yet")
    return newest


def _given(checkpoint: str) -> str:
    reason = _agreed({checkpoint: damage(Path(checkpoint))})[checkpoint]
    if not reason:
        return checkpoint
    others = _agreed({str(path): damage(path) for path in checkpoints(Path(checkpoint).parent)})
    whole = [path for path in others if not others[path]]
    raise ConfigError(
        f"resume_from_checkpoint={checkpoint}: not a complete checkpoint ({reason}). "
        + (f"Set it to {whole[-1]}, the newest complete one there, or" if whole else "No other one there is complete:")
        + " set it to auto, which starts over where none is"
    )


def _agreed(reasons: dict[str, str]) -> dict[str, str]:
    """``reasons`` by checkpoint, with what any process found: a file may not be on every node."""
    from accelerate.utils import gather_object

    merged: dict[str, str] = {}
    everywhere = gather_object([reasons])
    for path in dict.fromkeys(path for found in everywhere for path in found):
        merged[path] = next((text for found in everywhere if (text := found.get(path, "it is not on every node"))), "")
    return merged


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


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
    folder = Path(args.output_dir or ".")
    saved = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    return saved and 0 < last <= state["global_step"] and not damaged_file(folder)


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
    return json.loads((Path(checkpoint) / STATE).read_text(encoding="utf-8"))


def _check_unchanged(folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        before = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return  # a run of an earlier version
    except ValueError as error:
        raise ConfigError(
            f"{folder / SETTINGS}: cannot be read ({error}), so that the settings of the run there are not known. "
            "Delete it if they are unchanged, or choose another output_dir"
        ) from error
    changed = [name for name in settings if name in before and before[name] != settings[name]]
    if changed:
        changes = ", ".join(f"{name}={before[name]!r} (now {settings[name]!r})" for name in changed)
        raise ConfigError(
            f"{folder}: its run has {changes}. Choose another output_dir, or delete the folder to start over"
        )
