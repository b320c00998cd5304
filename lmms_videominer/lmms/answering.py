"""Answers the requests of a run in order: mines all, then answers in batches by task and frame count.

Whatever goes wrong in a call of the backbone, of a decoder or of a task's function costs the sample that it was made
for: it is tried again by itself, then left to the plain backbone, and if that fails too, its answer is empty. All of
this is noted. A fault of this package ends the run, and so does a backbone that answers nothing at all.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import NO_SUBTITLES, MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, SchemaError, VideoError, VideoMinerError, foreign
from lmms_videominer.lmms.backbone_vlm import SPLIT, TASK, is_failure
from lmms_videominer.lmms.driver import Driver, Handed, text_of
from lmms_videominer.lmms.handover import clip_folder, hand_over
from lmms_videominer.lmms.records import UNSAVED, Note
from lmms_videominer.lmms.requests import (
    Request,
    question_of,
    retold,
    shown_video,
    shown_with,
    why_no_video,
    with_video,
)
from lmms_videominer.lmms.subtitles import messages_with_said, subtitles_of, with_said
from lmms_videominer.lmms.uniform_frames import plain_selection, with_plain_frames
from lmms_videominer.models.bundle import NOT_A_WORLD_VIDEO
from lmms_videominer.models.drawn_films import is_strange, warn_of
from lmms_videominer.models.plain_text import legible
from lmms_videominer.profiling import model, stage
from lmms_videominer.search.answers import with_answer
from lmms_videominer.search.questions import MOST_PROMPTED, cut
from lmms_videominer.types import Question, Selection, Usage
from lmms_videominer.video.parts import fitting
from lmms_videominer.vlm.replies import GRAY

if TYPE_CHECKING:
    import numpy as np
    from lmms_eval.api.instance import Instance

    from lmms_videominer.selectors.selector import Selector
    from lmms_videominer.video.pixels import Pixels

ANSWERS_AT_ONCE = 64

logger = logging.getLogger(__name__)


class SampleError(VideoMinerError):
    """A call of a backbone, of a decoder or of a task's function failed: it costs its sample, not the run."""


def costing_the_sample(what: str) -> AbstractContextManager[None]:
    """Raise ``SampleError`` for whatever a call of foreign code raises, exits of the process included."""
    # tasks and backbones exit the process if a file is missing
    return foreign(lambda reason: SampleError(f"{what} failed ({reason})"), SystemExit)


@dataclass
class Sample:
    """One request in progress.

    Attributes:
        instance, request: The request of lmms-eval, as received and parsed.
        document: The task's document.
        why: Why it is not mined, if it shows no single video.
        question: The question to mine; ``None`` if there is no single video.
        visuals: What the document shows, if there is a question; pictures of other tasks are not kept.
        selection: The result of mining.
        problem: Why the sample cannot be mined, or could not be answered.
        amiss: Names of what had to be changed in its texts, as in ``Selection.fallbacks``.
        output: The backbone's output.
        note: The record of the sample.
    """

    instance: Instance
    request: Request
    document: Any = None
    why: str = ""
    question: Question | None = None
    visuals: Any = None
    selection: Selection | None = None
    problem: VideoMinerError | None = None
    amiss: tuple[str, ...] = ()
    output: Any = ""
    note: Note | None = field(default=None)


