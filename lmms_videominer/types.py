"""The records passed between stages: frozen, with times in seconds and half-open spans ``[start_s, end_s)``."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

SCHEMA_VERSION = 6
ROUNDING_S = 1e-6  # times that differ by less are equal


class Action(str, enum.Enum):
    """The policy's action on a node (arXiv 2510.06040, section 3.1)."""

    ACCEPT = "accept"  # the node holds the key frames: stop here and keep its frames
    CONTINUE = "continue"  # perhaps relevant: segment, caption and cluster its events again, finer
    DELETE = "delete"  # irrelevant to the question: drop the node


class Reading(str, enum.Enum):
    """How an action was recovered from the policy's text."""

    STRICT = "strict"  # the text follows the format fully
    LENIENT = "lenient"  # the format is only partly right, but one action could be recovered
    DEFAULT = "default"  # no action could be recovered: the configured default was taken


@dataclass(frozen=True, order=True)
class Span:
    """A half-open stretch of time ``[start_s, end_s)``, in seconds from the first frame."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s <= self.end_s:
            raise ValueError(f"a span needs 0 <= start_s <= end_s, got [{self.start_s}, {self.end_s})")

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    def overlaps(self, other: Span) -> bool:
        return self.start_s < other.end_s and other.start_s < self.end_s


def merge_spans(spans: Sequence[Span], gap_s: float = ROUNDING_S) -> tuple[Span, ...]:
    """The union of ``spans`` in temporal order; spans no more than ``gap_s`` seconds apart become one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_s - merged[-1].end_s <= gap_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return tuple(merged)


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video that a reader knows without decoding all of it.

    Attributes:
        path: The file.
        duration_s: End of the last frame, in seconds from the start of the first.
        frame_count: Number of decodable frames.
        average_fps: ``frame_count / duration_s``; only an average if the rate varies.
        width, height: In pixels, after rotation metadata is applied.
        backend: Name of the reader that opened it.
        identity: Identity of the file's content (``video_identity``); empty if unknown.
    """

    path: str
    duration_s: float
    frame_count: int
    average_fps: float
    width: int
    height: int
    backend: str
    identity: str = ""


@dataclass(frozen=True)
class Cue:
    """What is said, or written for it, during ``span``: one line of text, never markup."""

    span: Span
    text: str


@dataclass(frozen=True)
class Event:
    """One contiguous span of a video, with its caption.

    Attributes:
        span: The span in time.
        caption: The caption of its frames; ``None`` before captioning.
        frame_times_s: Times of the frames shown to the captioner.
        said: What is said meanwhile, as much of it as is told of an event; empty if nothing is known.
    """

    span: Span
    caption: str | None = None
    frame_times_s: tuple[float, ...] = ()
    said: str = ""

    @property
    def told(self) -> str:
        """The caption, and in a line below it what is said; empty if there is neither."""
        return "\n".join(filter(None, (self.caption, f'Said: "{self.said}"' if self.said else "")))


@dataclass(frozen=True)
class Decision:
    """One call of the policy, or the verdict of the captioner on a node's events.

    Attributes:
        action: The action on the node.
        text: The policy's full completion, or the captioner's full replies, one after the other.
        reading: How ``action`` was recovered from ``text``.
        prompt: The text of the prompt.
        prompt_ids, completion_ids: Token ids as the policy saw and generated them; empty if the policy
            is a text backbone without token access, or if the captioner decided. One decision of the policy is one
            training sample of T-GRPO.
    """

    action: Action
    text: str
    reading: Reading
    prompt: str = ""
    prompt_ids: tuple[int, ...] = ()
    completion_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Node:
    """A cluster of events: one vertex of the tree.

    Attributes:
        id: Path from the root, ``"0"`` for the root, ``"0.2.1"`` for the second child of its third child.
        depth: 0 for the root.
        events: The events of the cluster in temporal order; the root has one, the whole video.
        decision: That about the whole video for the root of ``search=best-first``; ``None`` for other roots, for nodes
            that a limit left undecided, and for parts that a selector judges in another way: by a number given in the
            note, or together with the part above.
        note: Why a node ended for another reason than its decision (``"max_nodes"``, ...), or how a selector judged
            it; empty otherwise.
    """

    id: str
    depth: int
    events: tuple[Event, ...]
    decision: Decision | None = None
    note: str = ""

    @property
    def undecided(self) -> bool:
        """Whether a limit kept the node from being decided."""
        return self.decision is None and self.note == "max_nodes"

    def has_action(self, action: Action) -> bool:
        """Whether the policy decided on ``action``."""
        return self.decision is not None and self.decision.action is action

    @property
    def parent_id(self) -> str | None:
        return self.id.rpartition(".")[0] or None

    @property
    def spans(self) -> tuple[Span, ...]:
        """The union of the node's events, in temporal order."""
        return merge_spans([event.span for event in self.events])

    @property
    def duration_s(self) -> float:
        return sum(span.duration_s for span in self.spans)

    @property
    def caption(self) -> str:
        """What is told of the node's events, in temporal order, one per line, without repeats."""
        return "\n".join(dict.fromkeys(event.told for event in self.events if event.told))


