"""VideoMiner: key frames of hour-long videos, as a plugin for lmms-eval (arXiv 2510.06040)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from lmms_videominer.types import Selection

if TYPE_CHECKING:
    from lmms_videominer.miner import VideoMiner

__version__ = "0.1.0"
__all__ = ["VideoMiner", "__version__"]


def __getattr__(name: str) -> Any:
    # torch and transformers load on first use, not on import
    if name == "VideoMiner":
        from lmms_videominer.miner import VideoMiner

        return VideoMiner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _in_notebook(selection: Selection) -> str:
    from lmms_videominer.show.view.notebook import notebook_html

    return notebook_html(selection)


def _use(selection: Selection) -> ModuleType:
    from lmms_videominer.show import use

    return use


# the records import no room, so what reads and shows them is given to them here
Selection._repr_html_ = _in_notebook
Selection._use = _use
