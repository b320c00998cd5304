"""The records of a run: a note on each sample, and a summary by task."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmms_videominer.models.bundle import NOT_A_WORLD_VIDEO
from lmms_videominer.search.answers import UNREAD_ANSWER
from lmms_videominer.store.atomic import written
from lmms_videominer.types import KeyFrame, Selection, Span
from lmms_videominer.verdict import frames_hitting, windows_hit

SUMMARY_FILE = "videominer_summary.json"
NO_SEARCH = "no search: the video is too short for one, so its frames are uniform"
UNSAVED = "tree_not_saved"  # the fallback of a sample whose answer stands, though its tree could not be written


@dataclass
class Note:
    """How one sample was answered; logged with the sample.

    Attributes:
        task, doc_id: The task and document of the sample.
        how: ``"mined"``, ``"passed"`` (no single video), ``"uniform"`` (the backbone's own frames) or ``"fallback"``.
        why: Why the sample was passed on unchanged, or was answered without a search (``NO_SEARCH``), or empty.
        frames, times_s: The key frames: indices in the video, and times in seconds.
        tree: File of the tree, or empty.
        fallbacks: Names of the fallbacks used.
        problem: Why the sample could not be mined or answered, or empty.
        empty: Whether the answer is empty, because the backbone failed too or said nothing.
        usage: The cost.
        recall: Share of the evidence spans that contain a key frame; ``None`` if evidence or frames are unknown.
        precision: Share of the key frames that lie in evidence; 0 without key frames.
    """

    task: str
    doc_id: Any
    how: str
    why: str = ""
    frames: tuple[int, ...] = ()
    times_s: tuple[float, ...] = ()
    tree: str = ""
    fallbacks: tuple[str, ...] = ()
    problem: str = ""
    empty: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    recall: float | None = None
    precision: float | None = None

    @classmethod
    def mined(cls, task: str, doc_id: Any, selection: Selection, tree: str) -> Note:
        note = cls(task, doc_id, "mined", tree=tree, fallbacks=selection.fallbacks, usage=asdict(selection.usage))
        note.see(selection.key_frames, selection.question.evidence)
        note.why = NO_SEARCH if [node.note for node in selection.nodes] == ["short"] else ""
        return note

    def see(self, key_frames: Sequence[KeyFrame], evidence: Sequence[Span]) -> None:
        """Record the frames, and their recall and precision of the evidence."""
        self.frames = tuple(frame.frame_index for frame in key_frames)
        self.times_s = tuple(round(frame.time_s, 3) for frame in key_frames)
        if evidence:
            self.recall = windows_hit(key_frames, evidence) / len(evidence)
            self.precision = frames_hitting(key_frames, evidence) / max(1, len(key_frames))

    def logged(self) -> dict[str, Any]:
        """The entries of the sample's log in lmms-eval."""
        always = {"how": self.how, "frames": list(self.frames), "times_s": list(self.times_s), "tree": self.tree}
        extra = {
            "why": self.why,
            "fallbacks": list(self.fallbacks),
            "problem": self.problem,
            "empty": self.empty,
            "frames_substituted": self.usage.get("frames_substituted", 0),
        }
        return always | {name: value for name, value in extra.items() if value}


def summarise(notes: Iterable[Note]) -> dict[str, dict[str, Any]]:
    """Counts and means by task, and over all tasks under ``"all"``."""
    by_task: dict[str, list[Note]] = {}
    for note in notes:
        by_task.setdefault(note.task, []).append(note)
    everything = [note for group in by_task.values() for note in group]
    return {task: _summary(group) for task, group in [*by_task.items(), ("all", everything)]}


def _summary(notes: Sequence[Note]) -> dict[str, Any]:
    mined = [note for note in notes if note.how == "mined"]
    summary: dict[str, Any] = {"samples": len(notes), **Counter(note.how for note in notes)}
    summary["short"] = sum(note.why == NO_SEARCH for note in mined)
    summary["broken_videos"] = sum(note.how == "fallback" for note in notes)
    summary["empty_answers"] = sum(note.empty for note in notes)
    summary["trees_not_saved"] = sum(UNSAVED in note.fallbacks for note in notes)
    summary["not_world_videos"] = sum(NOT_A_WORLD_VIDEO in note.fallbacks for note in notes)
    summary["frames_substituted"] = sum(note.usage.get("frames_substituted", 0) for note in notes)
    summary["unread_answers"] = sum(UNREAD_ANSWER in note.fallbacks for note in notes)
    summary["unread_decisions"] = sum(note.usage.get("decisions_unread", 0) for note in notes)
    summary["fallbacks"] = dict(Counter(name for note in notes for name in note.fallbacks))
    for name in ("vlm_calls", "vlm_calls_cached", "policy_calls", "policy_calls_cached", "scores", "frames_decoded"):
        summary[f"{name}_per_sample"] = _mean([note.usage.get(name, 0) for note in mined])
    stages: Counter[str] = Counter()
    for note in mined:
        stages.update(note.usage.get("seconds", {}))
    summary["seconds"] = {stage: round(value, 3) for stage, value in stages.items()}
    summary["key_frames_per_sample"] = _mean([len(note.frames) for note in notes if note.how != "passed"])
    summary["evidence_recall"] = _mean([note.recall for note in notes if note.recall is not None])
    summary["evidence_precision"] = _mean([note.precision for note in notes if note.precision is not None])
    return summary


def in_one_line(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """How the samples of a run were answered, from ``summarise``."""
    counts = summary["all"]
    answered = [f"{how} {counts[how]}" for how in ("mined", "uniform", "passed", "fallback") if counts.get(how)]
    answered += [f"{counts['short']} of them too short for a search"] if counts["short"] else []
    amiss = {
        "empty": "empty_answers",
        "unread answers": "unread_answers",
        "unread decisions": "unread_decisions",
        "trees not saved": "trees_not_saved",
        "unknown to the bundled models": "not_world_videos",
        "damaged frames": "frames_substituted",
    }
    told = [f"{name} {counts[key]}" for name, key in amiss.items() if counts[key]]
    return f"{counts['samples']} samples: {', '.join([*answered, *told])}"


def needs_a_look(summary: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a sample of the run was not answered as planned."""
    counts = summary["all"]
    return any(counts.get(name) for name in ("fallback", "empty_answers", "trees_not_saved", "not_world_videos"))


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def write_summary(folder: str | os.PathLike[str], summary: dict[str, Any], config: dict[str, Any], **more: Any) -> Path:
    """Write the summary of a run beside its trees, atomically, with ``more`` entries."""
    path = Path(folder) / SUMMARY_FILE
    with written(path) as part:
        part.write_text(json.dumps({"config": config, "tasks": summary, **more}, indent=1) + "\n", encoding="utf-8")
    return path
