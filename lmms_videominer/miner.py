"""The main entry point: from a video and a question to key frames and an answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.models.resolve import resolve
from lmms_videominer.profiling import stage
from lmms_videominer.search.answers import answer_selections
from lmms_videominer.search.engine import Grown
from lmms_videominer.search.questions import check_options
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages, check_models, load_vlm
from lmms_videominer.selectors.indexing import Indexed, Indexing
from lmms_videominer.selectors.settings import configured
from lmms_videominer.types import Node, Question, Selection, Usage
from lmms_videominer.video.pixels import read_key_frames
from lmms_videominer.vlm.vlm import VLM

if TYPE_CHECKING:
    from lmms_videominer.models.embedder import Embedder
    from lmms_videominer.policy.policy import Policy
    from lmms_videominer.scoring.scorer import Scorer

__all__ = ["VideoMiner", "read_key_frames"]


class VideoMiner:
    """Finds the key frames of videos for questions, and answers the questions from them.

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
        model: str | os.PathLike[str] = BUNDLED,
        *,
        vlm: VLM | None = None,
        policy: Policy | str | os.PathLike[str] | None = None,
        embedder: Embedder | str | os.PathLike[str] | None = None,
        scorer: Scorer | str | os.PathLike[str] | None = None,
        config: MinerConfig | None = None,
        device: str | None = None,
        **settings: Any,
    ) -> VideoMiner:
        """Load the models.

        Args:
            model: A video LLM of transformers, by name or folder; one behind a server with OpenAI's chat completions,
                ``openai:MODEL@URL`` (docs/servers.md); or a bundle: ``"videominer-world"``, or a folder with a
                ``bundle.json``. A bundle has its own policy and embedder.
            vlm: A loaded video LLM, used instead of ``model``.
            policy: A policy, or a causal LM by name or folder, or ``openai:MODEL@URL``. Default: ``config.policy``,
                else that of the bundle, else the video LLM itself, text only.
            embedder: An embedder, or a sentence-transformers model by name or folder. Default:
                ``config.embedder``, else that of the bundle, else all-MiniLM-L6-v2.
            scorer: A scorer, or an image-text model by name or folder, for the selectors that use scores. Default:
                ``config.scorer``, else that of the bundle, else CLIP ViT-L/14.
            config: Settings; by default those of ``MinerConfig``.
            device: ``"cpu"``, ``"cuda:0"``, ...; by default CUDA if available.
            **settings: Settings by name (docs/arguments.md); they override those of ``config``.

        Raises:
            ConfigError: A setting is unknown, of another type or out of range, or there is no such device.
            ModelError: A model cannot be found or loaded, or its server cannot be reached.
        """
        config = configured(config, **settings)
        names = resolve(model if vlm is None else "", config, policy, embedder, scorer)
        check_models(names, config, device)
        if vlm is None:
            vlm = load_vlm(names.vlm, config, device)
        return cls(build_stages(config, vlm, names.policy, names.embedder, device, names.scorer), config)

    def mine(
        self,
        video: str | os.PathLike[str],
        question: str,
        options: Sequence[str] = (),
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        answer: bool = True,
        progress: bool = False,
        grown: Callable[[tuple[Node, ...]], None] | None = None,
    ) -> Selection:
        """Find the key frames of one video for one question, and answer from them.

        Args:
            video: The file.
            question: The question, without options.
            options: Answer options, without letters; empty for an open question.
            start_s, end_s: Search only this part of the video, in seconds from its first frame; ``None``: to its end.
                The times in the result are those of the whole video.
            answer: Also let the video LLM answer.
            progress: Show a progress bar on stderr.
            grown: Called with the tree so far after each round of decisions, see ``mine_each``.

        Raises:
            VideoError: The video is missing, empty, truncated, damaged or without pictures.
            ConfigError: The question is empty, or no text; the options are no list, or a single one; or the part is not
                in the video.
            ModelError: A model fails on this question, or on any.
        """
        check_options(options)
        item = Question(os.fspath(video), question, tuple(options), start_s=start_s, end_s=end_s)
        tell = None if grown is None else partial(_tell_of_one, grown)
        each = partial(self.mine_each, answer=answer, grown=tell)
        result = self.selector.gathered(each, [item], progress)[0]
        if isinstance(result, VideoMinerError):
            raise result
        return result

    def mine_batch(
        self, questions: Sequence[Question], answer: bool = True, *, progress: bool = False
    ) -> list[Selection | VideoMinerError]:
        """Like ``mine``, for many questions in batches; returns the error of a question that cannot be mined.

        ``mine_each`` gives the same results one by one, as they come.

        Raises:
            ModelError: A model fails at everything it is asked; what came before is in the cache.
        """
        return self.selector.gathered(partial(self.mine_each, answer=answer), questions, progress)

    def mine_each(
        self,
        questions: Sequence[Question],
        answer: bool = True,
        *,
        serving: Callable[[str], None] = lambda stage: None,
        used: Callable[[Usage], None] = lambda usage: None,
        grown: Grown | None = None,
    ) -> Iterator[tuple[int, Selection | VideoMinerError]]:
        """Like ``mine_batch``, but yield each result as soon as it is known, with the position of its question.

        As searches end, others take their place. Questions on one video are searched together, so results come in
        another order than that of ``questions``; each comes once. What is not asked for is not mined: whoever stops
        iterating stops the work. No more than ``open_searches`` searches and their videos are open at a time, beyond
        those on one video, however many questions there are.

        Example:
            >>> for position, result in miner.mine_each(questions):
            ...     print(questions[position].text, "->", getattr(result, "answer", result))

        Args:
            questions: The questions.
            answer: Also let the video LLM answer.
            serving: Called with the name of each stage before it runs.
            used: Called after each stage of the search with what it cost, so that calls can be counted as they are
                made. A selection has the same in its ``usage``.
            grown: Called with the position of a question and its tree so far after each round of decisions: a level of
                ``search=plain``, the root or a wave of ``best-first``. The root comes first, nodes after their parents.
                Selectors that grow no tree round by round never call it. What it raises stops the work.

        Raises:
            ModelError: A model fails at everything it is asked; what came before has been yielded, or is in the cache.
        """

        def answered(results: list[Selection | VideoMinerError]) -> list[Selection | VideoMinerError]:
            serving("answer")
            return self.answer(results)

        finish = answered if answer else None
        return self.selector.select_each(questions, finish=finish, serving=serving, used=used, grown=grown)

    def index(
        self, videos: Sequence[str | os.PathLike[str]], *, progress: bool = False
    ) -> list[Indexed | VideoMinerError]:
        """Make what later questions on these videos share, and keep it in the cache.

        That is the scan, the first cut and the image features of the scanned frames, and with ``index`` of 1 or more
        the plain captions of the events of that many levels, at most ``max_vlm_calls``. A question asked with the same
        settings then makes none of it again.

        Args:
            videos: The files.
            progress: Show a progress bar on stderr.

        Returns:
            One entry per video, in order; the error of a video that cannot be used.

        Raises:
            ConfigError: The selector is another one than ``videominer``, to which an index is of no use.
            ModelError: A model fails at everything it is asked; what came before is in the cache.
        """
        return Indexing(self.stages, self.config).make(videos, progress=progress)

    def answer(self, selections: Sequence[Selection | VideoMinerError]) -> list[Selection | VideoMinerError]:
        """Let the video LLM answer each question from its key frames; errors are passed on, and replace what fails.

        Frames are passed on at the video's own resolution. Cached answers are not generated again.
        """
        results = list(selections)
        mined = [(i, result) for i, result in enumerate(results) if isinstance(result, Selection)]
        if not mined:
            return results
        vlm = needed(self.stages.vlm, "video LLM")
        with stage("answer", len(mined)):
            answers = answer_selections([s for _, s in mined], vlm, self.stages.cache, self.config.reader)
        for (i, _), answered in zip(mined, answers, strict=True):
            results[i] = answered
        return results


def _tell_of_one(grown: Callable[[tuple[Node, ...]], None], position: int, nodes: tuple[Node, ...]) -> None:
    grown(nodes)
