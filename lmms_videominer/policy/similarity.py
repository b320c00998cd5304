"""No policy model: embedding similarity between caption and question decides (``policy=none``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lmms_videominer.errors import ConfigError
from lmms_videominer.models.embedder import Embedder
from lmms_videominer.policy.policy import PolicyCompletion
from lmms_videominer.policy.prompt import policy_completion, read_policy_prompt
from lmms_videominer.types import Action


@dataclass(frozen=True)
class SimilarityPolicy:
    """Decides by the cosine of a node's caption with the question; a node of several captions has the highest of them.

    Accept from ``accept_from`` on, delete below ``delete_below``, continue between. It is greedy at every temperature,
    has no tokens, and its completions follow the format.

    What a cosine means depends on the embedder: measured on 48 questions of the world's ``dev`` videos of 15 minutes,
    the captions of the evidence had 0.13 to 0.28 (quartiles) and those of other scenes -0.11 to 0.11 with the bundled
    embedder, 0.69 to 0.76 and 0.53 to 0.63 with all-MiniLM-L6-v2. So the thresholds belong to the embedder, and are to
    be set for it once (``similarity_accept``, ``similarity_delete``), never for a task. It is an ablation: with
    thresholds at those quartiles it finds little more than uniform frames do (docs/log.md).

    Raises (``decide``):
        ConfigError: It is asked something else than about a node.
    """

    embedder: Embedder
    accept_from: float = 0.5
    delete_below: float = 0.25

    @property
    def identity(self) -> str:
        return f"similarity:{self.accept_from}:{self.delete_below}:{self.embedder.identity}"

    def decide(
        self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()
    ) -> list[PolicyCompletion]:
        """One completion a prompt, in order; see ``Policy.decide``."""
        parts = [_parts(prompt) for prompt in prompts]
        texts = list(dict.fromkeys(text for question, captions in parts for text in (question, *captions)))
        vectors = dict(zip(texts, self.embedder.embed(texts), strict=True)) if texts else {}
        return [
            self._completion(max(float(vectors[question] @ vectors[caption]) for caption in captions))
            for question, captions in parts
        ]

    def _completion(self, similarity: float) -> PolicyCompletion:
        action = (
            Action.ACCEPT
            if similarity >= self.accept_from
            else Action.DELETE
            if similarity < self.delete_below
            else Action.CONTINUE
        )
        return PolicyCompletion(policy_completion(f"similarity {similarity:.3f}", action))


def _parts(prompt: str) -> tuple[str, list[str]]:
    """The question, and the captions of the node, one at least."""
    asked = read_policy_prompt(prompt)
    if asked is None:
        raise ConfigError(
            "policy=none decides about nodes by similarity and replies to nothing else: name a language "
            "model with policy=, or set judge=policy"
        )
    captions = [line for line in re.split(r"\n+", asked.caption) if line.strip()]
    return asked.question, captions or [asked.caption]
