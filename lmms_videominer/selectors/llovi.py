"""LLoVi (Zhang et al., arXiv 2312.17235): every short clip captioned, one call of a language model over all captions.

As published: clips of 1 second (longer in long videos) are captioned, and the language model answers from all captions
in one call, or from a summary of them that it writes first, knowing the question and not the options. Where moments are
to be found (NExT-GQA in the paper), the same call also names those that answer; that makes it a selector here.

What differs:

- The clips that the reply names give the frames, spread over them as VideoMiner spreads over accepted nodes; the
  longest stretches without a frame fill up what they lack. The model's own answer is left in the reply. A reply that
  names none gives uniform frames (``unread_clips``).
- Clips are ``llovi_clip_s`` seconds, 1 as published, and longer where the video would have more than
  ``max_vlm_calls`` of them, the allowance that a tree of VideoMiner has (18 s at an hour; published 4 to 10 s).
- A summary (``llovi_summary_words``, 500 in the paper) is not the default: in it the moments get lost. It is told to
  keep the numbers of the clips.
- One captioner and one language model instead of LaViLa or BLIP-2 and GPT; prompts of their own words.
- ``judge=policy``: the policy decides about each clip in its own format instead, one call each, as at the last depth,
  since no closer look follows; the accepted ones are those named, or where there are none those that continue. For
  policy models that know no other format.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig, option
from lmms_videominer.errors import ConfigError
from lmms_videominer.search.candidates import Pick, candidates, within_budget
from lmms_videominer.search.key_frames import node_key_frames
from lmms_videominer.search.wishes import Ask, Case, Found, Search
from lmms_videominer.selectors.asking import AskingSelector, Seen, asked_at_most, judgements, lettered_question
from lmms_videominer.selectors.replies import read_clips
from lmms_videominer.selectors.selector import Calls, about, by_level
from lmms_videominer.types import Action, Decision, Event, Node, Reading

SUMMARY_PROMPT = """\
A video of {duration:.0f} seconds is told by captions of its clips, in temporal order:
{captions}
Summarise the video in at most {words} words, with what matters for this question, and keep the numbers of the clips: \
{question}"""
PROMPT = """\
A video of {duration:.0f} seconds is told by {what}:
{told}
Question: {question}
Answer the question, and name the clips that show what the answer needs.
Reply as {{"answer": "...", "clips": [numbers]}}"""


@dataclass(frozen=True)
class LLoViSettings:
    """The clips, and whether a summary of them is written first."""

    clip_s: float = option(1.0, "Length of a clip, in seconds; longer where max_vlm_calls needs it.")
    summary_words: int = option(0, "Words of a summary written first; 0: none, the captions themselves.")

    def __post_init__(self) -> None:
        if not self.clip_s > 0 or self.summary_words < 0:
            raise ConfigError(
                f"llovi_clip_s={self.clip_s}, llovi_summary_words={self.summary_words}: "
                "a clip has some length, and a summary no less than 0 words"
            )


class LLoViSelector(AskingSelector):
    """Frames of the clips that the language model names, having read captions of all."""

    name = "llovi"
    Settings = LLoViSettings
    compares_frames = False

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        settings = cls.settings_of(config)
        clips = min(about(duration_s / settings.clip_s), config.max_vlm_calls)
        return Calls(clips, asked_at_most(config, replies=1 + bool(settings.summary_words), decisions=clips))

    def search(self, case: Case) -> Search:
        config = case.config
        pool = candidates(case.whole, case.timestamps_s, config.max_vlm_calls, self.settings.clip_s)
        clips = yield from Seen(case).look(pool.spans, config.caption_frames)
        if config.judge == "policy":
            nodes, kept, fallback = yield from _judged(case, clips)
        else:
            nodes, kept, fallback = yield from _replied(case, clips, self.settings.summary_words)
        return _found(case, (Node("0", 0, (Event(case.whole),)), *nodes), kept, fallback)


Told = tuple[list[Node], list[Node], str]  # all nodes below the root, those that give the frames, why there are none


def _replied(case: Case, clips: Sequence[Event], words: int) -> Generator[Any, Any, Told]:
    """The model's replies as nodes, the clips that they name below."""
    told = "\n".join(_line(i, clip) for i, clip in enumerate(clips, 1))
    what, nodes = "captions of its clips, in temporal order", []
    if words:
        prompt = SUMMARY_PROMPT.format(
            duration=case.whole.duration_s, captions=told, words=words, question=case.question.text
        )
        [told] = yield Ask((prompt,))
        what = "a summary of it, with the numbers of its clips"
        nodes.append(Node("0.0", 1, tuple(clips), Decision(Action.CONTINUE, told, Reading.STRICT, prompt)))
    question = lettered_question(case.question)
    prompt = PROMPT.format(duration=case.whole.duration_s, what=what, told=told, question=question)
    [text] = yield Ask((prompt,))
    named, reading = read_clips(text, len(clips))
    id = "0.0.0" if words else "0.0"
    nodes.append(Node(id, id.count("."), tuple(clips), Decision(Action.CONTINUE, text, reading, prompt)))
    kept = [_named(f"{id}.{i}", clips, run, reading) for i, run in enumerate(_runs(named))]
    return nodes + kept, kept, "unread_clips"


def _judged(case: Case, clips: Sequence[Event]) -> Generator[Any, Any, Told]:
    """A node a clip, decided by the policy."""
    decisions = yield from judgements(case, [clip.caption or "" for clip in clips], case.config.max_depth)
    nodes = [Node(f"0.{i}", 1, (clip,), made) for i, (clip, made) in enumerate(zip(clips, decisions, strict=True))]
    accepted, continued = (
        [node for node, made in zip(nodes, decisions, strict=True) if made.action is action]
        for action in (Action.ACCEPT, Action.CONTINUE)
    )
    return nodes, accepted or continued, "all_deleted"


def _line(number: int, clip: Event) -> str:
    return f"{number}. {clip.span.start_s:.0f}-{clip.span.end_s:.0f} s: {clip.caption}"


def _named(id: str, clips: Sequence[Event], run: Sequence[int], reading: Reading) -> Node:
    """The node of neighbouring clips that a reply names."""
    told = f"clip {run[0] + 1}" if len(run) == 1 else f"clips {run[0] + 1}-{run[-1] + 1}"
    return Node(id, id.count("."), tuple(clips[i] for i in run), Decision(Action.ACCEPT, told, reading))


def _runs(positions: Sequence[int]) -> Iterator[list[int]]:
    """Stretches of neighbours among ascending ``positions``."""
    array = np.array(positions, int)
    for run in np.split(array, np.flatnonzero(np.diff(array) > 1) + 1):
        if len(run):
            yield run.tolist()


def _found(case: Case, nodes: Sequence[Node], kept: Sequence[Node], fallback: str) -> Found:
    """Frames of ``kept``, or of the root where none is."""
    chosen = node_key_frames(kept or nodes[:1], case.timestamps_s, case.config.frames)
    picks = [Pick(frame.frame_index, frame.node_id) for frame in chosen]
    frames = within_budget([picks], case.timestamps_s, case.config.frames)
    filled = any(frame.node_id is None for frame in frames)
    return Found(frames, by_level(nodes), tuple([fallback] * (not kept) + ["filled"] * filled))
