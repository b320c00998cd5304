"""Rows as a comparison reads them, made without one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from lmms_videominer.bench.rows import Row, frame_of

ROW = Row(
    model="videominer_qwen2vl",
    weights="tiny",
    common="",
    task="t",
    limit=None,
    frames=8,
    variant="aks",
    selector="aks",
    judge="policy",
    cell="0",
    cache="shared",
    doc_id=0,
    kind="sign",
    video="v.mp4",
    duration_s=60.0,
    minutes=1.0,
    correct=1.0,
    answer="B",
    target="B",
    prompt="What?",
    how="mined",
    frame_indices="1 2",
    times_s="1 2",
    evidence_recall=0.5,
    evidence_precision=0.5,
    vlm_calls=4,
    vlm_calls_made=2,
    answer_calls=1,
    llm_calls=3,
    llm_calls_made=3,
    decisions=3,
    scored_frames=0,
    scored_frames_made=0,
    nodes=3,
    frames_substituted=0,
    selection_s=1.0,
    caption_s=0.5,
    llm_s=0.3,
    score_s=None,
    answer_s=None,
    cell_s=2.0,
    wall_s=9.0,
    fallbacks="",
    problem="",
    metric="accuracy",
    tree="",
)


def made(variant: str, scores: Sequence[float], **changed) -> list[Row]:
    """Rows of one cell, a document and a video a score."""
    named = {"variant": variant, "selector": variant, "cell": f"{variant}-{changed.get('cache', 'shared')}", **changed}
    return [
        dataclasses.replace(ROW, **{"doc_id": i, "video": f"{i}.mp4", "correct": float(score), **named})
        for i, score in enumerate(scores)
    ]


def table(*cells: list[Row]) -> pd.DataFrame:
    return frame_of([row for rows in cells for row in rows])
