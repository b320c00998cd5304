"""A policy without a language model: decides by embedding similarity of caption and question (``policy=none``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lmms_videominer.models.embedder import Embedder
from lmms_videominer.policy.cached import greedy_completions
from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.policy import Decided, Part
from lmms_videominer.policy.prompt import NO_CAPTION, policy_completion
from lmms_videominer.policy.prompted import read_decision
from lmms_videominer.store.cache import Cache, MemoryCache
from lmms_videominer.types import Action


@dataclass(frozen=True)
class SimilarityPolicy:
    """Decides by the cosine of a node's caption and the question; of several captions, the highest counts.

    Accepts at ``accept_from`` or above, deletes below ``delete_below``, and continues in between. It is greedy at every
    temperature, has no tokens, and its completions follow the format.

    What a cosine means depends on the embedder: measured on 48 questions of the world's ``dev`` videos of 15 minutes,
    the captions of the evidence had 0.13 to 0.28 (quartiles) and those of other scenes -0.11 to 0.11 with the bundled
    embedder, 0.69 to 0.76 and 0.53 to 0.63 with all-MiniLM-L6-v2; on captions of real-looking scenes
    (tests/search/scenes.json, half of them) the latter gave those of the scene asked for 0.56 to 0.67, others 0.22 to
    0.41. So the thresholds are the embedder's (``models.thresholds``), or are set once for it (``similarity_accept``,
    ``similarity_delete``), never for a task. It is an ablation: on the world, with thresholds at those quartiles, it
    finds little more than uniform frames do (docs/log.md).

    Attributes:
        embedder: Embeds the captions and the question.
        accept_from, delete_below: Cosines.
        cache: Stores the decisions.
    """

    embedder: Embedder
    accept_from: float = 0.5
    delete_below: float = 0.25
    cache: Cache = field(default_factory=MemoryCache)

    @property
    def identity(self) -> str:
        return f"similarity:{self.accept_from}:{self.delete_below}:{self.embedder.identity}"

    def decide(self, parts: Sequence[Part], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Decided]:
        """One entry per part, in order; see ``Policy.decide``."""
        each = [single for part in parts for single in part.each]
        made = iter(self._each(each))
        by_part = [[next(made) for _ in part.each] for part in parts]
        return [Decided(first.decision, first.usage, tuple(d.decision for d in rest)) for first, *rest in by_part]

    def _each(self, parts: Sequence[Part]) -> list[Decided]:
        by_prompt = {part.prompt: part for part in parts}

        def make(missing: Sequence[str]) -> Iterator[dict[int, Completion]]:
            return iter([dict(enumerate(self._completions([by_prompt[prompt] for prompt in missing])))])

        completions = greedy_completions([part.prompt for part in parts], self.identity, make, self.cache)
        return [read_decision(part, done, Action.CONTINUE) for part, done in zip(parts, completions, strict=True)]

    def _completions(self, parts: Sequence[Part]) -> list[Completion]:
        captions = [_captions(part) if part.depth else [part.question] for part in parts]
        texts = list(dict.fromkeys(text for part, lines in zip(parts, captions) for text in (part.question, *lines)))
        vectors = dict(zip(texts, self.embedder.embed(texts), strict=True)) if texts else {}
        return [
            self._completion(max(float(vectors[part.question] @ vectors[line]) for line in lines))
            if part.depth
            else Completion(policy_completion(part.question, Action.CONTINUE))  # the whole is searched, for these words
            for part, lines in zip(parts, captions, strict=True)
        ]

    def _completion(self, similarity: float) -> Completion:
        action = (
            Action.ACCEPT
            if similarity >= self.accept_from
            else Action.DELETE
            if similarity < self.delete_below
            else Action.CONTINUE
        )
        return Completion(policy_completion(f"similarity {similarity:.3f}", action))


def _captions(part: Part) -> list[str]:
    """The captions of the part's events, at least one."""
    caption = part.caption or NO_CAPTION
    return [line for line in re.split(r"\n+", caption) if line.strip()] or [caption]
