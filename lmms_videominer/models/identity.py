"""Identities of model weights: part of every cache key, so that a new checkpoint never uses old results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".py", ".safetensors", ".bin", ".pt", ".pth", ".gguf"}
_TRAINING_STATE = ("optimizer", "scheduler", "rng_state", "training_args", "trainer_state")
_WHOLE_BYTES = 64 * 2**20  # files up to this size are hashed completely
_SAMPLES, _SAMPLE_BYTES = 1024, 4096  # larger ones by evenly spaced blocks, including the first and the last


def model_identity(name_or_path: str, revision: str | None = None) -> str:
    """Identity of a model folder, or of the cached snapshot of a hub name.

    The identity of a folder is a sha256 over the names, sizes and contents of its configuration,
    tokenizer and weights (large files by evenly spaced samples); that of an adapter includes its base
    model. Copies of a folder share it. The identity of a hub name is the name with the commit in the
    local hub cache.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return _folder_hash(folder)
    commit = _cached_commit(name_or_path, revision)
    return f"{name_or_path}@{commit or revision or 'unknown'}"


def in_hub_cache(name: str) -> bool:
    """Whether the local hub cache has a snapshot of ``name``."""
    return _cached_commit(name, None) is not None


def module_identity(module: torch.nn.Module) -> str:
    """Identity of a model in memory: sha256 over its parameters' names, shapes and samples of their values."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        flat = value.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // 256)].float().cpu().numpy()
        digest.update(f"{name}{tuple(value.shape)}".encode() + sample.tobytes())
    return f"module:{digest.hexdigest()[:32]}"


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(_model_files(folder)):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        for block in _blocks(path):
            digest.update(block)
    adapter = folder / "adapter_config.json"
    if adapter.is_file():  # of LoRA: depends on the base model too
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
        digest.update(model_identity(base).encode() if base else b"")
    return f"sha256:{digest.hexdigest()[:32]}"


def _model_files(folder: Path) -> Iterator[Path]:
    """The files that determine what the model computes, without training state and other checkpoints."""
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if any(part.startswith((".", "checkpoint-")) for part in parts) or path.name.startswith(_TRAINING_STATE):
            continue
        if path.suffix in _SUFFIXES and path.is_file():
            yield path


def _blocks(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            yield file.read()
            return
        for i in range(_SAMPLES):
            file.seek(i * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)


def _cached_commit(name: str, revision: str | None) -> str | None:
    """The commit of a hub name's snapshot in the local hub cache; ``None`` if there is none."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(path).parent.name if isinstance(path, str) else None