class Answerer:
    """Answers requests with a backbone, from key frames instead of videos.

    Attributes:
        driver: Calls the backbone.
        selector: Chooses key frames.
        config: The settings.
        notes: One per sample answered so far.
    """

    def __init__(
        self, driver: Driver, selector: Selector, config: MinerConfig, own_frames: int, save: Callable[..., str]
    ):
        """
        Args:
            own_frames: With ``selector=uniform``, the frame count to set in the backbone; 0: its own.
            save: Called with ``(selection, instance, frames)``, the last the pixels of the key frames, uint8
                [N, H, W, 3], or ``None``; stores the selection and returns the path of the file.
        """
        self.driver, self.selector, self.config = driver, selector, config
        self.own_frames, self._save = own_frames, save
        self.notes: list[Note] = []
        self._logged: set[str] = set()

    def generate(self, instances: Sequence[Instance], progress: bool = False) -> list[Any]:
        """The outputs of ``generate_until`` requests, in order.

        Raises:
            ConfigError: No sample can be mined under these settings.
            ModelError: Nothing was answered in this run, and the backbone fails on a plain request, too.
        """
        samples = [self._sample(instance) for instance in instances]
        if self.config.selector == "uniform":
            self._leave_to_backbone(samples, "uniform")
        else:
            self._mine([(s, s.question) for s in samples if s.question and not s.problem], progress)
            self._answer([(s, s.selection) for s in samples if s.selection])
            self._leave_to_backbone([s for s in samples if not s.selection], "passed")
        self.notes += [s.note for s in samples if s.note]
        self._check_alive()
        return [s.output for s in samples]

    def _check_alive(self) -> None:
        """Raise ``ModelError`` if the backbone, which has answered nothing so far, fails on a plain request."""
        if not self.notes or not all(note.empty for note in self.notes):
            return
        try:
            with costing_the_sample("the backbone"), clip_folder(self.driver.profile) as clips:
                clip = hand_over(GRAY, clips, self.driver.is_simple)
                prompt = "What is shown here?"
                shown = shown_with(prompt, clip.video if clip else None, self.driver.is_simple)
                handed = Handed(prompt, {"max_new_tokens": 8, "temperature": 0, "do_sample": False}, shown, 0)
                [output] = self.driver.generate([handed], TASK, SPLIT, clip.wanted if clip else 0)
                if _is_no_answer(output):
                    raise _no_answer(output)
        except SampleError as error:
            raise ModelError(
                f"none of {len(self.notes)} samples was answered (the first: {self.notes[0].problem}), and a plain "
                f"request fails, too: {error}. Run again when the backbone answers, or once the cause is fixed"
            ) from error

    def _sample(self, instance: Instance) -> Sample:
        sample = Sample(instance, Request.of(instance, self.driver.is_simple))
        request = sample.request
        if instance.metadata.get("__padding_only__"):  # balances the ranks; its answer is not used
            sample.note = None
            return sample
        try:
            with costing_the_sample(f"task {request.task}"):
                self._ask_task(sample)
        except SampleError as error:
            sample.problem = error
        return sample

    def _ask_task(self, sample: Sample) -> None:
        """Fill in what the task says of the sample. Raises whatever the task's functions and documents lead to."""
        request, is_simple = sample.request, self.driver.is_simple
        sample.document = self.driver.backbone.task_dict[request.task][request.split][request.doc_id]
        if not isinstance(request.context, str):
            raise SampleError(f"task {request.task} gives no text for it, but {type(request.context).__name__}")
        if legible(request.context) != request.context:
            self._retell(sample, legible, "surrogates_replaced")
            context = sample.request.context  # which lmms-eval writes into its log of samples
            sample.instance.arguments = (context, *sample.instance.arguments[1:])
        visuals = sample.request.shows(sample.document)
        video, sample.why = shown_video(visuals, is_simple), why_no_video(visuals, is_simple)
        if not video:
            return
        question = question_of(sample.document, sample.request.context, video, request.task)
        text, short = question.text, cut(question.text, MOST_PROMPTED)
        if short != text:
            self._retell(sample, lambda told: told.replace(text, short), "question_cut")
            visuals = sample.request.shows(sample.document)
        subtitles = subtitles_of(request.task, request.context) if self.config.subtitles != NO_SUBTITLES else ""
        sample.question, sample.visuals = replace(question, text=short, subtitles=subtitles), visuals
        if not text.strip():
            raise SampleError(f"{video}: the question is empty")

    def _retell(self, sample: Sample, change: Callable[[str], str], name: str) -> None:
        sample.request, sample.amiss = retold(sample.request, change), (*sample.amiss, name)
        self._log_once(name, f"{sample.request.task}, document {sample.request.doc_id}: {name}, here and elsewhere")

    def _mine(self, pairs: Sequence[tuple[Sample, Question]], progress: bool) -> None:
        """Select key frames for all samples together; equal questions are mined once."""
        questions = list(dict.fromkeys(question for _, question in pairs))
        results = dict(zip(questions, self.selector.select(questions, progress=progress), strict=True))
        errors = [result for result in results.values() if isinstance(result, ConfigError)]
        if errors and len(errors) == len(results):
            raise errors[0]  # no sample can be mined under these settings
        results = {question: self._uniform_as_plain(result) for question, result in results.items()}
        for sample, question in pairs:
            result = results[question]
            if isinstance(result, Selection):
                sample.selection = result
            else:
                sample.problem = result

    def _uniform_as_plain(self, result: Selection | VideoMinerError) -> Selection | VideoMinerError:
        """If no search was needed, use the frames of ``selector=uniform``, by the backbone's own rule if known."""
        if not isinstance(result, Selection):
            return result
        try:
            with costing_the_sample(f"reading {result.question.video}"):
                return with_plain_frames(result, self.driver.sampling, self.config.reader)
        except VideoMinerError as error:
            return error

    def _answer(self, mined: Sequence[tuple[Sample, Selection]]) -> None:
        """Answer from key frames, with one task and one frame count per call."""
        groups: dict[tuple, list[tuple[Sample, Selection]]] = {}
        for sample, selection in mined:
            key = (sample.request.task, sample.request.split, len(selection.key_frames))
            groups.setdefault(key, []).append((sample, selection))
        for members in groups.values():
            for part in fitting(members, self._clip_bytes, most=ANSWERS_AT_ONCE):
                self._answer_alike(part)

    def _clip_bytes(self, mined: tuple[Sample, Selection]) -> int:
        return mined[1].frame_bytes * self.driver.profile.repeat

    def _answer_alike(self, mined: Sequence[tuple[Sample, Selection]]) -> None:
        """Answer in one call; samples without an answer are tried again one by one, and left to the backbone then."""
        try:
            self._answer_at_once(mined)
        except VideoMinerError as error:
            for sample, _ in mined:
                sample.problem = error
        failed = [(sample, selection) for sample, selection in mined if sample.problem]
        for sample, selection in failed:
            if len(mined) > 1 and not isinstance(sample.problem, VideoError):
                sample.problem = None
                self._answer_alike([(sample, selection)])
            else:
                sample.selection = None

    def _answer_at_once(self, mined: Sequence[tuple[Sample, Selection]]) -> None:
        """Answer in one call. Samples that get no answer have a ``problem`` afterwards.

        Raises:
            SampleError: Reading or handing over the frames failed, or the call; no sample has an answer.
        """
        with stage("answer", len(mined)):
            self._answer_as_one(mined)

    def _answer_as_one(self, mined: Sequence[tuple[Sample, Selection]]) -> None:
        from lmms_videominer.video.pixels import read_pixels

        started = time.perf_counter()
        with costing_the_sample("reading the key frames"):
            pixels = read_pixels([selection for _, selection in mined], self.config.reader)
        with costing_the_sample("the backbone"), clip_folder(self.driver.profile) as clips:
            inputs, answered, shown, clip = [], [], [], None
            for (sample, selection), read in zip(mined, pixels, strict=True):
                if isinstance(read, VideoError):
                    sample.problem = read
                    continue
                times_s = [frame.time_s for frame in selection.key_frames]
                clip = hand_over(read.frames if read else None, clips, self.driver.is_simple, times_s)
                inputs.append(self._input(sample, selection, clip.video if clip else None))
                answered.append((sample, _with_damage(selection, read) if read else selection))
                shown.append(read.frames if read else None)
            first = mined[0][0].request
            wanted = clip.wanted if clip else 0
            with model("backbone"):
                outputs = self.driver.generate(inputs, first.task, first.split, wanted, clips.times_s)
            _check_count(outputs, inputs)
        each_s = (time.perf_counter() - started) / max(1, len(answered))
        for (sample, selection), frames, output in zip(answered, shown, outputs, strict=True):
            if _is_no_answer(output):
                sample.problem = _no_answer(output)
            elif len(mined) > 1 and _is_empty(output):
                sample.problem = SampleError("the backbone gave an empty answer")
            else:
                self._finish(sample, selection, output, each_s, frames)

    def _input(self, sample: Sample, selection: Selection, video: Any) -> Handed:
        request, asked = sample.request, selection.question.text
        visuals = with_video(messages_with_said(sample.visuals, selection, asked), video, self.driver.is_simple)
        context = with_said(request.context, selection, asked)
        return Handed(context, request.settings, visuals, request.doc_id, sample.document)

    def _finish(
        self, sample: Sample, selection: Selection, output: Any, seconds: float, frames: np.ndarray | None
    ) -> None:
        usage = (selection.usage + Usage(answer_calls=1, seconds={"answer": seconds})).rounded
        text = text_of(output)
        done = with_answer(replace(selection, usage=usage), text if isinstance(text, str) else str(text))
        tree = self._saved(done, sample, frames)
        fallbacks = done.fallbacks if tree is not None else (*done.fallbacks, UNSAVED)
        note = Note.mined(sample.request.task, sample.request.doc_id, replace(done, fallbacks=fallbacks), tree or "")
        note.empty = _is_empty(output)
        _note(sample, note, output)

    def _saved(self, selection: Selection, sample: Sample, frames: np.ndarray | None = None) -> str | None:
        """The path of the stored selection, ``None`` if it cannot be written: the answer stands without it."""
        try:
            return self._save(selection, sample.instance, frames)
        except (OSError, SchemaError) as error:
            self._log_once(UNSAVED, f"The tree of {_name(sample)} cannot be written, nor may others be: {error}")
            return None

    def _leave_to_backbone(self, samples: Sequence[Sample], how: str) -> None:
        """Pass requests unchanged to the unchanged backbone; broken ones one by one, and catch their errors."""
        whole = [s for s in samples if not s.problem and not s.instance.metadata.get("__padding_only__")]
        self._pass(whole, how)
        for sample in samples:
            if sample.problem:
                self._fall_back(sample)

    def _pass(self, samples: Sequence[Sample], how: str) -> None:
        if not samples:
            return
        try:
            outputs = self._as_the_backbone(samples)
        except SampleError as error:
            self._pass_one_by_one(samples, how, error)
            return
        for sample, output in zip(samples, outputs, strict=True):
            if _is_no_answer(output):
                sample.problem = _no_answer(output)
                continue
            note = Note(sample.request.task, sample.request.doc_id, how if sample.question else "passed", sample.why)
            if sample.question and how == "uniform":
                self._record_own_frames(sample, output, note, sample.question)
            _note(sample, note, output)

    def _as_the_backbone(self, samples: Sequence[Sample]) -> list[Any]:
        """The outputs of the unchanged backbone for unchanged requests. Raises ``SampleError`` if it fails."""
        requests = [_as_given(sample) for sample in samples]
        with (
            costing_the_sample("the backbone"),
            self.driver.by_itself(self.own_frames),
            stage("answer", len(requests)),
            model("backbone"),
        ):
            outputs = list(self.driver.backbone.generate_until(requests))
            _check_count(outputs, requests)
        return outputs

    def _pass_one_by_one(self, samples: Sequence[Sample], how: str, error: SampleError) -> None:
        """After a failed call, pass each sample separately, so that one broken sample fails no other."""
        if len(samples) == 1:
            samples[0].problem = error
            return
        for sample in samples:
            self._pass([sample], how)

    def _record_own_frames(self, sample: Sample, output: Any, note: Note, question: Question) -> None:
        """Record the frames that the backbone chose itself, if its rule is known."""
        profile, backbone = self.driver.profile, self.driver.backbone
        own = next((getattr(backbone, name) for name in profile.count if hasattr(backbone, name)), 0)
        try:
            with costing_the_sample(f"reading {question.video}"):
                selection = plain_selection(self.driver.sampling, question, self.own_frames or own, self.config)
        except VideoMinerError as error:
            note.problem = str(error)
            return
        if selection and selection.key_frames:
            note.see(selection.key_frames, question.evidence)
            told = self._unknown(question.video)
            usage = replace(selection.usage, answer_calls=1)
            done = replace(selection, answer=text_of(output), usage=usage, fallbacks=told)
            tree = self._saved(done, sample)
            note.tree, note.fallbacks = tree or "", told if tree is not None else (*told, UNSAVED)

    def _unknown(self, video: str) -> tuple[str, ...]:
        """The fallback of a film that the bundled models do not know, logged once, if they answer."""
        if not getattr(self.selector.stages.vlm, "knows_world_only", False) or not is_strange(video):
            return ()
        warn_of(video)
        return (NOT_A_WORLD_VIDEO,)

    def _fall_back(self, sample: Sample) -> None:
        """Pass the sample to the plain backbone; if that fails too, its answer is empty."""
        request, name = sample.request, _name(sample)
        self._log_once(name, f"{name} is not mined: {sample.problem}. The backbone gets the sample unchanged")
        note = Note(request.task, request.doc_id, "fallback", sample.why, problem=str(sample.problem))
        try:
            [output] = self._as_the_backbone([sample])
            if _is_no_answer(output):
                raise _no_answer(output)
        except SampleError as error:
            logger.warning("%s: the backbone fails on it too (%s), so its answer is empty", name, error)
            output, note.empty = "", True
        _note(sample, note, output)

    def _log_once(self, key: str, message: str) -> None:
        if key not in self._logged:
            self._logged.add(key)
            logger.warning("%s", message)


