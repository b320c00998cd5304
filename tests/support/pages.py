"""Results to make pages of: trees that rules grew on a film that browsers play, and one full of hostile texts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from lmms_videominer.miner import VideoMiner
from lmms_videominer.show.view.shown import NodeReward, Shown
from lmms_videominer.types import Decision, Event, Node, Question, Selection, Span
from support.scripted import COLOURS, ColourEmbedder, ColourVLM, finder
from support.videos import write_video

SCENES = (("blue", 5), ("red", 3), ("green", 4), ("blue", 5), ("yellow", 3))
STEP_S = 0.2
QUESTION = "Which colour comes second?"
OPTIONS = ("a scene in red", "a scene in blue")
HOSTILE = (
    "</script><script>window.obeyed=1</script><img src=x onerror='window.obeyed=1'></noscript><!--<script>&lt;b&gt;"
    "\u202e\u2028\x1b[31m"
)
SETTINGS = {"search": "plain", "events": 5, "scan_frames": 100, "grain_s": 0, "frames": 4, "cache_dir": "off"}


def film(folder: Path) -> str:
    """20 s of plain scenes, 5 frames a second."""
    colours = [name for name, length_s in SCENES for _ in range(round(length_s / STEP_S))]
    frames = [np.full((64, 96, 3), COLOURS[name], np.uint8) for name in colours]
    return str(write_video(folder / "film.mp4", frames, [STEP_S * place for place in range(len(frames))]))


def mined(video: str, colour: str, **settings) -> Selection:
    """What a search for ``colour`` finds."""
    models = {"vlm": ColourVLM(), "policy": finder(colour), "embedder": ColourEmbedder()}
    miner = VideoMiner.from_pretrained(**models, **SETTINGS, **settings)
    selection = miner.mine(video, QUESTION, list(OPTIONS))
    evidence = (Span(5.0, 8.0),)
    return dataclasses.replace(selection, question=dataclasses.replace(selection.question, evidence=evidence))


def hostile(selection: Selection) -> Selection:
    """``selection`` with a text in every place that would be obeyed as markup, a script or a control."""
    nodes = tuple(_hostile_node(node) for node in selection.nodes)
    return dataclasses.replace(
        selection,
        question=Question(selection.question.video, HOSTILE, (HOSTILE, "b"), selection.question.evidence),
        video=dataclasses.replace(selection.video, path=f"/tmp/{HOSTILE}", backend=HOSTILE),
        key_frames=tuple(dataclasses.replace(frame, node_id=HOSTILE) for frame in selection.key_frames),
        selector=HOSTILE,
        nodes=nodes,
        fallbacks=(HOSTILE,),
        config={HOSTILE: HOSTILE},
        answer=HOSTILE,
        usage=dataclasses.replace(selection.usage, seconds={HOSTILE: 1.0}),
    )


def _hostile_node(node: Node) -> Node:
    events = tuple(Event(event.span, HOSTILE, event.frame_times_s) for event in node.events)
    decision = node.decision and Decision(node.decision.action, HOSTILE, node.decision.reading, HOSTILE)
    return dataclasses.replace(node, events=events, decision=decision, note=HOSTILE)


def gallery(selection: Selection, count: int) -> list[Shown]:
    """``count`` results whose answers, kinds, lengths and fallbacks take turns."""
    results = []
    for place in range(count):
        length_s = (selection.video.duration_s, 300.0, 5000.0)[place % 3]
        video = dataclasses.replace(selection.video, duration_s=length_s)
        fallbacks = ("all_deleted",) if place % 4 == 0 else ()
        varied = dataclasses.replace(selection, video=video, fallbacks=fallbacks)
        correct = (True, False)[place % 2]
        kind = ("sign", "order", "count")[place % 3]
        results.append(Shown(varied, f"row {place}", kind=kind, target="A" if correct else "B", correct=correct))
    return results


def group(selection: Selection, trees: int = 3) -> list[Shown]:
    """The trees of one group, with rewards: the later a tree, the higher its advantages."""
    return [
        Shown(
            selection,
            f"tree {tree}",
            label="step-000048",
            correct=tree > 0,
            group="step-000048 · q7",
            rewards={
                node.id: NodeReward(1.0, 0.25, 0.9, float(tree > 0), 1.0 + 1.15 * (tree > 0), tree - 0.5)
                for node in selection.nodes
                if node.decision
            },
        )
        for tree in range(trees)
    ]
