"""Shared by the model loaders: the default device, and an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lmms_videominer.errors import ModelError


def default_device(device: str | None = None) -> str:
    """``device`` if given, else CUDA if available, else the CPU."""
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


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
        raise ModelError(
            f"{role} {name!r} cannot be loaded ({reason}). Check the spelling; without a network, name a folder, or a "
            "model in the hub cache and set HF_HUB_OFFLINE=1"
        ) from error
