"""The front door: from a video and a question to key frames and an answer."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmms_videominer.config import MinerConfig, check_names
from lmms_videominer.errors import VideoError, VideoMinerError
from lmms_videominer.selectors import get_selector
from lmms_videominer.stages import Stages, needed
from lmms_videominer.types import Question, Selection
from lmms_videominer.vlm.prompts import answer_prompt
from lmms_videominer.vlm.vlm import VLM, VLMRequest

if TYPE_CHECKING:
    from lmms_videominer.embeddings import Embedder
    from lmms_videominer.policy.policy import Policy

ANSWER_TOKENS = 128  # a letter ends at once; an open question may take a few sentences
ANSWERS_AT_ONCE = 64  # their frames are in memory together


class VideoMiner:
    """Finds the key frames of videos for questions, and answers from them.

    Example:
        >>> miner = VideoMiner.from_pretrained("videominer-world")
        >>> selection = miner.mine("film.mp4", "What colour is the car?", options=("red", "blue"))
        >>> [frame.time_s for frame in selection.key_frames], selection.answer

    Attributes:
        stages: The models, the stages and the cache.
        config: The settings.
        selector: Chooses the key frames.
    """

    def __init__(self, stages: Stages, config: MinerConfig):
        self.stages, self.config = stages, config
        self.selector = get_selector(config.selector, stages, config)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = "videominer-world",
        *,
        vlm: VLM | None = None,
        policy: Policy | str | os.PathLike[str] | None = None,
        embedder: Embedder | str | os.PathLike[str] | None = None,
        config: MinerConfig | None = None,
        device: str | None = None,
        **settings: Any,
    ) -> VideoMiner:
        """Load the models.

        Args:
            model: A video LLM of transformers, by name or folder, or a bundle: ``"videominer-world"``, or
                a folder that holds ``bundle.json``. A bundle brings its own policy and embedder.
            vlm: A video LLM already at hand, used instead of the model's.
            policy: A policy, or a causal LM by name or folder. Absent: ``config.policy``, the bundle's, or
                the video LLM itself, text only.
            embedder: An embedder, or a sentence-transformers model by name or folder. Absent:
                ``config.embedder``, the bundle's, or all-MiniLM-L6-v2.
            config: Settings; absent: the defaults.
            device: ``"cpu"``, ``"cuda:0"``, ...; absent: CUDA where there is one.
            **settings: Fields of ``MinerConfig`` that replace those of ``config``.

        Raises:
            ConfigError: A setting is unknown or out of range.
            ModelError: A model cannot be found or loaded.
        """
        check_names(settings, MinerConfig.names(), "setting")
        config = dataclasses.replace(config or MinerConfig(), **settings)
        if vlm is None:
            from lmms_videominer.vlm.transformers_vlm import TransformersVLM
            from lmms_videominer.world.bundle import resolve

            bundle = resolve(os.fspath(model))
            if bundle is not None:
                policy = policy or config.policy or bundle.policy
                embedder = embedder or config.embedder or bundle.embedder
            vlm = TransformersVLM.from_pretrained(os.fspath(bundle.vlm if bundle else model), device=device)
        return cls(Stages.build(config, vlm, policy, embedder, device), config)

    def mine(
        self,
        video: str | os.PathLike[str],
        question: str,
        options: Sequence[str] = (),
        *,
        answer: bool = True,
        progress: bool = False,
    ) -> Selection:
        """Key frames of one video for one question, and the answer from them.

        Args:
            video: The file.
            question: The question, without options.
            options: Answer options, without letters; none: an open question.
            answer: Let the video LLM answer too.
            progress: Show a progress bar on stderr.

        Raises:
            VideoError: The video is missing, empty, cut off, damaged or without pictures.
            ConfigError: The question is empty.
        """
        asked = Question(os.fspath(video), question, tuple(options))
        result = self.mine_batch([asked], answer=answer, progress=progress)[0]
        if isinstance(result, VideoMinerError):
            raise result
        return result

    def mine_batch(
        self, questions: Sequence[Question], answer: bool = True, *, progress: bool = False
    ) -> list[Selection | VideoMinerError]:
        """Like ``mine`` for many questions, in batches; a question that cannot be mined gives its error."""
        selections = self.selector.select(questions, progress=progress)
        return self.answer(selections) if answer else selections

    def answer(self, selections: Sequence[Selection | VideoMinerError]) -> list[Selection | VideoMinerError]:
        """Let the video LLM answer each question from its key frames; errors are passed on.

        Frames are handed over at the video's own resolution.
        """
        results = list(selections)
        asked = [(i, result) for i, result in enumerate(results) if isinstance(result, Selection)]
        for start in range(0, len(asked), ANSWERS_AT_ONCE):
            part = asked[start : start + ANSWERS_AT_ONCE]
            for (i, _), result in zip(part, self._answer([selection for _, selection in part]), strict=True):
                results[i] = result
        return results

    def _answer(self, selections: Sequence[Selection]) -> list[Selection | VideoMinerError]:
        """``answer`` for what fits into memory: one call of the video LLM."""
        started = time.perf_counter()
        frames = read_key_frames(selections, self.config.reader)
        frames_s = (time.perf_counter() - started) / len(selections)
        requests = {i: _answer_request(selections[i], pixels) for i, pixels in enumerate(frames)
                    if not isinstance(pixels, VideoError)}
        started = time.perf_counter()
        texts = needed(self.stages.vlm, "video LLM").generate(list(requests.values())) if requests else []
        seconds = {"frames": frames_s, "answer": (time.perf_counter() - started) / max(1, len(requests))}
        results: dict[int, Selection | VideoMinerError]
        results = {i: pixels for i, pixels in enumerate(frames) if isinstance(pixels, VideoError)}
        for i, text in zip(requests, texts, strict=True):
            results[i] = _answered(selections[i], text, seconds)
        return [results[i] for i in range(len(selections))]


def read_key_frames(
    selections: Sequence[Selection], backend: str = "auto"
) -> list[np.ndarray | VideoError | None]:
    """The pixels of the key frames of each selection, at the video's own resolution; a video is opened once.

    Returns:
        One entry a selection, in order: uint8 [N, H, W, 3], RGB, in temporal order; ``None`` where it has no
        key frames; the ``VideoError`` where the video cannot be read any more.
    """
    frames: list[np.ndarray | VideoError | None] = [None] * len(selections)
    by_video: dict[str, list[int]] = {}
    for i, selection in enumerate(selections):
        if selection.key_frames:
            by_video.setdefault(selection.question.video, []).append(i)
    for video, members in by_video.items():
        indices = [[frame.frame_index for frame in selections[i].key_frames] for i in members]
        for i, pixels in zip(members, _read(video, indices, backend), strict=True):
            frames[i] = pixels
    return frames


def _read(video: str, groups: Sequence[Sequence[int]], backend: str) -> list[np.ndarray | VideoError]:
    """The frames of each group of indices of one video; an error takes the place of what it keeps from being read."""
    from lmms_videominer.video import open_video

    try:
        reader = open_video(video, backend)
    except VideoError as error:
        return [error] * len(groups)
    frames: list[np.ndarray | VideoError] = []
    try:
        for indices in groups:
            try:
                frames.append(reader.frames(indices))
            except VideoError as error:
                frames.append(error)
    finally:
        reader.close()
    return frames


def _answer_request(selection: Selection, frames: np.ndarray | None) -> VLMRequest:
    return VLMRequest(
        prompt=answer_prompt(selection.question.text, selection.question.options),
        frames=frames,
        max_new_tokens=ANSWER_TOKENS,
        frame_times_s=tuple(frame.time_s for frame in selection.key_frames),
    )


def _answered(selection: Selection, text: str, seconds: dict[str, float]) -> Selection:
    """``selection`` with its answer and what it cost."""
    usage = dataclasses.replace(
        selection.usage,
        answer_calls=selection.usage.answer_calls + 1,
        frames_decoded=selection.usage.frames_decoded + len(selection.key_frames),
        seconds=dict(selection.usage.seconds),
    )
    for stage, value in seconds.items():
        usage.seconds[stage] = usage.seconds.get(stage, 0.0) + value
    return dataclasses.replace(selection, answer=text, usage=usage)
