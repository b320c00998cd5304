"""The plan: every cell of a comparison, told apart by a hash of what it is made of."""

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
from lmms_videominer.selectors.settings import configured, flat, setting_names

MODELS = ("pretrained", "model", "model_version")  # what backbones of lmms-eval call their weights
CACHES = ("cold", "shared", "warm")  # the first that there is stands for the others where one is shown
_WEIGHTS = (*MODELS, "policy", "embedder", "scorer")


@dataclass(frozen=True)
class Settings:
    """What holds for all cells of a comparison.

    Attributes:
        model: A model of the plugin in lmms-eval.
        passed: Model arguments of the backbone, the weights among them.
        common: Settings that every variant has unless it sets them itself; those of one selector, its variants.
        limit: First documents of each task; ``None``: all.
        batch_size: lmms-eval's.
        caches: With which cache each cell is run, of ``CACHES``: the ``"shared"`` one, ``"cold"``, an empty one of
            its own, so that seconds can be compared, or ``"warm"``, once more with what the cold run left.
        include_path: Folder of further tasks, or empty.
    """

    model: str = "videominer_qwen2vl"
    passed: tuple[tuple[str, str], ...] = (("pretrained", BUNDLED),)
    common: tuple[tuple[str, str], ...] = ()
    limit: int | None = None
    batch_size: int = 16
    caches: tuple[str, ...] = ("shared",)
    include_path: str = ""

    @property
    def told(self) -> str:
        """What holds for all variants, weights aside: arguments of the backbone, and settings of the plugin."""
        named = sorted((*self.passed, *self.common))
        return " ".join(f"{name}={value}" for name, value in named if name not in MODELS)

    @property
    def weights(self) -> str:
        """Name or folder of the backbone's weights; empty where the backbone has some by itself."""
        return weights_named(dict(self.passed))

    @property
    def source(self) -> dict[str, Any]:
        """What decides which documents are asked."""
        return {"limit": self.limit, "include_path": self.include_path, "world": os.environ.get("VIDEOMINER_WORLD", "")}


@dataclass(frozen=True)
class Cell:
    """One run of lmms-eval: a model, a task, a variant, a number of frames, a cache.

    Attributes:
        settings, task, variant: Its parts.
        frames: Most frames handed over; 0 for ``selector=none``, which shows none.
        config: The variant's settings, checked.
        cache: Of ``CACHES``.
    """

    settings: Settings
    task: str
    variant: Variant
    frames: int
    config: MinerConfig = field(compare=False)
    cache: str = "shared"

    @property
    def arguments(self) -> dict[str, str]:
        """Model arguments of lmms-eval: the backbone's, and the settings that are not at their defaults."""
        defaults = _defaults(self.config.selector)
        changed = {name: value for name, value in flat(self.config).items() if value != defaults[name]}
        # frames always: the plain backbone of selector=uniform gets only a count that is named
        named = {"selector": self.config.selector, "frames": self.config.frames, **changed}
        return {**dict(self.settings.passed), **{name: str(value) for name, value in named.items()}}

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what the cell gives, defaults too: another version may have others.

        Its label does not, and the batch size is not meant to.
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
        """Twelve hexadecimal digits of the sha256 of ``identity``; a folder of weights counts by what it holds."""
        told = self.identity
        for part in ("arguments", "config"):
            told[part] = {
                name: weights_of(value) if name in _WEIGHTS and _is_folder(value) else value
                for name, value in told[part].items()
            }
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """Readable, unique, and fit for a folder."""
        return f"{file_part(f'{self.task}-{self.variant.label}-{self.frames}f-{self.cache}')}-{self.key}"

    def with_cache(self, cache: str) -> Cell:
        """The same run with another cache."""
        return dataclasses.replace(self, cache=cache)

    def command(self, output: Path, cache: Path) -> list[str]:
        """The command line that runs it.

        Args:
            output: Gets the results.
            cache: The cache folder, unless it is the shared one.
        """
        arguments = {**self.arguments, **({"cache_dir": str(cache)} if self.cache != "shared" else {})}
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
    """Settings from a command line: ``model_args``, ``NAME=VALUE`` each, are the plugin's or the backbone's.

    Args:
        pretrained: Weights of the backbone; empty: those that ``model_args`` name, else the bundled ones.
        policy, seed: Settings of that name, common to all variants.
        more: Further fields of ``Settings``.

    Raises:
        ConfigError: The model is not the plugin's, or an argument has another form or holds a comma.
    """
    check_model(model)
    given = dict(_argument(text) for text in model_args)
    common = {name: value for name, value in given.items() if name in setting_names()}
    passed = {name: value for name, value in given.items() if name not in common}
    for name in ("selector", "frames", "cache_dir"):
        if name in common:
            raise ConfigError(
                f"--model-args {name}={common[name]}: {name} differs from cell to cell; use "
                f"{'--selectors' if name == 'selector' else '--frames' if name == 'frames' else '--cold'}"
            )
    if pretrained or not any(name in passed for name in MODELS):
        passed = {"pretrained": pretrained or BUNDLED, **passed}
    if "trees_dir" in passed:
        raise ConfigError(f"--model-args trees_dir={passed['trees_dir']}: every cell keeps its trees in its own folder")
    common.update({name: value for name, value in (("policy", policy), ("seed", str(seed))) if value not in ("", "0")})
    _check_commas({**passed, **common})
    return Settings(model, tuple(passed.items()), tuple(common.items()), **more)


