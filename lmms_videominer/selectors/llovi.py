"""LLoVi (Zhang et al., arXiv 2312.17235): captions every short clip, and asks a language model once over all captions.

As published: clips of 1 second (longer in long videos) are captioned, and the language model answers from all captions
in one call, or from a summary of them that it writes first, given the question but not the options. If the task is to
find moments (NExT-GQA in the paper), the same call also names the clips that hold the answer, which makes it a selector
here.

What differs:

- The frames come from the clips named in the reply, spread over them as VideoMiner spreads over accepted nodes; if they
  are too few, the middles of the longest stretches without a frame are added. The model's own answer stays in the
  reply and is not used. A reply that names no clip gives uniform frames (``unread_clips``).
- Clips are ``llovi_clip_s`` seconds long, 1 as published, and longer if the video would have more than
  ``max_vlm_calls`` of them, the limit of a tree of VideoMiner (18 s for an hour; published 4 to 10 s).
- A summary (``llovi_summary_words``, 500 in the paper) is not the default, since it loses the moments. Its prompt asks
  to keep the numbers of the clips.
- One captioner and one language model instead of LaViLa or BLIP-2 and GPT; the prompts are our own.
- ``judge=policy``: the policy decides about each clip in its own format instead, one call each, at the last depth,
  since no closer look follows; the accepted clips count as named or, if there are none, those that continue. For
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
from lmms_videominer.selectors.asking import AskingSelector, Seen, judgements, lettered_question, llm_calls
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
    """The length of the clips, and whether a summary of their captions is written first."""

    clip_s: float = option(1.0, "Length of a clip, in seconds; longer if max_vlm_calls requires it.")
    summary_words: int = option(0, "Word limit of a summary that is written first; 0: use the captions directly.")

    def __post_init__(self) -> None:
        if not self.clip_s > 0 or self.summary_words < 0:
            raise ConfigError(
                f"llovi_clip_s={self.clip_s}, llovi_summary_words={self.summary_words}: "
                "clip_s must be above 0 and summary_words at least 0"
            )


class LLoViSelector(AskingSelector):
    """Frames of the clips that the language model names after reading the captions of all."""

    name = "llovi"
    Settings = LLoViSettings
    compares_frames = False

    @classmethod
    def calls_at_most(cls, config: MinerConfig, duration_s: float) -> Calls:
        settings = cls.settings_of(config)
        clips = min(about(duration_s / settings.clip_s), config.max_vlm_calls)
        return Calls(clips, llm_calls(config, replies=1 + bool(settings.summary_words), decisions=clips))

    def search(self, case: Case) -> Search:
        config = case.config
        pool = candidates(case.whole, case.timestamps_s, config.max_vlm_calls, self.settings.clip_s)
        clips = yield from Seen(case).look(pool.spans, config.caption_frames)
        if config.judge == "policy":
            nodes, kept, fallback = yield from _judged(case, clips)
        else:
            nodes, kept, fallback = yield from _replied(case, clips, self.settings.summary_words)
        return _found(case, (Node("0", 0, (Event(case.whole),)), *nodes), kept, fallback)


Judged = tuple[list[Node], list[Node], str]  # all nodes below the root, those to take frames from, the fallback's name


def _replied(case: Case, clips: Sequence[Event], words: int) -> Generator[Any, Any, Judged]:
    """The model's replies as nodes, with nodes for the clips that they name below."""
    text = "\n".join(_line(i, clip) for i, clip in enumerate(clips, 1))
    what, nodes = "captions of its clips, in temporal order", []
    if words:
        prompt = SUMMARY_PROMPT.format(
            duration=case.whole.duration_s, captions=text, words=words, question=case.question.text
        )
        [text] = yield Ask((prompt,))
        what = "a summary of it, with the numbers of its clips"
        nodes.append(Node("0.0", 1, tuple(clips), Decision(Action.CONTINUE, text, Reading.STRICT, prompt)))
    question = lettered_question(case.question)
    prompt = PROMPT.format(duration=case.whole.duration_s, what=what, told=text, question=question)
    [reply] = yield Ask((prompt,))
    named, reading = read_clips(reply, len(clips))
    id = "0.0.0" if words else "0.0"
    nodes.append(Node(id, id.count("."), tuple(clips), Decision(Action.CONTINUE, reply, reading, prompt)))
    kept = [_named(f"{id}.{i}", clips, run, reading) for i, run in enumerate(_runs(named))]
    return nodes + kept, kept, "unread_clips"


def _judged(case: Case, clips: Sequence[Event]) -> Generator[Any, Any, Judged]:
    """One node per clip, decided by the policy."""
    decisions = yield from judgements(case, [clip.caption or "" for clip in clips], case.config.max_depth)
    pairs = zip(clips, decisions, strict=True)
    nodes = [Node(f"0.{i}", 1, (clip,), decision) for i, (clip, decision) in enumerate(pairs)]
    accepted, continued = (
        [node for node, decision in zip(nodes, decisions, strict=True) if decision.action is action]
        for action in (Action.ACCEPT, Action.CONTINUE)
    )
    return nodes, accepted or continued, "all_deleted"


def _line(number: int, clip: Event) -> str:
    return f"{number}. {clip.span.start_s:.0f}-{clip.span.end_s:.0f} s: {clip.caption}"


def _named(id: str, clips: Sequence[Event], run: Sequence[int], reading: Reading) -> Node:
    """The node of consecutive clips that a reply names."""
    text = f"clip {run[0] + 1}" if len(run) == 1 else f"clips {run[0] + 1}-{run[-1] + 1}"
    return Node(id, id.count("."), tuple(clips[i] for i in run), Decision(Action.ACCEPT, text, reading))


def _runs(positions: Sequence[int]) -> Iterator[list[int]]:
    """Runs of consecutive ``positions``, which ascend."""
    array = np.array(positions, int)
    for run in np.split(array, np.flatnonzero(np.diff(array) > 1) + 1):
        if len(run):
            yield run.tolist()


def _found(case: Case, nodes: Sequence[Node], kept: Sequence[Node], fallback: str) -> Found:
    """The result with frames of ``kept``, or of the root if there are none."""
    chosen = node_key_frames(kept or nodes[:1], case.timestamps_s, case.config.frames)
    picks = [Pick(frame.frame_index, frame.node_id) for frame in chosen]
    frames = within_budget([picks], case.timestamps_s, case.config.frames)
    filled = any(frame.node_id is None for frame in frames)
    return Found(frames, by_level(nodes), tuple([fallback] * (not kept) + ["filled"] * filled))
