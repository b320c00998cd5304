"""What a selector works with: the models, the stages and the cache, put together once and shared by all questions."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lmms_videominer.config import ASKING, NO_POLICY, SCORING, MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.models.bundle import BUNDLED, is_shipped

if TYPE_CHECKING:
    from lmms_videominer.models.embedder import Embedder
    from lmms_videominer.policy.policy import Policy
    from lmms_videominer.scoring.scorer import Scorer
    from lmms_videominer.search.clustering import Clusterer
    from lmms_videominer.segmenters.segmenter import Segmenter
    from lmms_videominer.store.cache import Cache
    from lmms_videominer.vlm.vlm import VLM

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class Stages:
    """One implementation of each stage.

    Attributes:
        vlm: Captions events and answers; ``None`` where the selector asks no model.
        policy: Decides on nodes, or replies; ``None`` where the selector asks no language model.
        embedder: Embeds captions; ``None`` where nothing is compared by them.
        scorer: Compares frames with the question; ``None`` where the selector goes by no scores.
        segmenter, clusterer, cache: As their protocols say.
    """

    vlm: VLM | None
    segmenter: Segmenter
    clusterer: Clusterer
    cache: Cache
    policy: Policy | None = None
    embedder: Embedder | None = None
    scorer: Scorer | None = None

    @classmethod
    def build(
        cls,
        config: MinerConfig,
        vlm: VLM | None,
        policy: Policy | str | os.PathLike[str] | None = None,
        embedder: Embedder | str | os.PathLike[str] | None = None,
        device: str | None = None,
        scorer: Scorer | str | os.PathLike[str] | None = None,
    ) -> Stages:
        """Load what ``config.selector`` needs and nothing else.

        Args:
            vlm: The video LLM.
            policy: A policy, a causal LM's name or folder, or ``"none"``. Absent: ``config.policy``; where
                that is empty too, ``vlm`` itself, text only.
            embedder: An embedder, or a sentence-transformers model's name or folder. Absent:
                ``config.embedder``, else all-MiniLM-L6-v2.
            device: Where models that are loaded here go; ``None``: CUDA where there is one.
            scorer: A scorer, or an image-text model's name or folder. Absent: ``config.scorer``, else CLIP ViT-L/14.

        Raises:
            ConfigError: A stage's name is unknown.
            ModelError: A model cannot be loaded.
            CacheError: The cache folder that ``config`` names cannot be used.
        """
        from lmms_videominer.search.clustering import get_clusterer
        from lmms_videominer.segmenters import get_segmenter
        from lmms_videominer.store.cache import open_cache

        name = policy or config.policy
        asks = config.selector == "videominer" or config.selector in ASKING
        if config.selector in ASKING and config.judge == "reply" and is_shipped(name):
            logger.warning(
                "selector=%s asks for replies, and the policy of %s writes decisions only: set judge=policy, or name "
                "a language model with policy=",
                config.selector,
                BUNDLED,
            )
        embeds = asks and (needs_vectors(config) or name == NO_POLICY)
        loaded = load_embedder(embedder or config.embedder, device) if embeds else None
        return cls(
            vlm=vlm,
            segmenter=get_segmenter(config.segmenter),
            clusterer=get_clusterer(config),
            cache=open_cache(config.cache_dir),
            policy=load_policy(name, vlm, config, device, loaded) if asks else None,
            embedder=loaded,
            scorer=load_scorer(scorer or config.scorer, device) if needs_scores(config) else None,
        )


def needs_vectors(config: MinerConfig) -> bool:
    """Whether the selector itself compares captions by their vectors."""
    if config.selector == "videominer":
        return config.clustering != "none"
    return config.selector in ("videotree", "videoagent") and config.features == "captions"


def needs_scores(config: MinerConfig) -> bool:
    """Whether the selector compares frames by an image-text model."""
    if config.selector in ("videotree", "videoagent"):
        return config.features == "scorer"
    return config.selector in SCORING


def load_policy(
    policy: Policy | str | os.PathLike[str],
    vlm: VLM | None,
    config: MinerConfig,
    device: str | None,
    embedder: Embedder | None = None,
) -> Policy:
    """``policy`` itself, or the causal LM of that name.

    Where the name is empty, ``vlm`` is its own policy; where it is ``"none"``, similarity by ``embedder`` decides.
    """
    if not isinstance(policy, (str, os.PathLike)):
        return policy
    if policy == NO_POLICY:
        from lmms_videominer.policy.similarity import SimilarityPolicy

        return SimilarityPolicy(needed(embedder, "embedder"), config.similarity_accept, config.similarity_delete)
    tokens = config.llm_tokens if config.selector in ASKING and config.judge == "reply" else config.policy_tokens
    if not policy:
        from lmms_videominer.policy.vlm_policy import VLMPolicy

        return VLMPolicy(needed(vlm, "video LLM"), max_new_tokens=tokens)
    from lmms_videominer.policy.causal_lm import CausalLMPolicy

    return CausalLMPolicy.from_pretrained(os.fspath(policy), device=device, max_new_tokens=tokens)


def load_embedder(embedder: Embedder | str | os.PathLike[str], device: str | None) -> Embedder:
    """``embedder`` itself, or the sentence-transformers model of that name; empty: the default one."""
    if not isinstance(embedder, (str, os.PathLike)):
        return embedder
    from lmms_videominer.models.embedder import DEFAULT_EMBEDDER, SentenceTransformerEmbedder

    return SentenceTransformerEmbedder.from_pretrained(os.fspath(embedder) or DEFAULT_EMBEDDER, device=device)


def load_scorer(scorer: Scorer | str | os.PathLike[str], device: str | None) -> Scorer:
    """``scorer`` itself, or the image-text model of that name; empty: the default one."""
    if not isinstance(scorer, (str, os.PathLike)):
        return scorer
    from lmms_videominer import scoring

    return scoring.load_scorer(os.fspath(scorer), device)


def needed(model: T | None, name: str) -> T:
    """``model`` itself.

    Raises:
        ConfigError: It was not loaded.
    """
    if model is None:
        raise ConfigError(
            f"no {name} is loaded, and this step asks it: build the stages with one "
            "and with the selector that they are for"
        )
    return model
