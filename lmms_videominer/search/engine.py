"""Searches that ask models in turn, run side by side: what many of them wait for goes to each model in one call.

A search is a generator. It yields what it wants to know (``Look``, ``Embed``, ``Encode``, ``Compare``, ``Ask``), is
sent the reply, and returns what it ``Found``. So each method reads from top to bottom as its paper tells it, and the
batches are made here.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ModelError, VideoError, VideoMinerError
from lmms_videominer.models.embedder import CachedEmbedder
from lmms_videominer.policy.cached import CachedPolicy, count_completion
from lmms_videominer.scoring.features import FrameJob, encode_frames
from lmms_videominer.scoring.frames import ScoreJob, score_frames
from lmms_videominer.search.candidates import Candidates, candidates
from lmms_videominer.search.captions import CaptionJob, caption_events
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.types import Event, KeyFrame, Node, Question, Scores, Span, Usage
from lmms_videominer.video.opening import OpenVideo

MOST_COMPARED = 4096  # candidates; linkage keeps the distance of every two
PLAIN_TOPIC = "What happens?"  # what a captioner is told that is not to know the question


@dataclass(frozen=True)
class Look:
    """Captions wanted: one a span, each from ``frames`` frames of it. The reply: ``tuple[Event, ...]``, in order."""

    spans: tuple[Span, ...]
    frames: int


@dataclass(frozen=True)
class Embed:
    """Vectors wanted. The reply: float32 [len(texts), d], rows L2-normalised."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Encode:
    """Image features of frames wanted (``features=scorer``). The reply: float32 [len(indices), d], L2-normalised."""

    indices: tuple[int, ...]


@dataclass(frozen=True)
class Compare:
    """Scores of frames for texts wanted (``features=scorer``): pairs of ascending indices and a text.

    The reply: float32 [len(indices)] for each pair.
    """

    pairs: tuple[tuple[tuple[int, ...], str], ...]


@dataclass(frozen=True)
class Ask:
    """Replies of the language model wanted. The reply: ``tuple[str, ...]``, one a prompt."""

    prompts: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What a search ends with: the key frames, unique and ascending, the nodes, the fallbacks it took, its scores."""

    key_frames: tuple[KeyFrame, ...]
    nodes: tuple[Node, ...]
    fallbacks: tuple[str, ...] = ()
    scores: Scores | None = None


Wish: TypeAlias = "Look | Embed | Encode | Compare | Ask"
Search: TypeAlias = Generator[Wish, Any, Found]


@dataclass
class Case:
    """One question on one open video.

    Attributes:
        question, video: What is searched.
        timestamps_s: float64 [frame_count]: presentation time of every frame.
        config: The settings.
        usage: What the search has cost so far.
        seen: Events captioned for it so far, by span and number of frames: none is asked for twice.
    """

    question: Question
    video: OpenVideo
    timestamps_s: np.ndarray
    config: MinerConfig
    usage: Usage = field(default_factory=Usage)
    seen: dict[tuple[Span, int], Event] = field(default_factory=dict)

    @property
    def whole(self) -> Span:
        return Span(0.0, self.video.info.duration_s)

    def pool(self) -> Candidates:
        """One candidate a second, thinned evenly to what may be captioned, or compared."""
        most = MOST_COMPARED if self.config.features == "scorer" else self.config.max_vlm_calls
        return candidates(self.whole, self.timestamps_s, most)

    @property
    def topic(self) -> str:
        """What the captioner is told: the question, or nothing of it, as ``config.captioning`` says."""
        return self.question.text if self.config.captioning == "question" else PLAIN_TOPIC


class Talk:
    """A search under way: what it waits for, or how it ended."""

    def __init__(self, case: Case, search: Search):
        self.case, self._search = case, search
        self.wish: Wish | None = None
        self.result: Found | VideoMinerError | None = None
        self.reply(None)

    def reply(self, answer: Any) -> None:
        """Send ``answer`` to the search; an error ends it."""
        self.wish = None
        if isinstance(answer, VideoMinerError):
            self._search.close()
            self.result = answer
            return
        try:
            self.wish = self._search.send(answer)
        except StopIteration as end:
            self.result = end.value
        except VideoMinerError as error:
            self.result = error


def run(talks: Sequence[Talk], stages: Stages, config: MinerConfig) -> None:
    """Serve what all of ``talks`` wish for, kind by kind, until each has its result."""
    while waiting := [talk for talk in talks if talk.wish is not None]:
        for kind, serve in SERVERS.items():
            part = [talk for talk in waiting if isinstance(talk.wish, kind)]
            if part:
                answers = serve(part, stages, config)
                for talk, answer in zip(part, answers, strict=True):
                    talk.reply(answer)
            waiting = [talk for talk in waiting if talk not in part]


def _look(talks: Sequence[Talk], stages: Stages, config: MinerConfig) -> list[Any]:
    """Events of each talk's spans, all captioned in one call for each number of frames; errors in their places."""
    errors: dict[int, VideoError] = {}
    with _timed("caption", talks):
        for frames in dict.fromkeys(_wish(talk, Look).frames for talk in talks):
            part = [(i, talk) for i, talk in enumerate(talks) if _wish(talk, Look).frames == frames]
            jobs = [_caption_job(talk.case, _wish(talk, Look)) for _, talk in part]
            vlm = needed(stages.vlm, "video LLM")
            done = caption_events(jobs, vlm, stages.cache, frames, config.caption_tokens)
            for (i, talk), job, captioned in zip(part, jobs, done, strict=True):
                if isinstance(captioned, VideoError):
                    errors[i] = captioned
                    continue
                talk.case.seen.update({(span, frames): event for span, event in zip(job.spans, captioned.events)})
                talk.case.usage.vlm_calls += captioned.made
                talk.case.usage.vlm_calls_cached += captioned.cached
                talk.case.usage.frames_decoded += captioned.frames_decoded
    return [errors.get(i) or _seen(talk.case, _wish(talk, Look)) for i, talk in enumerate(talks)]


