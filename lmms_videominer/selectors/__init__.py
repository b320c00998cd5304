"""Choosing key frames: one selector a file, named after it. Other packages add theirs by entry points of ``GROUP``."""

from __future__ import annotations

import dataclasses
import functools
import pkgutil
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING

from lmms_videominer.config import MinerConfig, check_names
from lmms_videominer.errors import ConfigError

if TYPE_CHECKING:
    from lmms_videominer.search.stages import Stages
    from lmms_videominer.selectors.selector import Selector

GROUP = "videominer.selectors"
SHARED = {"asking", "building", "grouping", "indexing", "replies", "scored", "selector", "settings"}  # no selector
SELECTORS = tuple(module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED)


@functools.cache
def _installed() -> dict[str, EntryPoint]:
    """The selectors of other packages, by name, except those with the name of a selector of this package."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in SELECTORS}


def selector_names() -> tuple[str, ...]:
    """The names of all selectors: those of this package, then those of other packages."""
    return (*SELECTORS, *sorted(_installed()))


@functools.cache
def selector_class(name: str) -> type[Selector]:
    """The class of the selector called ``name``.

    Raises:
        ConfigError: No selector has this name (the message suggests the nearest), or that of another package cannot be
            imported.
    """
    check_names([name], selector_names(), "selector")
    if name in SELECTORS:
        return _selector_in(import_module(f"{__name__}.{name}"))
    return _selector_of(_installed()[name])


def _selector_of(point: EntryPoint) -> type[Selector]:
    """The selector of another package.

    Raises:
        ConfigError: Its package cannot be imported, or the entry point does not hold a selector of that name.
    """
    from lmms_videominer.selectors.selector import Selector

    package = point.dist.name if point.dist else "its package"
    way_out = f"fix {package}, or remove it with pip uninstall {package}"
    try:
        cls = point.load()
        settings = cls.Settings()
    except Exception as error:  # whatever another package's code raises
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"selector {point.name!r} ({point.value}) cannot be loaded ({reason}): {way_out}") from error
    if not issubclass(cls, Selector) or cls.name != point.name or not dataclasses.is_dataclass(settings):
        raise ConfigError(
            f"selector {point.name!r} ({point.value}): the entry point must name a subclass of Selector whose name is "
            f"{point.name!r} and whose Settings is a dataclass: {way_out}"
        )
    for field in dataclasses.fields(settings):
        if "help" not in field.metadata or not isinstance(field.default, (bool, int, float, str)):
            raise ConfigError(
                f"selector {point.name!r}: its setting {field.name!r} must be declared with config.option, and have a "
                f"number, a text or a truth value as its default: {way_out}"
            )
        if f"{point.name}_{field.name}" in MinerConfig.names():
            raise ConfigError(
                f"selector {point.name!r}: {point.name}_{field.name} is a setting of every selector: {way_out}"
            )
    return cls


def _selector_in(module: ModuleType) -> type[Selector]:
    """The selector that ``module`` is named after."""
    name = module.__name__.rpartition(".")[2]
    classes = (value for value in vars(module).values() if isinstance(value, type))
    return next(cls for cls in classes if getattr(cls, "name", None) == name)


def get_selector(name: str, stages: Stages, config: MinerConfig) -> Selector:
    """The selector called ``name``, with ``stages`` and ``config``.

    Raises:
        ConfigError: No selector has this name; the message suggests the nearest.
    """
    return selector_class(name)(stages, config)


__all__ = ["GROUP", "SELECTORS", "get_selector", "selector_class", "selector_names"]
