"""Loads the models that a selector needs, and no others."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import cast

from lmms_videominer.config import ASK, NO_POLICY, MinerConfig
from lmms_videominer.errors import ConfigError, ModelError
from lmms_videominer.models.bundle import BUNDLED, is_shipped
from lmms_videominer.models.embedder import DEFAULT_EMBEDDER, Embedder
from lmms_videominer.models.thresholds import thresholds_of
from lmms_videominer.policy.language_model import LanguageModel
from lmms_videominer.policy.policy import Policy
from lmms_videominer.scoring.scorer import Scorer
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.selectors import selector_class
from lmms_videominer.vlm.vlm import VLM

logger = logging.getLogger(__name__)


def build_stages(
    config: MinerConfig,
    vlm: VLM | None,
    policy: Policy | LanguageModel | str | os.PathLike[str] | None = None,
    embedder: Embedder | str | os.PathLike[str] | None = None,
    device: str | None = None,
    scorer: Scorer | str | os.PathLike[str] | None = None,
) -> Stages:
    """The stages of ``config.selector``.

    Args:
        vlm: The video LLM.
        policy: A policy, a language model, the name or folder of a causal LM, or ``"none"``. Default:
            ``config.policy``; if that is empty too, ``vlm`` itself, text only.
        embedder: An embedder, or the name or folder of a sentence-transformers model. Default:
            ``config.embedder``, else all-MiniLM-L6-v2.
        device: Device for the models that are loaded here; ``None``: CUDA if available.
        scorer: A scorer, or the name or folder of an image-text model. Default: ``config.scorer``, else CLIP ViT-L/14.

    Raises:
        ConfigError: The name of a stage is unknown.
        ModelError: A model cannot be loaded.
        CacheError: The cache folder in ``config`` cannot be used.
    """
    from lmms_videominer.search.clustering import get_clusterer
    from lmms_videominer.segmenters import get_segmenter
    from lmms_videominer.store.cache import open_cache

    policy, embedder, scorer = policy or config.policy, embedder or config.embedder, scorer or config.scorer
    if policy == NO_POLICY:
        config = dataclasses.replace(config, policy=NO_POLICY)  # checked like the setting
    cls = selector_class(config.selector)
    cls.settings_of(config)
    cls.check(config)
    needs = cls.needs(config)
    if policy == NO_POLICY and "policy" in needs:
        needs |= {"embedder"}
    if "language_model" in needs and is_shipped(policy):
        logger.warning(
            "selector=%s needs replies, but the policy of %s writes only decisions: set judge=policy, or name "
            "a language model with policy=",
            config.selector,
            BUNDLED,
        )
    embeds = _embedder(embedder, device) if "embedder" in needs else None
    stages = Stages(
        vlm=vlm,
        segmenter=get_segmenter(config.segmenter),
        clusterer=get_clusterer(config, thresholds_of(embeds).cluster_eps),
        cache=open_cache(config.cache_dir),
        embedder=embeds,
        scorer=_scorer(scorer, device, config.selector) if "scorer" in needs else None,
    )
    if "policy" in needs:
        _add_policy(stages, policy, config, device)
    if "language_model" in needs:
        stages.language_model = _language_model(policy, stages, device, config.llm_tokens, config.policy_batch_size)
    return stages


def _add_policy(
    stages: Stages, policy: Policy | LanguageModel | str | os.PathLike[str], config: MinerConfig, device: str | None
) -> None:
    from lmms_videominer.policy.prompted import PromptedPolicy, default_of
    from lmms_videominer.policy.similarity import SimilarityPolicy

    if policy == NO_POLICY:
        embedder = needed(stages.embedder, "embedder")
        usual = thresholds_of(embedder)
        accept = config.similarity_accept or usual.similarity_accept
        delete = config.similarity_delete or usual.similarity_delete
        if delete > accept:
            raise ConfigError(
                f"similarity_delete={delete} is above similarity_accept={accept}: for this embedder, set both"
            )
        stages.policy = SimilarityPolicy(embedder, accept, delete, stages.cache)
    elif isinstance(policy, (str, os.PathLike)) or not _has(policy, "decide"):
        model = _language_model(policy, stages, device, config.decision_tokens, config.policy_batch_size)
        stages.language_model = model
        stages.policy = PromptedPolicy(model, default_of(config), asks_again=config.default_action == ASK)
    else:
        stages.policy = cast("Policy", policy)


def _language_model(
    model: Policy | LanguageModel | str | os.PathLike[str],
    stages: Stages,
    device: str | None,
    tokens: int,
    batch_size: int,
) -> LanguageModel:
    """``model`` itself, the causal LM of that name, or the video LLM if it is empty; greedy completions are cached."""
    from lmms_videominer.policy.cached import CachedLanguageModel

    if isinstance(model, (str, os.PathLike)):
        return CachedLanguageModel(_loaded(os.fspath(model), stages.vlm, device, tokens, batch_size), stages.cache)
    if not _has(model, "complete"):
        raise ConfigError(
            f"{type(model).__name__} writes no replies (it has no complete()): pass a language model, or, if it "
            "decides, set judge=policy"
        )
    return CachedLanguageModel(cast("LanguageModel", model), stages.cache)


def _has(model: object, method: str) -> bool:
    return callable(getattr(type(model), method, None))


def _loaded(name: str, vlm: VLM | None, device: str | None, tokens: int, batch_size: int) -> LanguageModel:
    if not name:
        from lmms_videominer.policy.text_only_vlm import TextOnlyVLM

        return TextOnlyVLM(needed(vlm, "video LLM"), max_new_tokens=tokens)
    from lmms_videominer.policy.causal_lm import CausalLM

    return CausalLM.from_pretrained(name, device=device, max_new_tokens=tokens, batch_size=batch_size)


def _embedder(embedder: Embedder | str | os.PathLike[str], device: str | None) -> Embedder:
    """``embedder`` itself, or the sentence-transformers model of that name; the default one if empty."""
    if not isinstance(embedder, (str, os.PathLike)):
        return embedder
    from lmms_videominer.models.embedder import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder.from_pretrained(os.fspath(embedder) or DEFAULT_EMBEDDER, device=device)


def _scorer(scorer: Scorer | str | os.PathLike[str], device: str | None, selector: str) -> Scorer:
    """``scorer`` itself, or the image-text model of that name; the default one if empty."""
    if not isinstance(scorer, (str, os.PathLike)):
        return scorer
    from lmms_videominer.scoring.pretrained import load_scorer

    try:
        return load_scorer(os.fspath(scorer), device)
    except ModelError as error:
        if selector != "videominer":
            raise
        raise ModelError(f"{error}. With look=none the search needs no image-text model") from error