def _caption_job(case: Case, look: Look) -> CaptionJob:
    """What of ``look`` the case has not seen yet."""
    new = tuple(span for span in dict.fromkeys(look.spans) if (span, look.frames) not in case.seen)
    return CaptionJob(case.video.reader, case.video.identity, case.topic, new)


def _seen(case: Case, look: Look) -> tuple[Event, ...]:
    return tuple(case.seen[span, look.frames] for span in look.spans)


def _embed(talks: Sequence[Talk], stages: Stages, config: MinerConfig) -> list[Any]:
    """Vectors of each talk's texts, in one call.

    Raises:
        ModelError: A vector holds something that is no number: nothing could be clustered by it.
    """
    texts = [text for talk in talks for text in _wish(talk, Embed).texts]
    with _timed("embed", talks):
        vectors = CachedEmbedder(needed(stages.embedder, "embedder"), stages.cache).embed(texts)
    if not np.isfinite(vectors).all():
        raise ModelError("the embedder gives vectors that hold NaN or infinity; take another one with embedder=")
    counts = [len(_wish(talk, Embed).texts) for talk in talks]
    for talk, count in zip(talks, counts, strict=True):
        talk.case.usage.embeddings += count
    return np.split(vectors, np.cumsum(counts)[:-1])


def _ask(talks: Sequence[Talk], stages: Stages, config: MinerConfig) -> list[Any]:
    """The language model's replies to each talk's prompts, in one call."""
    prompts = [prompt for talk in talks for prompt in _wish(talk, Ask).prompts]
    with _timed("policy", talks):
        seeds = [_seed(config.seed, prompt) for prompt in prompts]
        policy = CachedPolicy(needed(stages.policy, "policy"), stages.cache)
        completions = iter(policy.decide(prompts, config.temperature, seeds))
    answers = []
    for talk in talks:
        told = [next(completions) for _ in _wish(talk, Ask).prompts]
        for completion in told:
            count_completion(talk.case.usage, completion)
        answers.append(tuple(completion.text for completion in told))
    return answers


def _encode(talks: Sequence[Talk], stages: Stages, config: MinerConfig) -> list[Any]:
    """Image features of each talk's frames; errors in their places."""
    jobs = [FrameJob(talk.case.video, np.array(_wish(talk, Encode).indices)) for talk in talks]
    with _timed("score", talks):
        encoded = encode_frames(jobs, needed(stages.scorer, "scorer"), stages.cache)
    for talk, done in zip(talks, encoded, strict=True):
        if not isinstance(done, VideoError):
            talk.case.usage.scores += done.frames_decoded
            talk.case.usage.scores_cached += len(done.vectors) - done.frames_decoded
            talk.case.usage.frames_decoded += done.frames_decoded
    return [done if isinstance(done, VideoError) else done.vectors for done in encoded]


def _compare(talks: Sequence[Talk], stages: Stages, config: MinerConfig) -> list[Any]:
    """The scores of each talk's pairs; errors in their places."""
    jobs = [
        ScoreJob(talk.case.video, text, np.array(indices))
        for talk in talks
        for indices, text in _wish(talk, Compare).pairs
    ]
    with _timed("score", talks):
        scored = iter(score_frames(jobs, needed(stages.scorer, "scorer"), stages.cache))
    answers: list[Any] = []
    for talk in talks:
        told = [next(scored) for _ in _wish(talk, Compare).pairs]
        broken = next((done for done in told if isinstance(done, VideoError)), None)
        for done in told:
            if not isinstance(done, VideoError):
                talk.case.usage.scores += done.made
                talk.case.usage.scores_cached += done.cached
                talk.case.usage.frames_decoded += done.frames_decoded
        answers.append(broken or [done.values for done in told if not isinstance(done, VideoError)])
    return answers


SERVERS = {Look: _look, Embed: _embed, Encode: _encode, Compare: _compare, Ask: _ask}


def _wish(talk: Talk, kind: type) -> Any:
    """The talk's wish, which is of ``kind``."""
    assert isinstance(talk.wish, kind)
    return talk.wish


def _seed(seed: int, prompt: str) -> int:
    """The seed of one reply, in [0, 2**63), made of the run's and of what is asked."""
    digest = hashlib.blake2b(f"{seed}\0{prompt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@contextlib.contextmanager
def _timed(stage: str, talks: Sequence[Talk]) -> Iterator[None]:
    """Share the seconds spent inside evenly over ``talks``."""
    started = time.perf_counter()
    yield
    for talk in talks:
        seconds = talk.case.usage.seconds
        seconds[stage] = seconds.get(stage, 0.0) + (time.perf_counter() - started) / len(talks)
