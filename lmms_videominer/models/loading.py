"""Shared by the model loaders: the default device, and an error that says what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from lmms_videominer.config import nearest
from lmms_videominer.errors import ConfigError, ModelError
from lmms_videominer.models.bundle import BUNDLED

NEAR = 0.85  # of names that are alike but for a slip
# the models that the documentation names
NAMED = (
    BUNDLED,
    "Qwen/Qwen2-VL-7B-Instruct",
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    "sentence-transformers/all-MiniLM-L6-v2",
    "openai/clip-vit-large-patch14",
    "openai/clip-vit-base-patch32",
)


def default_device(device: str | None = None) -> str:
    """``device`` if given, else CUDA if available, else the CPU.

    Raises:
        ConfigError: See ``check_device``.
    """
    import torch

    if device:
        check_device(device)
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def check_device(device: str) -> None:
    """Raise ``ConfigError`` unless torch can compute on ``device``: before anything is loaded for it."""
    if device == "cpu":
        return
    import torch

    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        hint = nearest(str(device), ("cpu", "cuda", "mps"))
        raise ConfigError(f"device={device!r}: not cpu, cuda, cuda:1 or another device of torch{hint}") from error
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (wanted.index or 0) >= count:
            found = f"{count} CUDA GPU{'s' * (count != 1)}" if count else "no CUDA GPU"
            raise ConfigError(
                f"device={device!r}: torch finds {found} (videominer doctor checks it). Use cpu, or leave the device "
                "out: then it is CUDA where there is one"
            )
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(f"device={device!r}: torch finds no GPU of Apple here. Use cpu, or leave the device out")


def check_there(role: str, name: str) -> None:
    """Raise ``ModelError`` if ``name`` is the path of a folder that is not there, or a slip of the bundle's name.

    Any other name may be one of the hub: loading tells.
    """
    if os.path.isdir(os.path.expanduser(name)):
        return
    if name.startswith(("./", "../", "~")) or os.path.isabs(name):
        raise _not_loaded(role, name, "no such folder")
    if "/" not in name and meant(name):
        raise _not_loaded(role, name, "no such model")


def meant(name: str) -> str:
    """``"; did you mean 'x'?"`` with a model that the documentation names, if ``name`` is one with a slip."""
    spelled = {known: re.sub(r"[^a-z/]", "", known.lower()) for known in (name, *NAMED)}
    if name in NAMED or spelled[name] in [spelled[known] for known in NAMED]:
        return ""  # other numbers are other models, which may well be: 2B and 7B
    return nearest(name, NAMED, NEAR)


def _not_loaded(role: str, name: str, reason: str) -> ModelError:
    told = f"{role} {name!r} cannot be loaded ({reason}){meant(name) or '.'}"
    return ModelError(
        f"{told} Check the spelling; without a network, name a folder, or a model in the hub cache and set "
        "HF_HUB_OFFLINE=1"
    )


@contextmanager
def loading(role: str, name: str) -> Iterator[None]:
    """Turn the errors that the libraries raise for a missing, damaged or unknown model into a ``ModelError``.

    Args:
        role: The model's role in the message.
        name: Its name or folder.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _not_loaded(role, name, reason) from error
