"""The plan: all cells of a comparison, identified by a hash of their settings."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.bench.files import file_part
from lmms_videominer.bench.variants import Variant, config_of, selector_of
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms.profiles import GENERIC_IDS, PROFILES, backbone_of
from lmms_videominer.models.bundle import BUNDLED, find_bundle
from lmms_videominer.redaction import HIDDEN, is_secret, secret_values, without_secrets
from lmms_videominer.selectors.settings import configured, flat, setting_names

MODELS = ("pretrained", "model", "model_version")  # names that backbones of lmms-eval use for their weights
PROFILE = "profile.json"  # in the folder of lmms-eval's results
CACHES = ("cold", "shared", "warm")  # in order of preference where only one is shown
_WEIGHTS = (*MODELS, "policy", "embedder", "scorer")


@dataclass(frozen=True)
class Settings:
    """The settings of all cells of a comparison.

    Attributes:
        model: A model of the plugin in lmms-eval.
        passed: Model arguments of the backbone, including its weights and secrets; never shown or stored.
        common: Settings of every variant that does not override them; those of one selector apply to its variants.
        limit: Number of first documents of each task; ``None`` for all.
        batch_size: Batch size of lmms-eval.
        caches: The caches to run each cell with, of ``CACHES``: ``"shared"``; ``"cold"``, an empty one of its own, so
            that seconds can be compared; or ``"warm"``, a second run with the cache that the cold run left.
        include_path: Folder of further tasks, or empty.
        profiled: Whether the runs of cells measure where their time goes.
    """

    model: str = "videominer_qwen2vl"
    passed: tuple[tuple[str, str], ...] = (("pretrained", BUNDLED),)
    common: tuple[tuple[str, str], ...] = ()
    limit: int | None = None
    batch_size: int = 16
    caches: tuple[str, ...] = ("shared",)
    include_path: str = ""
    profiled: bool = False

    @property
    def public(self) -> dict[str, str]:
        """``passed`` without secrets."""
        return without_secrets(dict(self.passed))

    @property
    def secret(self) -> dict[str, str]:
        """The arguments in ``passed`` that hold secrets: they reach the run of a cell by its environment."""
        public = self.public
        return {name: value for name, value in self.passed if public.get(name) != value}

    @property
    def secret_values(self) -> set[str]:
        return secret_values(dict(self.passed))

    @property
    def named(self) -> dict[str, str]:
        """``public``, with the names of the arguments that are missing in it."""
        return {name: self.public.get(name, HIDDEN) for name, _ in self.passed}

    @property
    def common_text(self) -> str:
        """The backbone's arguments and the plugin's settings that all variants share, without weights, as text."""
        named = sorted((*self.public.items(), *self.common))
        return " ".join(f"{name}={value}" for name, value in named if name not in MODELS)

    @property
    def weights(self) -> str:
        """Name or folder of the backbone's weights; empty if the backbone has default weights."""
        return weights_named(self.public)

    @property
    def source(self) -> dict[str, Any]:
        """The settings that determine the documents."""
        return {"limit": self.limit, "include_path": self.include_path, "world": os.environ.get("VIDEOMINER_WORLD", "")}


