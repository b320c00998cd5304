"""The script of a world video: chapters, scenes and moments, drawn from one seed.

A video consists of chapters (one place each), which consist of scenes (one actor each). Some scenes have moments:
a board shows a sign, or an object on the board changes state. A (place, actor) pair occurs in exactly one scene.
Other scenes share the place or the actor and show other boards, so a question about a scene can only be answered
from that scene.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmms_videominer.types import Span

PLACES = ("desert", "forest", "sea", "city", "snow", "cave", "meadow", "brickyard")
COLOURS = ("red", "yellow", "green", "blue", "purple", "white")
SIGNS = ("star", "heart", "leaf", "drop", "moon", "cross", "arrow", "ring")
# actions, with the two consecutive states of the board that show them
ACTIONS = {
    "lights the lamp": ("dark lamp", "lit lamp"),
    "puts out the lamp": ("lit lamp", "dark lamp"),
    "opens the gate": ("shut gate", "open gate"),
    "shuts the gate": ("open gate", "shut gate"),
}
STATES = ("dark lamp", "lit lamp", "shut gate", "open gate")
NUISANCES = ("flashes", "fades", "light", "pans", "cuts", "static")

# disjoint ranges of world seeds; seeds from 3_000_000 on are free for users
SPLITS = {"train": range(0, 1_000_000), "dev": range(1_000_000, 2_000_000), "test": range(2_000_000, 3_000_000)}

FPS = 8
SIZE = 168  # pixels, square


@dataclass(frozen=True)
class Actor:
    """A robot with a hat, identified by its two colours."""

    body: str
    hat: str

    def __str__(self) -> str:
        return f"{self.body} robot with the {self.hat} hat"


@dataclass(frozen=True)
class Moment:
    """A board visible during ``span``. ``action`` is ``None`` for a sign; otherwise the board changes state halfway."""

    span: Span
    board: str
    action: str | None = None

    def board_at(self, time_s: float) -> str:
        if self.action is None:
            return self.board
        first, second = ACTIONS[self.action]
        return first if time_s < (self.span.start_s + self.span.end_s) / 2 else second


@dataclass(frozen=True)
class Scene:
    """One actor in one place during ``span``; ``seed`` determines its appearance (position, motion)."""

    span: Span
    place: str
    actor: Actor
    moments: tuple[Moment, ...]
    seed: int

    @property
    def signs(self) -> tuple[str, ...]:
        return tuple(m.board for m in self.moments if m.action is None)

    @property
    def actions(self) -> tuple[Moment, ...]:
        return tuple(m for m in self.moments if m.action is not None)


@dataclass(frozen=True)
class Chapter:
    """One place during ``span``; ``seed`` determines the appearance of its background."""

    span: Span
    place: str
    scenes: tuple[Scene, ...]
    seed: int


@dataclass(frozen=True)
class FrameState:
    """What is visible at one time; the source of captions in the training data."""

    place: str
    actor: Actor
    board: str | None


@dataclass(frozen=True)
class Script:
    """The content of a whole video, known only to the generator."""

    seed: int
    index: int
    minutes: float
    chapters: tuple[Chapter, ...]
    nuisances: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        return self.chapters[-1].span.end_s

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        return tuple(scene for chapter in self.chapters for scene in chapter.scenes)

    @cached_property
    def _scene_starts(self) -> list[float]:
        return [scene.span.start_s for scene in self.scenes]

    @cached_property
    def _chapter_starts(self) -> list[float]:
        return [chapter.span.start_s for chapter in self.chapters]

    def scene_at(self, time_s: float) -> Scene:
        return self.scenes[max(bisect.bisect_right(self._scene_starts, time_s) - 1, 0)]

    def chapter_at(self, time_s: float) -> Chapter:
        return self.chapters[max(bisect.bisect_right(self._chapter_starts, time_s) - 1, 0)]

    def state_at(self, time_s: float) -> FrameState:
        scene = self.scene_at(time_s)
        return FrameState(scene.place, scene.actor, board_at(scene, time_s))


def board_at(scene: Scene, time_s: float) -> str | None:
    """The board visible at ``time_s``, or ``None``."""
    for moment in scene.moments:
        if moment.span.start_s <= time_s < moment.span.end_s:
            return moment.board_at(time_s)
    return None


def write_script(seed: int, index: int, minutes: float, nuisances: tuple[str, ...] = ()) -> Script:
    """Draw the script of video ``index`` of the world ``seed``; the same arguments give the same script.

    Raises:
        ValueError: ``minutes`` is below 1 or above 120, or a nuisance is unknown.
    """
    if not 1 <= minutes <= 120:
        raise ValueError(f"minutes={minutes}: must be from 1 to 120, the length of a world video")
    unknown = set(nuisances) - set(NUISANCES)
    if unknown:
        raise ValueError(f"unknown nuisances {sorted(unknown)}; choose from {', '.join(NUISANCES)}")
    rng = np.random.default_rng([seed, index, round(minutes * 60)])
    spans = _cut(rng, 0.0, minutes * 60.0, *_chapter_range(minutes))
    places = _places(rng, len(spans))
    free = {place: _shuffled_actors(rng) for place in PLACES}
    chapters = []
    for span, place in zip(spans, places):
        scenes = tuple(
            _scene(rng, scene_span, place, free[place].pop())
            for scene_span in _cut(rng, span.start_s, span.end_s, *_scene_range(minutes))
        )
        chapters.append(Chapter(span, place, scenes, int(rng.integers(2**31))))
    return Script(seed, index, minutes, tuple(chapters), tuple(nuisances))


def _chapter_range(minutes: float) -> tuple[float, float]:
    low = float(np.clip(minutes * 60 / 5, 20, 120))
    return low, 2.5 * low


def _scene_range(minutes: float) -> tuple[float, float]:
    return 10.0, float(np.clip(10 + 5 * minutes, 18, max(60, minutes)))  # a place has 30 actors, one a scene


def _cut(rng: np.random.Generator, start_s: float, end_s: float, low_s: float, high_s: float) -> list[Span]:
    """Cut ``[start_s, end_s)`` into whole-second pieces of about ``low_s`` to ``high_s``; the last is what remains."""
    edges = [start_s]
    while (left := end_s - edges[-1]) > high_s:
        most = min(high_s, left - low_s)
        edges.append(edges[-1] + float(np.round(rng.uniform(low_s, most) if most > low_s else left / 2)))
    return [Span(a, b) for a, b in zip(edges, [*edges[1:], end_s])]


def _places(rng: np.random.Generator, count: int) -> list[str]:
    """A place for each chapter, evenly distributed, never the same twice in a row."""
    places: list[str] = []
    while len(places) < count:
        order = [PLACES[i] for i in rng.permutation(len(PLACES))]
        if places and order[0] == places[-1]:
            order = order[1:] + order[:1]
        places += order
    return places[:count]


def _shuffled_actors(rng: np.random.Generator) -> list[Actor]:
    actors = [Actor(body, hat) for body in COLOURS for hat in COLOURS if body != hat]
    return [actors[i] for i in rng.permutation(len(actors))]


def _scene(rng: np.random.Generator, span: Span, place: str, actor: Actor) -> Scene:
    draw = rng.random()
    # 35 % of scenes hold nothing, 35 % one sign, 15 % an action, 15 % two to four signs
    signs, action = (
        (0, False)
        if draw < 0.35
        else (1, False)
        if draw < 0.7
        else (0, True)
        if draw < 0.85
        else (int(rng.integers(2, 5)), False)
    )
    count = max(1, min(signs + action, int(span.duration_s // 7))) if signs or action else 0
    moments = tuple(_moments(rng, span, count, action))
    return Scene(span, place, actor, moments, int(rng.integers(2**31)))


def _moments(rng: np.random.Generator, span: Span, count: int, action: bool) -> list[Moment]:
    """``count`` moments of 3 to 6 s, one in each equal share of the scene, at least half a second from its ends."""
    boards = [SIGNS[i] for i in rng.permutation(len(SIGNS))[:count]]
    name = list(ACTIONS)[int(rng.integers(len(ACTIONS)))]
    share = span.duration_s / max(count, 1)
    moments = []
    for i in range(count):
        length = float(rng.integers(6, 1 + int(2 * min(6.0, share - 1)))) / 2
        slack = int(2 * (share - 1 - length))
        start = span.start_s + i * share + 0.5 + float(rng.integers(0, slack + 1)) / 2
        moments.append(Moment(Span(start, start + length), boards[i], name if action else None))
    return moments
