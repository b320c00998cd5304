"""Bundles: a video LLM with its policy and embedder under one name, described by ``bundle.json`` in a folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.errors import ModelError

CHECKPOINTS = Path(__file__).parent.parent / "world" / "checkpoints"
BUNDLED = "videominer-world"
OPTIONAL = ("scorer", "start")
NOT_A_WORLD_VIDEO = "not_a_world_video"  # fallback of a selection on a film that the bundled models do not know
WORLD_ONLY = "The bundled models know only the drawn robots that they were trained on"
UNKNOWN_FILM = f"{WORLD_ONLY}, and this film has none: captions and answer mean nothing"
WAY_OUT = (
    "For films of your own name a model, --model Qwen/Qwen2.5-VL-7B-Instruct (lmms-eval: pretrained=), or one of a "
    "server, --model openai:MODEL@URL"
)


@dataclass(frozen=True)
class Bundle:
    """The folders of the models, and the arguments that a lmms-eval backbone needs for the video LLM."""

    vlm: str
    policy: str
    embedder: str
    vlm_args: dict[str, Any] = field(default_factory=dict)
    scorer: str = ""  # empty: the bundle has none
    start: str = ""  # the policy that training starts from; empty: ``policy``


def find_bundle(name: str | os.PathLike[str]) -> Bundle | None:
    """The bundle called ``name``: the shipped one, or a folder with a ``bundle.json``; ``None`` for anything else.

    The folder of a bundle's video LLM also stands for the bundle.

    Raises:
        ModelError: The folder is a bundle, but one of its models is missing.
    """
    if str(name) == BUNDLED:
        return _load(CHECKPOINTS)
    folder = Path(name)
    if (folder / "bundle.json").is_file():
        return _load(folder)
    if folder.is_dir() and (folder.parent / "bundle.json").is_file():
        bundle = _load(folder.parent)
        return bundle if Path(bundle.vlm).resolve() == folder.resolve() else None
    return None


def _load(folder: Path) -> Bundle:
    try:
        entries = json.loads((folder / "bundle.json").read_text())
        parts = ("vlm", "policy", "embedder", *(part for part in OPTIONAL if part in entries))
        paths = {part: str(folder / entries[part]) for part in parts}
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(
            f"{folder}/bundle.json cannot be read ({error!r}): reinstall lmms-videominer, or write "
            'it in the form {"vlm": folder, "policy": folder, "embedder": folder}'
        ) from error
    for part, path in paths.items():
        if not Path(path).is_dir():
            raise ModelError(
                f"{path}: the bundle's {part} is missing. Reinstall lmms-videominer, or correct {folder}/bundle.json"
            )
    return Bundle(**paths, vlm_args=entries.get("vlm_args", {}))


def is_shipped(model: object) -> bool:
    """Whether ``model`` is a folder of the bundle shipped with the package."""
    return isinstance(model, (str, os.PathLike)) and Path(model).parent == CHECKPOINTS