@dataclass(frozen=True)
class Cell:
    """One run of lmms-eval: a model, a task, a variant, a number of frames, a cache.

    Attributes:
        settings, task, variant: The common settings, the task and the variant.
        frames: Maximum number of frames passed to the backbone; 0 for ``selector=none``, which shows none.
        config: The variant's settings, checked.
        cache: One of ``CACHES``.
    """

    settings: Settings
    task: str
    variant: Variant
    frames: int
    config: MinerConfig = field(compare=False)
    cache: str = "shared"

    @property
    def arguments(self) -> dict[str, str]:
        """Model arguments of lmms-eval: the backbone's without secrets, and settings that differ from the defaults."""
        defaults = _defaults(self.config.selector)
        changed = {name: value for name, value in flat(self.config).items() if value != defaults[name]}
        # always with frames: the plain backbone of selector=uniform only gets a count that is set explicitly
        named = {"selector": self.config.selector, "frames": self.config.frames, **changed}
        return {**self.settings.public, **{name: str(value) for name, value in named.items()}}

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the results of the cell, including defaults, which may differ between versions.

        Not its label, which does not affect them, nor the batch size, which should not.
        """
        weights = {name: weights_of(value) for name, value in self.arguments.items() if name in _WEIGHTS}
        return {
            "model": self.settings.model,
            "task": self.task,
            "arguments": self.arguments,
            "config": flat(self.config),
            "weights": weights,
            "cache": self.cache,
            **self.settings.source,
        }

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the sha256 of ``identity``; folders of weights are hashed by their content."""
        identity = self.identity
        for part in ("arguments", "config"):
            identity[part] = {
                name: weights_of(value) if name in _WEIGHTS and _is_folder(value) else value
                for name, value in identity[part].items()
            }
        text = json.dumps(identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """A readable and unique name, valid for a folder."""
        return f"{file_part(f'{self.task}-{self.variant.label}-{self.frames}f-{self.cache}')}-{self.key}"

    def with_cache(self, cache: str) -> Cell:
        """The same run with another cache."""
        return dataclasses.replace(self, cache=cache)

    def command(self, output: Path, cache: Path) -> list[str]:
        """The command line that runs the cell.

        Args:
            output: Folder for the results.
            cache: The cache folder, unless the cell uses the shared one.
        """
        arguments = {**self.arguments, **({"cache_dir": str(cache)} if self.cache != "shared" else {})}
        if self.settings.profiled:
            arguments["profile"] = str(output / PROFILE)
        command = [
            sys.executable,
            "-m",
            "lmms_eval",
            "--model",
            self.settings.model,
            "--tasks",
            self.task,
            "--model_args",
            ",".join(f"{name}={value}" for name, value in arguments.items()),
            "--batch_size",
            str(self.settings.batch_size),
            "--log_samples",
            "--output_path",
            str(output),
        ]
        if self.settings.limit:
            command += ["--limit", str(self.settings.limit)]
        if self.settings.include_path:
            command += ["--include_path", self.settings.include_path]
        return command


def _defaults(selector: str) -> dict[str, Any]:
    return flat(configured(selector=selector))


def settings_of(
    model: str, pretrained: str, model_args: Sequence[str], policy: str = "", seed: int = 0, **more: Any
) -> Settings:
    """Settings from a command line; each of ``model_args``, ``NAME=VALUE``, belongs to the plugin or the backbone.

    Args:
        pretrained: Weights of the backbone; empty: those in ``model_args``, else the bundled ones.
        policy, seed: Settings of these names, common to all variants.
        more: Further fields of ``Settings``.

    Raises:
        ConfigError: The model is not one of the plugin, or an argument is malformed or contains a comma.
    """
    check_model(model)
    arguments = dict(_argument(text) for text in model_args)
    common = {name: value for name, value in arguments.items() if name in setting_names()}
    passed = {name: value for name, value in arguments.items() if name not in common}
    for name in ("selector", "frames", "cache_dir"):
        if name in common:
            raise ConfigError(
                f"--model-args {name}={common[name]}: {name} differs between cells; use "
                f"{'--selectors' if name == 'selector' else '--frames' if name == 'frames' else '--cold'}"
            )
    if pretrained or not any(name in passed for name in MODELS):
        passed = {"pretrained": pretrained or BUNDLED, **passed}
    if "trees_dir" in passed:
        raise ConfigError(f"--model-args trees_dir={passed['trees_dir']}: every cell has its trees in its own folder")
    if "profile" in passed:
        raise ConfigError(f"--model-args profile={passed['profile']}: use --profile, every cell has its own trace")
    common.update({name: value for name, value in (("policy", policy), ("seed", str(seed))) if value not in ("", "0")})
    _check_commas({**passed, **common})
    return Settings(model, tuple(passed.items()), tuple(common.items()), **more)


def check_model(model: str) -> None:
    """Raise ``ConfigError`` for a model of lmms-eval that is not one of the plugin."""
    if model in GENERIC_IDS or backbone_of(model):
        return
    names = [name for profile in PROFILES.values() for name in profile.model_ids]
    close = f"videominer_{model}"
    hint = f"; did you mean {close!r}?" if close in names else ""
    raise ConfigError(
        f"--model {model!r} is not one of the plugin{hint} (videominer_<backbone>, or videominer with "
        "--model-args backbone=<backbone>; lmms-eval models lists them)"
    )


def plan_cells(
    settings: Settings, tasks: Sequence[str], variants: Sequence[Variant], frames: Sequence[int]
) -> tuple[Cell, ...]:
    """All cells, by task, frames, variant and cache; ``selector=none`` has one cell for all numbers of frames.

    Raises:
        ConfigError: Settings of a variant cannot work.
    """
    for name, value in settings.common:
        if selector_of(name) and all(variant.selector != selector_of(name) for variant in variants):
            raise ConfigError(f"--model-args {name}={value}: no variant has selector={selector_of(name)}")
    cells: dict[str, Cell] = {}
    for task in tasks:
        for count in sorted(set(frames)):
            for variant in variants:
                _check_commas(dict(variant.settings))
                budget = 0 if variant.selector == "none" else count
                config = config_of(variant, dict(settings.common), budget or 1)
                for cache in settings.caches:
                    cell = Cell(settings, task, variant, budget, config, cache)
                    same = cells.setdefault(cell.key, cell)
                    if same.variant != variant:
                        raise ConfigError(
                            f"{same.variant.label!r} and {variant.label!r} have the same settings: keep one of them"
                        )
    return tuple(cells.values())


def weights_named(arguments: Mapping[str, str]) -> str:
    """The backbone's weights among the model arguments; empty if there are none."""
    return next((arguments[name] for name in MODELS if name in arguments), "")


@functools.cache
def weights_of(name: str) -> str:
    """Identity of weights: a hash of the content of a folder or bundle; a hub name is returned unchanged."""
    from lmms_videominer.models.identity import model_identity

    bundle = find_bundle(name)
    if bundle is not None:
        parts = (bundle.vlm, bundle.policy, bundle.embedder, bundle.scorer)
        return " ".join(model_identity(part) for part in parts if part)
    return model_identity(name) if _is_folder(name) else name


def _is_folder(name: str) -> bool:
    return bool(name) and Path(name).expanduser().is_dir()


def _argument(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ConfigError(f"--model-args {text!r}: expected NAME=VALUE")
    return name, value


def _check_commas(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if "," in value and value[0] not in "{['\"" and not is_secret(name):
            raise ConfigError(
                f"{name}={value}: lmms-eval splits model arguments at commas, so a value cannot contain one"
            )
