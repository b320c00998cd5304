"""The models, the stages and the cache that searches use, created once and shared by all questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lmms_videominer.errors import ConfigError

if TYPE_CHECKING:
    from lmms_videominer.models.embedder import Embedder
    from lmms_videominer.policy.language_model import LanguageModel
    from lmms_videominer.policy.policy import Policy
    from lmms_videominer.scoring.scorer import Scorer
    from lmms_videominer.search.clustering import Clusterer
    from lmms_videominer.segmenters.segmenter import Segmenter
    from lmms_videominer.store.cache import Cache
    from lmms_videominer.vlm.vlm import VLM

T = TypeVar("T")


@dataclass
class Stages:
    """One implementation of each stage; ``None`` for a model that the selector does not need.

    Attributes:
        vlm: Captions events and answers questions.
        segmenter, clusterer, cache: See their protocols.
        policy: Decides about parts of a video.
        language_model: Replies to prompts; the model behind ``policy`` if the policy prompts one.
        embedder: Embeds captions.
        scorer: Compares frames with the question.
    """

    vlm: VLM | None
    segmenter: Segmenter
    clusterer: Clusterer
    cache: Cache
    policy: Policy | None = None
    language_model: LanguageModel | None = None
    embedder: Embedder | None = None
    scorer: Scorer | None = None


def needed(model: T | None, name: str) -> T:
    """``model``, which must not be ``None``.

    Raises:
        ConfigError: It was not loaded.
    """
    if model is None:
        raise ConfigError(
            f"no {name} is loaded, but this step needs one: the selector must name it in needs(), and the stages must "
            "be built for that selector"
        )
    return model
