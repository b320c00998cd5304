"""Models with a rule instead of weights, for trees that are real from end to end: pixels in, decisions out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.prompt import numbered_completion, policy_completion
from lmms_videominer.types import Action
from lmms_videominer.vlm.vlm import VLMRequest
from support.read_prompts import Asked, read_judge_prompt, read_policy_prompts

_rules = itertools.count()  # no rule meets what another one decided
COLOURS = {
    "red": (200, 20, 20),
    "green": (20, 160, 20),
    "blue": (20, 20, 230),
    "yellow": (230, 230, 20),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}


def colour_video(path: Path, scenes: Sequence[tuple[str, float]], fps: int = 10, size: int = 32) -> str:
    """A real file of plain scenes, ``(colour, seconds)`` each; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=fps, options={"qp": "0", "g": "10"})
        stream.width = stream.height = size
        stream.pix_fmt = "rgb24"
        stream.time_base = Fraction(1, fps)
        for colour, duration_s in scenes:
            pixels = np.full((size, size, 3), COLOURS[colour], np.uint8)
            for _ in range(round(duration_s * fps)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


def colours_of(frames: np.ndarray) -> list[str]:
    """The colours seen in ``frames``, uint8 [T, H, W, 3], in order, repeats left out."""
    names = list(COLOURS)
    means = frames.reshape(len(frames), -1, 3).mean(axis=1)  # [T, 3]
    distance = np.linalg.norm(means[:, None] - np.array([COLOURS[name] for name in names])[None], axis=-1)
    return list(dict.fromkeys(names[i] for i in distance.argmin(axis=1)))


@dataclass
class ColourVLM:
    """Says which colours it sees; ``calls`` holds the requests of every call."""

    identity: str = "colours"
    calls: list[list[VLMRequest]] = field(default_factory=list)

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        self.calls.append(list(requests))
        return [
            "nothing to see" if r.frames is None else "a scene in " + " and ".join(colours_of(r.frames))
            for r in requests
        ]


@dataclass
class JudgingVLM(ColourVLM):
    """Says which colours it sees and, where the prompt asks for it, decides by a rule over its caption and the depth.

    The rule gives an action, or the whole reply where it is to be malformed; ``judged`` holds what was asked so.
    """

    rule: Callable[[str, int], Action | str] = lambda caption, depth: Action.CONTINUE
    judged: list[VLMRequest] = field(default_factory=list)

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        return [self._judged(r, caption) for r, caption in zip(requests, super().generate(requests), strict=True)]

    def _judged(self, request: VLMRequest, caption: str) -> str:
        if not (asked := read_judge_prompt(request.prompt)):
            return caption
        self.judged.append(request)
        outcome = self.rule(caption, asked.depth)
        return f"{caption}<action>{outcome.value}</action>" if isinstance(outcome, Action) else outcome


@dataclass
class RulePolicy:
    """Decides by a rule over the node's caption and depth; ``calls`` holds the prompts of every call.

    The rule gives an action, or the completion's whole text where it is to be malformed. Of the whole video, which has
    depth 0 and no caption, its reasoning is ``sought``.
    """

    rule: Callable[[str, int], Action | str]
    identity: str = field(default_factory=lambda: f"rule {next(_rules)}")
    calls: list[list[str]] = field(default_factory=list)
    seeds: list[list[int]] = field(default_factory=list)
    sought: str = ""

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        self.calls.append(list(prompts))
        self.seeds.append(list(seeds))
        return [self._completion(prompt) for prompt in prompts]

    def _completion(self, prompt: str) -> Completion:
        asked = read_policy_prompts(prompt)
        assert asked, f"no prompt of the policy: {prompt}"
        texts = [self._text(part) for part in asked]
        text = numbered_completion(texts) if len(texts) > 1 else texts[0]
        return Completion(text, tuple(range(len(prompt.split()))), tuple(range(len(text.split()))))

    def _text(self, asked: Asked) -> str:
        outcome = self.rule(asked.caption, asked.depth)
        reasoning = f"it shows {asked.caption}" if asked.depth else self.sought
        return policy_completion(reasoning, outcome) if isinstance(outcome, Action) else outcome


@dataclass
class SamplingPolicy:
    """Any action with equal chance, drawn from the seed of the prompt when the temperature is above 0."""

    identity: str = "sampling"

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        draws = [np.random.default_rng(seed if temperature else 0).integers(0, 3) for seed in seeds]
        return [Completion(policy_completion("drawn", list(Action)[i]), (1, 2), (3 + int(i),)) for i in draws]


def always(action: Action) -> RulePolicy:
    return RulePolicy(lambda caption, depth: action, f"always {action}")


def finder(colour: str) -> RulePolicy:
    """Seeks ``colour``: accepts what shows it alone, continues what shows it among others, deletes the rest."""

    def rule(caption: str, depth: int) -> Action:
        if caption == f"a scene in {colour}":
            return Action.ACCEPT
        return Action.CONTINUE if colour in caption or not depth else Action.DELETE

    return RulePolicy(rule, f"finds {colour}", sought=f"a scene in {colour}")


@dataclass
class ColourEmbedder:
    """Texts by the colours that they name; a text that names none lies between all."""

    identity: str = "colours"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = [[name in text for name in COLOURS] for text in texts]
        vectors = np.array(rows, np.float32).reshape(len(texts), len(COLOURS)) + 1e-3
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass
class ReplyingLM:
    """A language model that replies by a rule over the prompt; ``calls`` holds the prompts of every call."""

    rule: Callable[[str], str]
    identity: str = "replying"
    calls: list[list[str]] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        return [prompt for call in self.calls for prompt in call]

    def complete(self, prompts: Sequence[str], temperature: float, seeds: Sequence[int]) -> list[Completion]:
        self.calls.append(list(prompts))
        return [Completion(self.rule(prompt), (1,) * len(prompt.split()), (2,)) for prompt in prompts]


@dataclass
class ColourScorer:
    """By the colour that a frame shows: 1 where the text names it, else 0.1 to 0.5; ``frames`` counts those seen."""

    identity: str = "colours"
    frames: int = 0

    def score(self, frames: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        self.frames += len(frames)
        return _fits(_shown(frames), texts)

    def logits(self, scores: np.ndarray) -> np.ndarray:
        return 20.0 * np.asarray(scores, np.float64)


class ColourEncoder(ColourScorer):
    """With image features: one axis a colour."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        self.frames += len(frames)
        return np.eye(len(COLOURS), dtype=np.float32)[[list(COLOURS).index(name) for name in _shown(frames)]]

    def compare(self, features: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return _fits([list(COLOURS)[axis] for axis in features.argmax(axis=1)], texts)


def _shown(frames: np.ndarray) -> list[str]:
    return [colours_of(frame[None])[0] for frame in frames]


def _fits(shown: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    other = {name: 0.1 * (1 + i % 5) for i, name in enumerate(COLOURS)}
    rows = [[1.0 if name in text else other[name] for text in texts] for name in shown]
    return np.array(rows, np.float32).reshape(len(shown), len(texts))
