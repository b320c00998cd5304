"""A mined selection made by hand, and pictures for its key frames: what the views are tested on."""

from __future__ import annotations

import numpy as np

from lmms_videominer.types import (
    Action,
    Decision,
    Event,
    KeyFrame,
    Node,
    Question,
    Reading,
    Selection,
    Span,
    Usage,
    VideoInfo,
)

HOUR_S = 3600.0


def node(
    id: str,
    action: Action | None,
    *spans: tuple[float, float],
    caption: str = "a red triangle in the desert",
    reading: Reading = Reading.STRICT,
    note: str = "",
) -> Node:
    """A node at the depth that its id tells; ``action=None`` leaves it undecided."""
    events = tuple(Event(Span(*span), caption) for span in spans)
    text = f"<think>it shows {caption}</think><action>{action.value}</action>" if action else ""
    decision = Decision(action, text, reading) if action else None
    return Node(id, id.count("."), events, decision, note)


def mined_selection() -> Selection:
    """Three levels over an hour: one chapter continued, one scene continued, its moment accepted; one node unread."""
    nodes = (
        node("0", None, (0, HOUR_S)),
        node("0.0", Action.DELETE, (0, 720), (1500, 2100), caption="a blue square on the beach"),
        node("0.1", Action.CONTINUE, (720, 1500), caption="a desert with a red triangle and a green circle"),
        node("0.2", Action.CONTINUE, (2100, 2700), caption="a forest", reading=Reading.LENIENT),
        node("0.3", Action.DELETE, (2700, HOUR_S), caption="snow"),
        node("0.1.0", Action.DELETE, (720, 1100)),
        node("0.1.1", Action.CONTINUE, (1100, 1180)),
        node("0.1.2", Action.DELETE, (1180, 1500)),
        node("0.2.0", None, (2100, 2700), note="max_nodes"),
        node("0.1.1.0", Action.DELETE, (1100, 1131)),
        node("0.1.1.1", Action.ACCEPT, (1131, 1135), caption="a red triangle beside a sign with a star"),
        node("0.1.1.2", Action.CONTINUE, (1135, 1180), reading=Reading.DEFAULT),
    )
    times = [1131.25 + 0.5 * i for i in range(7)] + [2400.0]
    return Selection(
        question=Question(
            "desert.mp4",
            "Which sign appears while the red triangle is in the desert?",
            ("a circle", "a cross", "a star", "an arrow"),
            (Span(1131.0, 1134.0),),
        ),
        video=VideoInfo("desert.mp4", HOUR_S, 36_000, 10.0, 320, 180, "pyav"),
        key_frames=tuple(KeyFrame(t, round(t * 10), "0.1.1.1" if t < 2000 else None) for t in times),
        selector="videominer",
        nodes=nodes,
        usage=Usage(
            vlm_calls=40,
            vlm_calls_cached=3,
            answer_calls=1,
            policy_calls=10,
            prompt_tokens=1000,
            completion_tokens=300,
            embeddings=43,
            frames_decoded=900,
            seconds={"scan": 1.5, "captions": 12.25},
        ),
        fallbacks=("filled",),
        answer="C",
    )


def pictures(selection: Selection, height: int = 180, width: int = 320) -> np.ndarray:
    """uint8 [T, height, width, 3]: picture i is of the grey 40 + 20 i, modulo 256, with a white square."""
    frames = np.zeros((len(selection.key_frames), height, width, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[:] = (40 + 20 * index) % 256
        frame[height // 3 : height // 2, width // 3 : width // 2] = 255
    return frames