@dataclass(frozen=True)
class KeyFrame:
    """A frame passed to the video LLM: its time and index, and if it has them, the node it comes from and its score."""

    time_s: float
    frame_index: int
    node_id: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Scores:
    """The scores of a selector that compares frames with a text: columns of equal length, frames ascending.

    Attributes:
        scorer: Identity of the model that computed the scores.
        text: The text that the frames were compared with; for several descriptions, one per line, a frame has its best
            score.
        frame_indices, times_s: The scored frames; others are not listed.
        values: The score of each: a cosine, or the probability of a match.
        weights: Weights that the selector derived from them, see its docstring; empty if it uses ``values`` directly.
    """

    scorer: str
    text: str
    frame_indices: tuple[int, ...]
    times_s: tuple[float, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Usage:
    """The cost of a result; costs add up with ``+``. Cached calls are counted separately: they cost nothing.

    A call that failed counts as made, once, however often it was tried; what a failed batch made before is counted when
    it is found in the cache.
    """

    vlm_calls: int = 0  # captions generated, or asked for in vain
    vlm_calls_cached: int = 0  # captions found in the cache
    captions_missing: int = 0  # of both, captions that did not come, or came empty
    answer_calls: int = 0  # without answers found in the cache
    policy_calls: int = 0  # completions generated
    policy_calls_cached: int = 0  # completions found in the cache
    decisions_unread: int = 0  # decisions that named no action, also when asked again; captions without a verdict
    prompt_tokens: int = 0  # of the generated completions
    completion_tokens: int = 0
    embeddings: int = 0
    scores: int = 0  # frames encoded by an image-text model, again for every text if it encodes both together
    scores_cached: int = 0  # frames whose score or features were in the cache
    frames_decoded: int = 0
    frames_substituted: int = 0  # damaged frames for which the nearest one served; counted at each stage that used them
    seconds: dict[str, float] = field(default_factory=dict)  # by stage; a batch is split evenly

    def __add__(self, other: Usage) -> Usage:
        counts = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "seconds"}
        seconds = dict(self.seconds)
        for stage, elapsed_s in other.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + elapsed_s
        return Usage(**counts, seconds=seconds)

    @property
    def rounded(self) -> Usage:
        """The same with seconds of four digits, for people to read."""
        return replace(self, seconds={stage: float(f"{elapsed_s:.4g}") for stage, elapsed_s in self.seconds.items()})


WHOLE = {"start_s": 0.0, "end_s": None}  # of a question about a whole video


@dataclass(frozen=True)
class Question:
    """A question on one video.

    Attributes:
        video: Path of the file.
        text: The question, without options.
        options: Answer options in order, without letters; empty for an open question.
        evidence: Spans that answer it, if known (world tasks); of the selectors only ``oracle`` reads them, and the
            reward of training with ``evidence_target``.
        start_s, end_s: Only this part of the video is searched, in seconds from its first frame; ``None``: to its end.
        subtitles: What the setting of this name is for this question; empty: as it is.
    """

    video: str
    text: str
    options: tuple[str, ...] = ()
    evidence: tuple[Span, ...] = ()
    start_s: float = 0.0
    end_s: float | None = None
    subtitles: str = ""

    def part_of(self, duration_s: float) -> Span:
        """The part that is searched of a video of ``duration_s`` seconds; empty if it would begin behind its end."""
        end_s = duration_s if self.end_s is None or self.end_s > duration_s - ROUNDING_S else max(self.end_s, 0.0)
        return Span(min(max(self.start_s, 0.0), end_s), end_s)


