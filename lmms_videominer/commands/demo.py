"""The demo: a world video with a known correct answer and evidence."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from lmms_videominer.types import Question, Selection, Span
from lmms_videominer.verdict import chosen_option, frames_hitting, option_letter, windows_hit
from lmms_videominer.video.time_codes import clock_spans
from lmms_videominer.world import render_world


def demo_question(folder: Path, minutes: float, seed: int, progress: bool = True) -> tuple[Question, int]:
    """Render one video to a subfolder of ``folder``; return a question about it and the correct option's index."""
    world = folder / f"world-{minutes:g}min-{seed}"
    path = render_world(world, minutes, videos=1, seed=seed, progress=progress)
    row = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    evidence = tuple(Span(*window) for window in row["evidence"])
    question = Question(str(world / row["video"]), row["question"], tuple(row["options"]), evidence)
    return question, ord(row["answer"]) - ord("A")


def print_verdict(selection: Selection, right_option: int) -> None:
    """Print whether the answer is right and whether the key frames hit the evidence."""
    question = selection.question
    chosen = chosen_option(selection.answer, question.options)
    verdict = "names no option" if chosen is None else "is right" if chosen == right_option else "is wrong"
    frames, evidence = selection.key_frames, question.evidence
    console = Console(highlight=False)
    console.print(
        f"\nThe answer [bold {'green' if chosen == right_option else 'red'}]{verdict}[/]; "
        f"{option_letter(right_option)} is the right one.",
        soft_wrap=True,
    )
    console.print(
        f"The evidence is at {clock_spans(evidence)}: {frames_hitting(frames, evidence)} of {len(frames)} key frames "
        f"are in it, {windows_hit(frames, evidence)} of {len(evidence)} windows are hit.",
        soft_wrap=True,
    )