def check_model(model: str) -> None:
    """Raise ``ConfigError`` for a model of lmms-eval that chooses no frames."""
    if model in GENERIC_IDS or backbone_of(model):
        return
    names = [name for profile in PROFILES.values() for name in profile.model_ids]
    close = f"videominer_{model}"
    hint = f"; did you mean {close!r}?" if close in names else ""
    raise ConfigError(
        f"--model {model!r} is none of the plugin's{hint} (videominer_<backbone>, or videominer with "
        "--model-args backbone=<backbone>; lmms-eval models lists them)"
    )


def plan_cells(
    settings: Settings, tasks: Sequence[str], variants: Sequence[Variant], frames: Sequence[int]
) -> tuple[Cell, ...]:
    """Every cell, by task, frames, variant and cache. ``selector=none`` shows no frames: a cell for all their numbers.

    Raises:
        ConfigError: Settings of a variant cannot work.
    """
    for name, value in settings.common:
        if selector_of(name) and all(variant.selector != selector_of(name) for variant in variants):
            raise ConfigError(f"--model-args {name}={value}: no variant of selector={selector_of(name)} is compared")
    cells: dict[str, Cell] = {}
    for task in tasks:
        for count in sorted(set(frames)):
            for variant in variants:
                _check_commas(dict(variant.settings))
                shown = 0 if variant.selector == "none" else count
                config = config_of(variant, dict(settings.common), shown or 1)
                for cache in settings.caches:
                    cell = Cell(settings, task, variant, shown, config, cache)
                    same = cells.setdefault(cell.key, cell)
                    if same.variant != variant:
                        raise ConfigError(
                            f"{same.variant.label!r} and {variant.label!r} are the same settings: name one of them"
                        )
    return tuple(cells.values())


def weights_named(arguments: Mapping[str, str]) -> str:
    """The backbone's weights among model arguments; empty where none are named."""
    return next((arguments[name] for name in MODELS if name in arguments), "")


@functools.cache
def weights_of(name: str) -> str:
    """What tells weights apart: the content of a folder or of a bundle; a hub name is taken as it is."""
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
        if "," in value and value[0] not in "{['\"":
            raise ConfigError(
                f"{name}={value}: lmms-eval takes model arguments apart at commas; a value cannot hold one"
            )
