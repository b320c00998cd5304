"""The demonstration: a world video, whose right answer and evidence are known."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from lmms_videominer.show.time_codes import clock_spans
from lmms_videominer.types import Question, Selection, Span
from lmms_videominer.verdict import chosen_option, frames_hitting, option_letter, windows_hit
from lmms_videominer.world import render_world


def demo_question(folder: Path, minutes: float, seed: int, progress: bool = True) -> tuple[Question, int]:
    """Render one video into a folder of its own below ``folder``; a question about it and the right option's index."""
    world = folder / f"world-{minutes:g}min-{seed}"
    path = render_world(world, minutes, videos=1, seed=seed, progress=progress)
    row = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    evidence = tuple(Span(*window) for window in row["evidence"])
    question = Question(str(world / row["video"]), row["question"], tuple(row["options"]), evidence)
    return question, ord(row["answer"]) - ord("A")


def print_verdict(selection: Selection, right_option: int) -> None:
    """Say whether the answer is right and whether the evidence was seen."""
    question = selection.question
    chosen = chosen_option(selection.answer, question.options)
    told = "names no option" if chosen is None else "is right" if chosen == right_option else "is wrong"
    frames, evidence = selection.key_frames, question.evidence
    console = Console(highlight=False)
    console.print(
        f"\nThe answer [bold {'green' if chosen == right_option else 'red'}]{told}[/]; "
        f"{option_letter(right_option)} is the right one.",
        soft_wrap=True,
    )
    console.print(
        f"The evidence lies at {clock_spans(evidence)}: {frames_hitting(frames, evidence)} of {len(frames)} key frames "
        f"are in it, {windows_hit(frames, evidence)} of {len(evidence)} windows are hit.",
        soft_wrap=True,
    )
