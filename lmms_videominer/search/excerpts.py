"""Questions about a part of a video: a search sees the part as a video of its own, and its result is put back.

No search knows of parts. What it leaves in the cache stands under an identity of the part, since its frames are counted
from the start of the part, and what models are told of times is, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lmms_videominer.errors import ConfigError
from lmms_videominer.search.wishes import Found
from lmms_videominer.types import ROUNDING_S, Cue, Event, KeyFrame, Node, Question, Scores, Span
from lmms_videominer.video.excerpt import ExcerptReader
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.video.timing import frames_shown_at


def seen_by_search(question: Question, video: OpenVideo) -> tuple[Question, OpenVideo]:
    """``question`` and ``video`` as the search sees them; both as they are if it is about the whole video.

    Raises:
        ConfigError: The part begins after the video's end.
        VideoError: The video cannot be read.
    """
    length_s = video.info.duration_s
    if question.start_s > length_s - ROUNDING_S:
        raise ConfigError(
            f"{question.video}: start_s={question.start_s:g} is not in the video, which lasts {length_s:g} s; give "
            "seconds from its first frame"
        )
    part = question.part_of(length_s)
    if part == Span(0.0, length_s):
        return replace(question, start_s=0.0, end_s=None), video
    reader = ExcerptReader(video.reader, part)
    evidence = tuple(reader.span_in_part(span) for span in question.evidence if span.overlaps(part))
    identity = f"{video.identity}[{part.start_s!r}, {part.end_s!r})"
    return replace(question, start_s=0.0, end_s=None, evidence=evidence), OpenVideo(reader, identity)


def heard_by_search(cues: tuple[Cue, ...], video: OpenVideo) -> tuple[Cue, ...]:
    """What is said in ``video`` as the search sees it, of the ``cues`` of the whole file: cut to its part, with times
    from the start of that."""
    reader = video.reader
    if not isinstance(reader, ExcerptReader):
        return cues
    return tuple(replace(cue, span=reader.span_in_part(cue.span)) for cue in cues if cue.span.overlaps(reader.span))


def cues_in_whole_video(cues: tuple[Cue, ...], video: OpenVideo) -> tuple[Cue, ...]:
    """``cues`` of a search that saw ``video``, at the times of the whole file."""
    reader = video.reader
    if not isinstance(reader, ExcerptReader):
        return cues
    return tuple(replace(cue, span=reader.span_in_whole(cue.span)) for cue in cues)


def in_whole_video(found: Found, video: OpenVideo) -> Found:
    """``found`` by a search that saw ``video``, with the indices and the times of the whole file."""
    reader = video.reader
    if not isinstance(reader, ExcerptReader):
        return found
    return replace(
        found,
        key_frames=tuple(_key_frame(frame, reader) for frame in found.key_frames),
        nodes=nodes_in_whole_video(found.nodes, video),
        scores=found.scores and _scores(found.scores, reader),
    )


def nodes_in_whole_video(nodes: Sequence[Node], video: OpenVideo) -> tuple[Node, ...]:
    """``nodes`` of a search that saw ``video``, with the times of the whole file."""
    reader = video.reader
    if not isinstance(reader, ExcerptReader):
        return tuple(nodes)
    return tuple(replace(node, events=tuple(_event(event, reader) for event in node.events)) for node in nodes)


def _key_frame(frame: KeyFrame, reader: ExcerptReader) -> KeyFrame:
    index = frame.frame_index
    return replace(frame, time_s=reader.time_of(index), frame_index=reader.index_in_whole(index))


def _event(event: Event, reader: ExcerptReader) -> Event:
    shown = frames_shown_at(reader.timestamps_s, event.frame_times_s).tolist()
    return replace(event, span=reader.span_in_whole(event.span), frame_times_s=tuple(map(reader.time_of, shown)))


def _scores(scores: Scores, reader: ExcerptReader) -> Scores:
    indices = scores.frame_indices
    return replace(
        scores,
        frame_indices=tuple(map(reader.index_in_whole, indices)),
        times_s=tuple(map(reader.time_of, indices)),
    )
