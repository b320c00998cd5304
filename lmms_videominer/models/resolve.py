"""From one name to the models behind it: the one place that says which model serves where none is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.models.bundle import find_bundle


@dataclass(frozen=True)
class ModelNames:
    """The models of a run, each a name, a folder, or the loaded model that the caller brought.

    Attributes:
        vlm: The video LLM.
        policy: Empty: the video LLM itself, text only. ``"none"``: embedding similarity.
        embedder: Empty: all-MiniLM-L6-v2.
        scorer: Empty: CLIP ViT-L/14.
        start: The policy that training starts from; empty: none is known.
        vlm_args: Arguments that a lmms-eval backbone needs for the video LLM.
    """

    vlm: str
    policy: Any = ""
    embedder: Any = ""
    scorer: Any = ""
    start: str = ""
    vlm_args: Mapping[str, Any] = field(default_factory=dict)


def resolve(
    model: str | os.PathLike[str],
    config: MinerConfig,
    policy: Any = None,
    embedder: Any = None,
    scorer: Any = None,
) -> ModelNames:
    """Which models serve: those given, else those that ``config`` names, else those of the bundle ``model``.

    Args:
        model: A video LLM of transformers, by name or folder, or a bundle; empty where the caller has a video LLM.
        config: Its ``policy``, ``embedder`` and ``scorer`` count where the argument is absent.
        policy, embedder, scorer: A name, a folder, or a loaded model; absent or empty: not given.

    Raises:
        ModelError: ``model`` is a bundle that lacks a model.
    """
    bundle = find_bundle(model) if model else None
    policy, embedder, scorer = policy or config.policy, embedder or config.embedder, scorer or config.scorer
    if bundle is None:
        return ModelNames(os.fspath(model), policy, embedder, scorer)
    return ModelNames(
        vlm=bundle.vlm,
        policy=policy or bundle.policy,
        embedder=embedder or bundle.embedder,
        scorer=scorer or bundle.scorer,
        start=bundle.start or bundle.policy,
        vlm_args=bundle.vlm_args,
    )
