"""Measures a video LLM of the world on frames that answer: options right and captions right in every word, by kind.

    python benchmarks/world_vlm.py lmms_videominer/world/checkpoints/vlm --lessons 60

Draws lessons from ``dev`` worlds as its training does, asks as a search asks, and reads answers as ``verdict`` reads
them. Questions of the kinds that come only if named stand beside the usual ones; chance is 25 %.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.verdict import chosen_option
from lmms_videominer.vlm.transformers_vlm import TransformersVLM
from lmms_videominer.vlm.vlm import VLMRequest
from lmms_videominer.world.curriculum import (
    Lesson,
    caption_lesson,
    draw_script,
    judge_lesson,
    named_lesson,
    question_lesson,
)
from lmms_videominer.world.train_vlm import DEV_SEED

TOKENS = 128


def drawn(lessons: int, seed: int) -> Iterator[Lesson]:
    """``lessons`` each of captions, judged captions, usual questions, and twice as many of the named kinds."""
    rng = np.random.default_rng(seed)
    for _ in range(lessons):
        yield caption_lesson(rng, draw_script(rng, DEV_SEED), 4)
        yield judge_lesson(rng, draw_script(rng, DEV_SEED))
        yield question_lesson(rng, draw_script(rng, DEV_SEED), 8, 1)
        for _ in range(2):
            yield named_lesson(rng, DEV_SEED, 8, 1)


def is_right(lesson: Lesson, reply: str) -> bool:
    """Whether a reply names the right option; without options, whether it is the target in every word."""
    prompt, target = lesson.turns[0]
    options = [line[3:] for line in prompt.splitlines() if line[:3] in ("A. ", "B. ", "C. ", "D. ")]
    if not options:
        return reply.strip() == target.strip()
    return chosen_option(reply, options) == chosen_option(target, options)


def asked(vlm: TransformersVLM, lessons: Sequence[Lesson]) -> list[str]:
    """The reply to the first prompt of each lesson."""
    requests = [VLMRequest(lesson.turns[0][0], lesson.frames, TOKENS) for lesson in lessons]
    replies = []
    for start in tqdm(range(0, len(requests), 32), desc="batches"):
        replies += vlm.generate(requests[start : start + 32])
    return [str(reply) for reply in replies]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vlm", help="folder of the video LLM")
    parser.add_argument("--lessons", type=int, default=60, help="captions, judged captions and usual questions, each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show", type=int, default=0, help="print so many wrong replies of each kind")
    arguments = parser.parse_args()
    lessons = list(drawn(arguments.lessons, arguments.seed))
    replies = asked(TransformersVLM.from_pretrained(arguments.vlm, batch_size=16), lessons)
    right, wrong = defaultdict(list), defaultdict(list)
    for lesson, reply in zip(lessons, replies, strict=True):
        ok = is_right(lesson, reply)
        right[lesson.kind].append(ok)
        if not ok:
            wrong[lesson.kind].append(f"{lesson.turns[0][1]!r}, not {reply!r}")
    for kind, found in wrong.items():
        for line in found[: arguments.show]:
            print(f"{kind}: {line}")
    rows = [[kind, str(len(found)), f"{100 * np.mean(found):.0f}"] for kind, found in sorted(right.items())]
    print(markdown_table(["kind", "lessons", "right, %"], rows))


if __name__ == "__main__":
    main()
