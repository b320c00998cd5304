"""Choosing key frames: one protocol, one selector a file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lmms_videominer.config import MinerConfig, check_names

if TYPE_CHECKING:
    from lmms_videominer.search.stages import Stages
    from lmms_videominer.selectors.selector import Selector

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


def selector_class(name: str) -> type[Selector]:
    """The class of the selector called ``name``.

    Raises:
        ConfigError: No selector has this name; the nearest one is named.
    """
    check_names([name], SELECTORS, "selector")
    module, _, cls = SELECTORS[name].partition(":")
    return getattr(import_module(module), cls)


def get_selector(name: str, stages: Stages, config: MinerConfig) -> Selector:
    """The selector called ``name``, working with ``stages`` under ``config``.

    Raises:
        ConfigError: No selector has this name; the nearest one is named.
    """
    return selector_class(name)(stages, config)


__all__ = ["SELECTORS", "get_selector", "selector_class"]
