"""Selectors by what they ask, and settings for any of them."""

from __future__ import annotations

from typing import Any

from lmms_videominer.selectors.settings import own_names

ASKING = ("videotree", "videoagent", "llovi")  # a language model
SCORING = ("topk", "aks", "bolt", "focus", "qframe")  # an image-text model


def settings_for(selector: str, settings: dict[str, Any]) -> dict[str, Any]:
    """``settings`` without those of other selectors."""
    own = own_names()
    return {name: value for name, value in settings.items() if name not in own or own[name][0] == selector}
