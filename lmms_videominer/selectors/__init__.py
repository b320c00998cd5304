"""Selectors of key frames, one per file. Other packages add theirs by the entry point ``videominer.selectors``."""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from lmms_videominer.config import MinerConfig, check_names
from lmms_videominer.errors import ConfigError

if TYPE_CHECKING:
    from lmms_videominer.search.stages import Stages
    from lmms_videominer.selectors.selector import Selector

GROUP = "videominer.selectors"
SELECTORS = {
    "videominer": "lmms_videominer.selectors.videominer:VideoMinerSelector",
    "uniform": "lmms_videominer.selectors.uniform:UniformSelector",
    "oracle": "lmms_videominer.selectors.oracle:OracleSelector",
    "none": "lmms_videominer.selectors.none:NoneSelector",
    "topk": "lmms_videominer.selectors.topk:TopKSelector",
    "aks": "lmms_videominer.selectors.aks:AKSSelector",
    "bolt": "lmms_videominer.selectors.bolt:BOLTSelector",
    "focus": "lmms_videominer.selectors.focus:FOCUSSelector",
    "qframe": "lmms_videominer.selectors.qframe:QFrameSelector",
    "videotree": "lmms_videominer.selectors.videotree:VideoTreeSelector",
    "videoagent": "lmms_videominer.selectors.videoagent:VideoAgentSelector",
    "llovi": "lmms_videominer.selectors.llovi:LLoViSelector",
}


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
        module, _, cls = SELECTORS[name].partition(":")
        return getattr(import_module(module), cls)
    point = _installed()[name]
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "its package"
        raise ConfigError(f"selector {name!r} of {package} cannot be imported ({error}): update it") from error


def get_selector(name: str, stages: Stages, config: MinerConfig) -> Selector:
    """The selector called ``name``, with ``stages`` and ``config``.

    Raises:
        ConfigError: No selector has this name; the message suggests the nearest.
    """
    return selector_class(name)(stages, config)


__all__ = ["GROUP", "SELECTORS", "get_selector", "selector_class", "selector_names"]
