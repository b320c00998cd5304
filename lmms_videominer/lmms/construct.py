"""Constructs a backbone from the model arguments, as lmms-eval itself would, for the hardware at hand."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from lmms_videominer.config import nearest
from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms.arguments import accepts, defaults
from lmms_videominer.lmms.profiles import PROFILES, UNLISTED, Profile
from lmms_videominer.lmms.service import persistent
from lmms_videominer.redaction import without_secrets

if TYPE_CHECKING:
    from lmms_eval.api.model import lmms

_IRRELEVANT = ("device", "device_map", "batch_size", "max_batch_size")  # they do not change an answer


def profile_of(backbone: str) -> Profile:
    """The profile of a backbone; for a model of lmms-eval without one, a profile that suits most models.

    Raises:
        ConfigError: lmms-eval has no such model.
    """
    if backbone in PROFILES:
        return PROFILES[backbone]
    for profile in PROFILES.values():
        if backbone in profile.aliases:
            return profile
    from dataclasses import replace

    from lmms_eval.models import MODEL_REGISTRY_V2

    if backbone not in MODEL_REGISTRY_V2.list_model_names():
        raise ConfigError(f"backbone={backbone!r}: lmms-eval has no such model{nearest(backbone, PROFILES)}")
    manifest = MODEL_REGISTRY_V2.get_manifest(backbone)
    simple, chat = manifest.simple_class_path or "", manifest.chat_class_path or ""
    return replace(UNLISTED, backbone=manifest.model_id, simple=simple, chat=chat)


def backbone_class(profile: Profile, is_simple: bool) -> type[lmms]:
    """The lmms-eval class for one of the two forms of request."""
    name = profile.simple if is_simple else profile.chat
    if "." not in name:
        name = f"lmms_eval.models.{'simple' if is_simple else 'chat'}.{profile.backbone}.{name}"
    module, _, cls = name.rpartition(".")
    return getattr(importlib.import_module(module), cls)


def build(cls: type[lmms], passed: Mapping[str, Any]) -> lmms:
    """Construct a backbone with the arguments ``passed``; its client, if it has one, is ``persistent``.

    Without CUDA, ``device`` and ``device_map`` become ``cpu``, and in a data-parallel run each process gets its own
    backbone: lmms-eval's backbones support several processes on GPUs only.
    """
    return persistent(_built(cls, dict(passed)), passed.get("timeout"))


def _built(cls: type[lmms], arguments: dict[str, Any]) -> lmms:
    if _has_cuda():
        return cls(**arguments)
    for name in ("device", "device_map"):
        if accepts(cls, name) and not str(arguments.get(name) or "").startswith("cpu"):
            arguments[name] = "cpu"
    with _single_process(cls):
        return cls(**arguments)


def identity(cls: type[lmms], profile: Profile, passed: Mapping[str, Any]) -> str:
    """Identity of the weights and processing of a backbone with these arguments and its own defaults."""
    from lmms_videominer.models.identity import model_identity

    passed = without_secrets({**defaults(cls), **passed})
    relevant = {name: value for name, value in sorted(passed.items()) if name not in _IRRELEVANT and value is not None}
    model = next((name for name in ("pretrained", "model", "model_version") if relevant.get(name)), None)
    if model:
        relevant[model] = model_identity(os.fspath(relevant[model]), relevant.get("revision"))
    form = cls.__module__.removeprefix("lmms_eval.models.")  # the simple form and the chat form process differently
    return f"lmms-eval:{form}:{json.dumps(relevant, sort_keys=True, default=str)}"


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@contextmanager
def _single_process(cls: type) -> Iterator[None]:
    """While the backbone is constructed, let its modules see an ``Accelerator`` with one process."""
    from accelerate import Accelerator

    class SingleProcessAccelerator(Accelerator):
        num_processes = property(lambda self: 1)

    with ExitStack() as stack:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            for module in {base.__module__ for base in cls.__mro__}:
                if hasattr(sys.modules[module], "Accelerator") and module.startswith("lmms_eval."):
                    stack.enter_context(mock.patch.object(sys.modules[module], "Accelerator", SingleProcessAccelerator))
        yield
