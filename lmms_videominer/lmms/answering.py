"""Answers the requests of a run in order: mines all, then answers in batches by task and frame count."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError, VideoMinerError
from lmms_videominer.lmms.backbone_vlm import is_failure
from lmms_videominer.lmms.driver import Driver, Handed, text_of
from lmms_videominer.lmms.handover import clip_folder, hand_over
from lmms_videominer.lmms.records import Note
from lmms_videominer.lmms.requests import Request, question_of, shown_video, shows_video, with_video
from lmms_videominer.lmms.uniform_frames import plain_selection, with_plain_frames
from lmms_videominer.types import Question, Selection, Usage
from lmms_videominer.video.parts import fitting

if TYPE_CHECKING:
    from lmms_eval.api.instance import Instance

    from lmms_videominer.selectors.selector import Selector

ANSWERS_AT_ONCE = 64

logger = logging.getLogger(__name__)


@dataclass
class Sample:
    """One request in progress.

    Attributes:
        instance, request: The request of lmms-eval, as received and parsed.
        document: The task's document.
        shows_video: Whether it shows any video.
        question: The question to mine; ``None`` if there is no single video.
        visuals: What the document shows, if there is a question; pictures of other tasks are not kept.
        selection: The result of mining.
        problem: Why the sample cannot be mined.
        output: The backbone's output.
        note: The record of the sample.
    """

    instance: Instance
    request: Request
    document: Any = None
    shows_video: bool = False
    question: Question | None = None
    visuals: Any = None
    selection: Selection | None = None
    problem: Exception | SystemExit | None = None
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
            save: Called with ``(selection, instance)``; stores the selection and returns the path of the file.
        """
        self.driver, self.selector, self.config = driver, selector, config
        self.own_frames, self._save = own_frames, save
        self.notes: list[Note] = []
        self._logged: set[str] = set()

    def generate(self, instances: Sequence[Instance], progress: bool = False) -> list[Any]:
        """The outputs of ``generate_until`` requests, in order."""
        samples = [self._sample(instance) for instance in instances]
        if self.config.selector == "uniform":
            self._leave_to_backbone(samples, "uniform")
        else:
            self._mine([(s, s.question) for s in samples if s.question and not s.problem], progress)
            self._answer([(s, s.selection) for s in samples if s.selection])
            self._leave_to_backbone([s for s in samples if not s.selection], "passed")
        self.notes += [s.note for s in samples if s.note]
        return [s.output for s in samples]

    def _sample(self, instance: Instance) -> Sample:
        sample = Sample(instance, Request.of(instance, self.driver.is_simple))
        request = sample.request
        if instance.metadata.get("__padding_only__"):  # balances the ranks; its answer is not used
            sample.note = None
            return sample
        try:
            sample.document = self.driver.backbone.task_dict[request.task][request.split][request.doc_id]
            visuals = request.shows(sample.document)
        except (Exception, SystemExit) as error:  # tasks exit the process if a file is missing
            sample.problem = error
            return sample
        sample.shows_video = shows_video(visuals, self.driver.is_simple)
        video = shown_video(visuals, self.driver.is_simple)
        if video:
            sample.question, sample.visuals = question_of(sample.document, request.context, video), visuals
        return sample

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
            if isinstance(result, VideoMinerError):
                sample.problem = result
            else:
                sample.selection = result

    def _uniform_as_plain(self, result: Selection | VideoMinerError) -> Selection | VideoMinerError:
        """If no search was needed, use the frames of ``selector=uniform``, by the backbone's own rule if known."""
        if isinstance(result, VideoMinerError):
            return result
        try:
            return with_plain_frames(result, self.driver.sampling, self.config.reader)
        except VideoError as error:
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
        from lmms_videominer.video.pixels import read_key_frames

        started = time.perf_counter()
        pixels = read_key_frames([selection for _, selection in mined], self.config.reader)
        with clip_folder(self.driver.profile) as clips:
            inputs, answered, clip = [], [], None
            for (sample, selection), frames in zip(mined, pixels, strict=True):
                if isinstance(frames, VideoError):
                    sample.selection, sample.problem = None, frames
                    continue
                times_s = [frame.time_s for frame in selection.key_frames]
                clip = hand_over(frames, clips, self.driver.is_simple, times_s)
                inputs.append(self._input(sample, clip.video if clip else None))
                answered.append((sample, selection))
            first = mined[0][0].request
            outputs = self.driver.generate(inputs, first.task, first.split, clip.wanted if clip else 0, clips.times_s)
        each_s = (time.perf_counter() - started) / max(1, len(answered))
        for (sample, selection), output in zip(answered, outputs, strict=True):
            self._finish(sample, selection, output, each_s)

    def _input(self, sample: Sample, video: Any) -> Handed:
        request = sample.request
        visuals = with_video(sample.visuals, video, self.driver.is_simple)
        return Handed(request.context, request.settings, visuals, request.doc_id, sample.document)

    def _finish(self, sample: Sample, selection: Selection, output: Any, seconds: float) -> None:
        usage = selection.usage + Usage(answer_calls=1, seconds={"answer": seconds})
        done = replace(selection, answer=text_of(output), usage=usage)
        tree = self._save(done, sample.instance)
        sample.note = Note.mined(sample.request.task, sample.request.doc_id, done, tree)
        sample.output = _noted(output, sample.note)

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
            with self.driver.by_itself(self.own_frames):
                outputs = self.driver.backbone.generate_until([_as_given(s) for s in samples])
            if len(outputs) != len(samples):  # some backbones add an empty output for a video that they cannot read
                raise RuntimeError(f"the backbone returned {len(outputs)} outputs for {len(samples)} requests")
        except (Exception, SystemExit) as error:
            if not any(sample.shows_video for sample in samples):
                raise  # no video is to blame
            self._pass_one_by_one(samples, how, error)
            return
        for sample, output in zip(samples, outputs, strict=True):
            note = Note(sample.request.task, sample.request.doc_id, how if sample.question else "passed")
            sample.note, sample.output = note, output
            if sample.question and how == "uniform":
                self._record_own_frames(sample, note, sample.question)
                sample.output = _noted(output, note)

    def _pass_one_by_one(self, samples: Sequence[Sample], how: str, error: Exception | SystemExit) -> None:
        """After a failed call, pass each sample separately, so that one broken video fails no other."""
        if len(samples) == 1:
            samples[0].problem = error
            return
        for sample in samples:
            self._pass([sample], how)

    def _record_own_frames(self, sample: Sample, note: Note, question: Question) -> None:
        """Record the frames that the backbone chose itself, if its rule is known and it answered."""
        if is_failure(text_of(sample.output)):
            return
        profile, backbone = self.driver.profile, self.driver.backbone
        own = next((getattr(backbone, name) for name in profile.count if hasattr(backbone, name)), 0)
        try:
            selection = plain_selection(self.driver.sampling, question, self.own_frames or own, self.config)
        except VideoError as error:
            note.problem = str(error)
            return
        if selection and selection.key_frames:
            note.see(selection.key_frames, question.evidence)
            done = replace(selection, answer=text_of(sample.output), usage=replace(selection.usage, answer_calls=1))
            note.tree = self._save(done, sample.instance)

    def _fall_back(self, sample: Sample) -> None:
        """Pass the sample to the plain backbone; if that fails too, its answer is empty."""
        request = sample.request
        name = sample.question.video if sample.question else f"{request.task}, document {request.doc_id}"
        if name not in self._logged:
            self._logged.add(name)
            logger.warning("%s is not mined: %s. The backbone gets the sample unchanged", name, sample.problem)
        note = Note(request.task, request.doc_id, "fallback", problem=str(sample.problem))
        try:
            with self.driver.by_itself(self.own_frames):
                sample.output = self.driver.backbone.generate_until([_as_given(sample)])[0]
        except (Exception, SystemExit) as error:  # one broken video must not end the run
            logger.warning("%s: the backbone fails on it too (%s), so its answer is empty", name, error)
            sample.output, note.empty = "", True
        sample.note, sample.output = note, _noted(sample.output, note)


def _as_given(sample: Sample) -> Instance:
    """The sample's request with a fresh copy of its settings: backbones remove entries, and may be called again."""
    instance = copy.copy(sample.instance)
    instance.arguments = sample.request.arguments
    return instance


def _noted(output: Any, note: Note) -> Any:
    """``output`` as lmms-eval's ``GenerationResult``, whose token counts carry ``note`` into the sample's log."""
    from lmms_eval.api.instance import GenerationResult, unwrap_generation_output

    from lmms_videominer.lmms.token_counts import NotedTokenCounts

    text, counts = unwrap_generation_output(output)
    return GenerationResult(text, NotedTokenCounts.of(counts, note.logged()))
