"""What the loaders of models share: the device by default, and an error that names the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lmms_videominer.errors import ModelError


def default_device(device: str | None = None) -> str:
    """``device``, else CUDA where there is one, else the CPU."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def loading(role: str, name: str) -> Iterator[None]:
    """Whatever the libraries raise for a model that is absent, damaged or unknown to them becomes a ``ModelError``.

    Args:
        role: What the model is for, as the message names it.
        name: Its name or folder.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{role} {name!r} cannot be loaded ({reason}). Check the spelling; without a network name a folder, or a "
            "model that is in the hub cache, with HF_HUB_OFFLINE=1"
        ) from error
