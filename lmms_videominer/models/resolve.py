"""Resolves one name to the models behind it: the one place that defines the default models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.models.bundle import find_bundle


@dataclass(frozen=True)
class ModelNames:
    """The models of a run, each a name, a folder, or a model loaded by the caller.

    Attributes:
        vlm: The video LLM.
        policy: Empty: the video LLM itself, text only. ``"none"``: embedding similarity.
        embedder: Empty: all-MiniLM-L6-v2.
        scorer: Empty: CLIP ViT-L/14.
        start: The policy that training starts from; empty if unknown.
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
    """The models to use: the arguments if given, else those in ``config``, else those of the bundle ``model``.

    Args:
        model: A video LLM of transformers, by name or folder, or a bundle; empty if the caller has a video LLM.
        config: Its ``policy``, ``embedder`` and ``scorer`` apply if the argument is not given.
        policy, embedder, scorer: A name, a folder, or a loaded model; ``None`` or empty: not given.

    Raises:
        ModelError: ``model`` is a bundle, but one of its models is missing.
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
