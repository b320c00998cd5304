"""Films of an hour in which nearly everything looks, or reads, the same: whether a search still finds the needle.

    python benchmarks/alike_films.py --out outputs/alike
    python benchmarks/alike_films.py --out outputs/alike --set max_vlm_calls=400 --name more

- ``alike``: one place and one robot that never moves; a sign is up for 4 s, and once a lamp or a gate changes within 6.
  Two questions a film, on the sign and on what happens.
- ``same``: likewise, but the robot moves, and stands in another position every 20 to 40 s. So the film looks varied,
  and all captions are equal, except those of a close look at these seconds.
- ``scenes``: one place and one robot that never moves; in five scenes of 20 s another robot, of one colour the same,
  shows a sign for 4 s. Five questions a film, one about each of these scenes.

Prints for each the share of questions with a key frame in the evidence and of those answered rightly, and the captions,
decisions and seconds a question. Rows are appended to ``OUT/NAME.jsonl``; questions in it are skipped. The films are
rendered on the first run (for 50 questions of each kind 60 hours, ten minutes on one core).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmms_videominer.errors import VideoMinerError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.types import Question, Selection, Span
from lmms_videominer.verdict import chosen_option, option_letter, windows_hit
from lmms_videominer.world.questions import WRITERS, WorldQuestion
from lmms_videominer.world.script import ACTIONS, COLOURS, PLACES, SIGNS, Actor, Chapter, Moment, Scene, Script
from lmms_videominer.world.video import encode

MINUTES = 60.0
SEED = 1_900_000  # of the dev range


def alike(index: int) -> tuple[Script, list[WorldQuestion]]:
    """A film with one picture throughout, except for two moments."""
    return _one_robot(index, still=True)


def same(index: int) -> tuple[Script, list[WorldQuestion]]:
    """A film of many pictures of one robot, of which two show a board."""
    return _one_robot(index, still=False)


def _one_robot(index: int, still: bool) -> tuple[Script, list[WorldQuestion]]:
    rng = np.random.default_rng([SEED, index, int(still)])
    place = _one(rng, PLACES)
    actor = Actor(*(COLOURS[i] for i in rng.permutation(len(COLOURS))[:2]))
    edges = [0.0]
    while edges[-1] < 60 * MINUTES - 60:
        edges.append(edges[-1] + float(rng.integers(20, 41)))
    spans = [Span(a, b) for a, b in zip(edges, [*edges[1:], 60 * MINUTES])]
    with_sign, with_action = rng.permutation(len(spans) - 1)[:2]
    moments = {
        with_sign: _moment(rng, spans[with_sign].start_s, 20.0, 4.0, _one(rng, SIGNS)),
        with_action: _moment(rng, spans[with_action].start_s, 20.0, 6.0, "", _one(rng, tuple(ACTIONS))),
    }
    look = _seed(rng)
    scenes = [
        Scene(span, place, actor, (moments[i],) if i in moments else (), look if still else _seed(rng))
        for i, span in enumerate(spans)
    ]
    questions = [
        WRITERS["sign"](rng, (scenes[with_sign],), index % 4),
        WRITERS["action"](rng, (scenes[with_action],), (index + 2) % 4),
    ]
    return _film(rng, index, place, scenes, ("static",) if still else ()), questions


def scenes(index: int) -> tuple[Script, list[WorldQuestion]]:
    """A film with one robot throughout, except in five scenes of 20 s."""
    rng = np.random.default_rng([SEED, index, 2])
    place, body = _one(rng, PLACES), _one(rng, COLOURS)
    usual, *others = [Actor(body, COLOURS[i]) for i in rng.permutation(len(COLOURS)) if COLOURS[i] != body]
    actors = [*others, Actor(others[0].hat, body)]
    signs = [SIGNS[i] for i in rng.permutation(len(SIGNS))]
    starts = _apart(rng, len(actors), 20.0)
    needles = [
        Scene(Span(start, start + 20), place, actor, (_moment(rng, start, 20.0, 4.0, sign),), _seed(rng))
        for start, actor, sign in zip(starts, actors, signs)
    ]
    edges = [0.0, *(edge for s in needles for edge in (s.span.start_s, s.span.end_s)), 60 * MINUTES]
    look = _seed(rng)  # the usual robot stands where it stood
    gaps = [Scene(Span(a, b), place, usual, (), look) for a, b in zip(edges[::2], edges[1::2])]
    scenes = sorted([*gaps, *needles], key=lambda scene: scene.span)
    questions = [WRITERS["sign"](rng, (scene,), (index + i) % 4) for i, scene in enumerate(needles)]
    return _film(rng, index, place, scenes, ("static",)), questions


def _film(
    rng: np.random.Generator, index: int, place: str, scenes: Sequence[Scene], nuisances: tuple[str, ...]
) -> Script:
    chapter = Chapter(Span(0.0, 60 * MINUTES), place, tuple(scenes), _seed(rng))
    return Script(SEED, index, MINUTES, (chapter,), nuisances)


def _one(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _apart(rng: np.random.Generator, count: int, length_s: float) -> list[float]:
    """``count`` starts of stretches of ``length_s``, each anywhere in an equal share of the film, a minute apart."""
    share = 60 * MINUTES / count
    return [float(np.round(i * share + rng.uniform(30, share - length_s - 30))) for i in range(count)]


def _moment(
    rng: np.random.Generator, start_s: float, within_s: float, length_s: float, board: str, action: str | None = None
) -> Moment:
    first = start_s + 1 + float(rng.integers(0, int(within_s - length_s - 1)))
    return Moment(Span(first, first + length_s), board, action)


Drawn = tuple[Script, list[WorldQuestion]]
FILMS: dict[str, tuple[Callable[[int], Drawn], int]] = {"alike": (alike, 2), "same": (same, 2), "scenes": (scenes, 5)}


@dataclass(frozen=True)
class Asked:
    """A question as it is mined, with its id, its kind of film and the letter of the right option."""

    id: str
    film: str
    question: Question
    answer: str


def rendered(folder: Path, kinds: Sequence[str], questions: int) -> Iterator[Asked]:
    """``questions`` questions on each kind of film, in whole films; renders those that ``folder`` lacks."""
    for kind in kinds:
        draw, each = FILMS[kind]
        for index in range(-(-questions // each)):
            script, asked = draw(index)
            path = folder / f"{kind}-{index:02d}.mp4"
            if not path.exists():
                encode(script, path)
            for i, q in enumerate(asked):
                yield Asked(f"{kind}-{index}-{i}", kind, Question(str(path), q.text, q.options, q.evidence), q.answer)


def line(asked: Asked, result: Selection | VideoMinerError, seconds: float) -> dict[str, Any]:
    """The row of one question."""
    if isinstance(result, VideoMinerError):
        raise result
    chosen = chosen_option(result.answer, asked.question.options)
    hit = windows_hit(result.key_frames, asked.question.evidence)
    return {
        "id": asked.id,
        "film": asked.film,
        "found": int(hit > 0),
        "correct": int(chosen is not None and option_letter(chosen) == asked.answer),
        "captions": result.usage.vlm_calls + result.usage.vlm_calls_cached,
        "decisions": result.usage.policy_calls + result.usage.policy_calls_cached,
        "depth": max((node.depth for node in result.nodes), default=0),
        "seconds": round(seconds, 2),
        "fallbacks": list(result.fallbacks),
    }


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One line for each kind of film."""
    for film in dict.fromkeys(row["film"] for row in rows):
        own = [row for row in rows if row["film"] == film]
        means = {
            name: sum(row[name] for row in own) / len(own) for name in ("found", "correct", "captions", "decisions")
        }
        seconds, fallbacks = sum(row["seconds"] for row in own) / len(own), sum(bool(row["fallbacks"]) for row in own)
        yield (
            f"{film}: {len(own)} questions, needle found {100 * means['found']:.0f} %, "
            f"right {100 * means['correct']:.0f} %, captions {means['captions']:.1f}, "
            f"decisions {means['decisions']:.1f}, {seconds:.1f} s, fallbacks {fallbacks}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the films and of the rows")
    parser.add_argument("--name", default="defaults", help="name of the rows (default: defaults)")
    parser.add_argument("--films", nargs="+", default=list(FILMS), choices=list(FILMS))
    parser.add_argument("--questions", type=int, default=50, help="questions on each kind of film (default: 50)")
    parser.add_argument("--model", default="videominer-world", help="a bundle, or a video LLM")
    parser.add_argument("--together", type=int, default=10, help="questions mined at once")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="mining settings, selector= among them"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / f"{arguments.name}.jsonl"
    done = {json.loads(text)["id"] for text in file.read_text().splitlines()} if file.exists() else set()
    config = from_strings(dict(pair.split("=", 1) for pair in arguments.set))
    miner = VideoMiner.from_pretrained(arguments.model, config=config)
    todo = [asked for asked in rendered(arguments.out, arguments.films, arguments.questions) if asked.id not in done]
    for start in range(0, len(todo), arguments.together):
        part, started = todo[start : start + arguments.together], time.perf_counter()
        results = miner.mine_batch([asked.question for asked in part])
        seconds = (time.perf_counter() - started) / len(part)
        with file.open("a", encoding="utf-8") as rows:
            rows.writelines(json.dumps(line(*pair, seconds)) + "\n" for pair in zip(part, results, strict=True))
    print("\n".join(table([json.loads(text) for text in file.read_text().splitlines()])))


if __name__ == "__main__":
    main()
