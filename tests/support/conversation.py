"""A search talked to by hand: captions, vectors and replies come from functions, the video is a list of times."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.language_model import Completion
from lmms_videominer.policy.prompted import read_decision
from lmms_videominer.search.wishes import Ask, Caption, Case, Compare, Decide, Embed, Encode, Found
from lmms_videominer.selectors.selector import Selector
from lmms_videominer.types import Action, Event, Question, Span, VideoInfo
from lmms_videominer.video.opening import OpenVideo

SCORER = SimpleNamespace(identity="none")


@dataclass
class TalkedOf(Case):
    """A case that remembers what was captioned for it, by span and number of frames."""

    captioned: set[tuple[Span, int]] = field(default_factory=set)


def case_of(
    seconds: int,
    config: MinerConfig,
    question: str = "What is it?",
    options: tuple[str, ...] = (),
    features: str = "captions",
) -> TalkedOf:
    """A video of one frame a second: candidate, frame index and the second in which it is shown are one number."""
    info = VideoInfo("film.mp4", float(seconds), seconds, 1.0, 32, 32, "none")
    config = dataclasses.replace(config, features=features)
    video = OpenVideo(SimpleNamespace(info=info), "film")
    return TalkedOf(Question("film.mp4", question, options), video, np.arange(seconds, dtype=np.float64), config)


def converse(
    selector: type[Selector],
    case: TalkedOf,
    reply: Callable[[str], str],
    vector: Callable[[str], list[float]] = lambda text: [1.0],
) -> tuple[Found, list[str]]:
    """What the search finds, and the prompts that it asked; the caption of second 7 is ``second 7``.

    Args:
        reply: The language model.
        vector: The embedder, and with ``features=scorer`` the image features, of the text ``frame 7`` for second 7;
            what it gives is normalised. A frame's score is the cosine of its vector with the text's.
    """
    search, answer, prompts = selector(SimpleNamespace(scorer=SCORER), case.config).search(case), None, []
    while True:
        try:
            wish = search.send(answer)
        except StopIteration as end:
            return end.value, prompts
        if isinstance(wish, Caption):
            case.captioned.update((span, wish.frames) for span in wish.spans)
            answer = tuple(Event(span, f"second {int(span.start_s)}", (span.start_s + 0.5,)) for span in wish.spans)
        elif isinstance(wish, Embed):
            answer = _vectors(vector, wish.texts)
        elif isinstance(wish, Encode):
            answer = _vectors(vector, _named(wish.indices))
        elif isinstance(wish, Compare):
            answer = [_vectors(vector, _named(frames)) @ _vectors(vector, [text])[0] for frames, text in wish.pairs]
        elif isinstance(wish, Decide):
            asked = [part.prompt for part in wish.parts]
            prompts += asked
            default = Action.CONTINUE
            made = [Completion(reply(prompt)) for prompt in asked]
            answer = tuple(read_decision(p, c, default).decision for p, c in zip(wish.parts, made, strict=True))
        else:
            assert isinstance(wish, Ask)
            prompts += wish.prompts
            answer = tuple(reply(prompt) for prompt in wish.prompts)


def _vectors(vector: Callable[[str], list[float]], texts: Sequence[str]) -> np.ndarray:
    rows = np.array([vector(text) for text in texts], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _named(indices: Sequence[int]) -> list[str]:
    return [f"frame {index}" for index in indices]


def frames_of(found: Found) -> list[int]:
    return [frame.frame_index for frame in found.key_frames]