@dataclass(frozen=True)
class Selection:
    """The result of a selector for one question: the key frames, and how they were found.

    Attributes:
        question: The question.
        video: Metadata of the video.
        key_frames: In temporal order, unique, at most the budget.
        selector: Name of the selector.
        nodes: The tree: the parts of the video that were judged, root first, then by level and order; empty for
            selectors that judge none.
        usage: The cost.
        fallbacks: Names of the fallbacks used (``"all_deleted"``, ``"filled"``), in order.
        config: The settings used.
        seed: The seed used.
        answer: The video LLM's answer from the key frames; ``None`` before answering.
        scores: The scores behind the key frames; ``None`` for selectors that use none.
        said: What is said near the key frames, in order of time; the prompt for the answer tells it.
    """

    # ``lmms_videominer/__init__.py`` gives these: for notebooks, and ``show.use``, which reads and writes files
    _repr_html_: ClassVar[Callable[[Selection], str]]
    _use: ClassVar[Callable[[Selection], ModuleType]]

    question: Question
    video: VideoInfo
    key_frames: tuple[KeyFrame, ...]
    selector: str
    nodes: tuple[Node, ...] = ()
    usage: Usage = field(default_factory=Usage)
    fallbacks: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    answer: str | None = None
    scores: Scores | None = None
    said: tuple[Cue, ...] = ()

    @property
    def frame_bytes(self) -> int:
        """Size of the decoded key frames in bytes, at the video's own resolution."""
        return len(self.key_frames) * self.video.width * self.video.height * 3

    @property
    def searched(self) -> Span | None:
        """The part of the video that was searched; ``None``: all of it."""
        part = self.question.part_of(self.video.duration_s)
        return part if part.duration_s < self.video.duration_s else None

    @property
    def accepted(self) -> tuple[Span, ...]:
        """The accepted parts, in temporal order: the union of the nodes that were accepted.

        None if none was: then ``fallbacks`` say where the key frames come from, or the selector judges no parts.
        """
        return merge_spans([span for node in self.nodes if node.has_action(Action.ACCEPT) for span in node.spans])

    def images(self, max_pixels: int = 0, *, video: str | os.PathLike[str] | None = None) -> list[Image]:
        """The key frames as RGB pictures of Pillow, in temporal order, read from the video.

        Args:
            max_pixels: They are scaled down to at most as many pixels; 0: they have the video's own resolution.
            video: Where the video is now, if it was moved.

        Raises:
            VideoError: The video is not there, is another one than that which was mined, or cannot be read.
        """
        return self._use().images(self, max_pixels, video)

    def save(self, folder: str | os.PathLike[str], *, video: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
        """Write ``tree.json``, the whole result, and below ``frames`` a PNG of each key frame, named by its time.

        Each file is whole or as it was before, and ``tree.json`` comes when all its frames are there. Frames of an
        earlier result in the folder are removed then, other files are not.

        Args:
            folder: It need not exist.
            video: Where the video is now, if it was moved.

        Returns:
            What was written: the frames in temporal order, then ``tree.json``.

        Raises:
            VideoError: See ``images``.
            ConfigError: A file cannot be written.
        """
        return self._use().save(self, folder, video)

    def to_messages(
        self,
        style: Literal["openai", "qwen"] = "openai",
        max_pixels: int = 0,
        *,
        video: str | os.PathLike[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Chat messages, ready to send: one turn of the user, with each key frame after its time, and the question.

        The question has its options with letters, as ``VideoMiner`` asks it, and before it what is said (``said``).

        Args:
            style: ``"openai"``: pictures are data URLs of JPEG, as chat completions take them. ``"qwen"``: pictures are
                those of ``images``, as the chat templates of transformers and ``qwen_vl_utils.process_vision_info``
                take them.
            max_pixels, video: See ``images``.

        Raises:
            VideoError: See ``images``.
            ConfigError: There is no such style.
        """
        return self._use().to_messages(self, style, max_pixels, video)

    def clips(
        self,
        folder: str | os.PathLike[str],
        margin_s: float = 0.0,
        *,
        video: str | os.PathLike[str] | None = None,
    ) -> tuple[Path, ...]:
        """Cut the ``accepted`` parts out, each as an MP4 file with its sound, named by its start and end.

        Time 0 of a clip is the start of its part, to the frame; see ``video.cutting``.

        Args:
            folder: It need not exist.
            margin_s: Seconds more on either side, within the video; parts that then overlap become one clip.
            video: Where the video is now, if it was moved.

        Returns:
            The files, in temporal order; none if no part was accepted.

        Raises:
            VideoError: See ``images``; or a part cannot be cut out.
            ConfigError: ``margin_s`` is negative, a file cannot be written, or there is no encoder for it.
        """
        return self._use().clips(self, folder, margin_s, video)
