"""Loads the models that a selector needs, and no others."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import TYPE_CHECKING, cast

from lmms_videominer.config import ASK, NO_POLICY, MinerConfig
from lmms_videominer.errors import ConfigError, ModelError
from lmms_videominer.models.bundle import BUNDLED, is_shipped
from lmms_videominer.models.embedder import DEFAULT_EMBEDDER, Embedder
from lmms_videominer.models.loading import check_device, check_there
from lmms_videominer.models.resolve import ModelNames
from lmms_videominer.models.server import Address, Server, is_served
from lmms_videominer.models.thresholds import thresholds_of
from lmms_videominer.policy.language_model import LanguageModel
from lmms_videominer.policy.policy import Policy
from lmms_videominer.scoring.scorer import Scorer
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.selectors import selector_class
from lmms_videominer.vlm.vlm import VLM

if TYPE_CHECKING:
    from lmms_videominer.selectors.selector import Selector

logger = logging.getLogger(__name__)


def check_models(
    names: ModelNames, config: MinerConfig, device: str | None = None, selector: type[Selector] | None = None
) -> None:
    """Check what can be checked of models before the first is loaded: the device, paths, addresses, the cache.

    Args:
        names, config, device: Of the models to load.
        selector: Its models are checked; by default that of ``config``.

    Raises:
        ConfigError: There is no such device, or a name of a server has no address.
        ModelError: The folder of a model that the selector needs is not there.
        CacheError: The cache folder in ``config`` cannot be used.
    """
    from lmms_videominer.store.cache import check_cache_folder

    if device:
        check_device(device)
    needs = (selector or selector_class(config.selector)).needs(config)
    asks = bool(needs & {"policy", "language_model"}) and names.policy != NO_POLICY
    needed_names = {
        "video LLM": names.vlm,
        "policy": names.policy if asks else "",
        "embedder": names.embedder if "embedder" in needs else "",
        "scorer": names.scorer if "scorer" in needs else "",
    }
    for role, name in needed_names.items():
        if is_served(name):
            Address.of(str(name))
        elif name and isinstance(name, (str, os.PathLike)):
            check_there(role, os.fspath(name))
    check_cache_folder(config.cache_dir)


def load_vlm(name: str, config: MinerConfig, device: str | None = None) -> VLM:
    """The video LLM of that name: of a server (``openai:MODEL@URL``), else of transformers.

    Raises:
        ConfigError: The name of a model of a server has no address.
        ModelError: The model cannot be found or loaded, or the server cannot be reached.
    """
    if is_served(name):
        from lmms_videominer.vlm.served_vlm import ServedVLM

        return ServedVLM(Server.reached(name, config.server_requests, config.server_timeout_s))
    from lmms_videominer.vlm.transformers_vlm import TransformersVLM

    return TransformersVLM.from_pretrained(name, device=device, batch_size=config.vlm_batch_size)


def build_stages(
    config: MinerConfig,
    vlm: VLM | None,
    policy: Policy | LanguageModel | str | os.PathLike[str] | None = None,
    embedder: Embedder | str | os.PathLike[str] | None = None,
    device: str | None = None,
    scorer: Scorer | str | os.PathLike[str] | None = None,
    selector: type[Selector] | None = None,
) -> Stages:
    """The stages of a selector.

    Args:
        vlm: The video LLM.
        policy: A policy, a language model, the name or folder of a causal LM, ``openai:MODEL@URL``, or ``"none"``.
            Default: ``config.policy``; if that is empty too, ``vlm`` itself, text only.
        embedder: An embedder, or the name or folder of a sentence-transformers model. Default:
            ``config.embedder``, else all-MiniLM-L6-v2.
        device: Device for the models that are loaded here; ``None``: CUDA if available.
        scorer: A scorer, or the name or folder of an image-text model. Default: ``config.scorer``, else CLIP ViT-L/14.
        selector: Its class. Default: that of ``config.selector``.

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
    cls = selector or selector_class(config.selector)
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
        stages.language_model = _language_model(policy, stages, config, device, config.llm_tokens)
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
        model = _language_model(policy, stages, config, device, config.decision_tokens)
        stages.language_model = model
        stages.policy = PromptedPolicy(model, default_of(config), asks_again=config.default_action == ASK)
    else:
        stages.policy = cast("Policy", policy)


def _language_model(
    model: Policy | LanguageModel | str | os.PathLike[str],
    stages: Stages,
    config: MinerConfig,
    device: str | None,
    tokens: int,
) -> LanguageModel:
    """``model`` itself, that of this name, or the video LLM if it is empty; greedy completions are cached."""
    from lmms_videominer.policy.cached import CachedLanguageModel

    if isinstance(model, (str, os.PathLike)):
        return CachedLanguageModel(_loaded(os.fspath(model), stages.vlm, config, device, tokens), stages.cache)
    if not _has(model, "complete"):
        raise ConfigError(
            f"{type(model).__name__} writes no replies (it has no complete()): pass a language model, or, if it "
            "decides, set judge=policy"
        )
    return CachedLanguageModel(cast("LanguageModel", model), stages.cache)


def _has(model: object, method: str) -> bool:
    return callable(getattr(type(model), method, None))


def _loaded(name: str, vlm: VLM | None, config: MinerConfig, device: str | None, tokens: int) -> LanguageModel:
    if is_served(name):
        from lmms_videominer.policy.served_lm import ServedLM

        return ServedLM(Server.reached(name, config.server_requests, config.server_timeout_s), tokens)
    if not name:
        return _without_frames(needed(vlm, "video LLM"), tokens)
    from lmms_videominer.policy.causal_lm import CausalLM

    return CausalLM.from_pretrained(name, device=device, max_new_tokens=tokens, batch_size=config.policy_batch_size)


def _without_frames(vlm: VLM, tokens: int) -> LanguageModel:
    """The video LLM as a language model; one of a server is asked directly, which tells tokens and takes seeds."""
    from lmms_videominer.policy.served_lm import ServedLM
    from lmms_videominer.policy.text_only_vlm import TextOnlyVLM
    from lmms_videominer.vlm.served_vlm import ServedVLM

    return ServedLM(vlm.server, tokens) if isinstance(vlm, ServedVLM) else TextOnlyVLM(vlm, max_new_tokens=tokens)


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
