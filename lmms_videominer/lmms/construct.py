"""Making a backbone from the model arguments, as lmms-eval itself would, on the machine that is there."""

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

if TYPE_CHECKING:
    from lmms_eval.api.model import lmms

_IRRELEVANT = ("device", "device_map", "batch_size", "max_batch_size", "api_key")  # change no answer


def profile_of(backbone: str) -> Profile:
    """The row of a backbone, or, for another model of lmms-eval, what such a model mostly wants.

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
    """The class of lmms-eval for one of the two forms of request."""
    name = profile.simple if is_simple else profile.chat
    if "." not in name:
        name = f"lmms_eval.models.{'simple' if is_simple else 'chat'}.{profile.backbone}.{name}"
    module, _, cls = name.rpartition(".")
    return getattr(importlib.import_module(module), cls)


def build(cls: type[lmms], passed: Mapping[str, Any]) -> lmms:
    """A backbone with the arguments ``passed``.

    Where there is no CUDA, ``device`` and ``device_map`` become ``cpu`` unless given, and a data-parallel run
    gives each process a backbone of its own: lmms-eval's backbones know several processes on GPUs only.
    """
    arguments = dict(passed)
    if _has_cuda():
        return cls(**arguments)
    for name in ("device", "device_map"):
        if accepts(cls, name) and not str(arguments.get(name) or "").startswith("cpu"):
            arguments[name] = "cpu"
    with _alone(cls):
        return cls(**arguments)


def identity(cls: type[lmms], profile: Profile, passed: Mapping[str, Any]) -> str:
    """Which weights and processing a backbone with these arguments, and its own defaults, stands for."""
    from lmms_videominer.models.identity import model_identity

    passed = {**defaults(cls), **passed}
    kept = {name: value for name, value in sorted(passed.items()) if name not in _IRRELEVANT and value is not None}
    model = next((name for name in ("pretrained", "model", "model_version") if kept.get(name)), None)
    if model:
        kept[model] = model_identity(os.fspath(kept[model]), kept.get("revision"))
    form = cls.__module__.removeprefix("lmms_eval.models.")  # the simple form and the chat form process differently
    return f"lmms-eval:{form}:{json.dumps(kept, sort_keys=True, default=str)}"


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@contextmanager
def _alone(cls: type) -> Iterator[None]:
    """While the backbone is made, its modules see an ``Accelerator`` of one process."""
    from accelerate import Accelerator

    class LoneAccelerator(Accelerator):
        num_processes = property(lambda self: 1)

    with ExitStack() as stack:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            for module in {base.__module__ for base in cls.__mro__}:
                if hasattr(sys.modules[module], "Accelerator") and module.startswith("lmms_eval."):
                    stack.enter_context(mock.patch.object(sys.modules[module], "Accelerator", LoneAccelerator))
        yield