def _name(sample: Sample) -> str:
    request = sample.request
    return sample.question.video if sample.question else f"{request.task}, document {request.doc_id}"


def _with_damage(selection: Selection, read: Pixels) -> Selection:
    """``selection`` with the damaged ones among its key frames counted."""
    lost = read.damaged & {frame.frame_index for frame in selection.key_frames}
    return replace(selection, usage=selection.usage + Usage(frames_substituted=len(lost)))


def _check_count(outputs: Sequence[Any], requests: Sequence[Any]) -> None:
    if len(outputs) != len(requests):  # some backbones add an empty output for a video that they cannot read
        raise RuntimeError(f"the backbone returned {len(outputs)} outputs for {len(requests)} requests")


def _is_no_answer(output: Any) -> bool:
    """Whether an output is a failure text, or nothing at all; an empty text is an answer."""
    text = text_of(output)
    return is_failure(text) if text and isinstance(text, str) else getattr(output, "text", output) is None


def _is_empty(output: Any) -> bool:
    text = text_of(output)
    return isinstance(text, str) and not text.strip()


def _no_answer(output: Any) -> SampleError:
    return SampleError(f"the backbone gave no answer: {' '.join(text_of(output).split())}")


def _as_given(sample: Sample) -> Instance:
    """The sample's request with a fresh copy of its settings: backbones remove entries, and may be called again."""
    instance = copy.copy(sample.instance)
    instance.arguments = sample.request.arguments
    return instance


def _note(sample: Sample, note: Note, output: Any) -> None:
    """Keep ``note``, and the output as a ``GenerationResult`` whose token counts take the note into lmms-eval's log."""
    from lmms_eval.api.instance import GenerationResult, unwrap_generation_output

    from lmms_videominer.lmms.token_counts import NotedTokenCounts

    note.fallbacks = tuple(dict.fromkeys((*note.fallbacks, *sample.amiss)))
    text, counts = unwrap_generation_output(output)
    text = legible(text) if isinstance(text, str) else text  # a service may reply anything
    sample.note, sample.output = note, GenerationResult(text, NotedTokenCounts.of(counts, note.logged()))
